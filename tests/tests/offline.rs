//! Offline: captures of a pod say what `tracer live` said of it, and what tshark says; the report shows it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use tracer_lab::incident::{Incident, Settings};
use tracer_lab::log;
use tracer_lab::oracle::Differences;
use tracer_lab::say;
use tracer_lab::secret::find;
use tracer_lab::tracer::offline::{Offline, succeeded};
use tracer_lab::tracer::report::{PodSummary, STAGES, Summary, TracedRequest};
use tracer_lab::tracer::{Live, Tracing, program};
use tracer_lab::wire::{Tcpdump, nanoseconds, tshark};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tracer-lab");
const REQUESTS: u64 = 100;
/// How far totals may be apart. All three read the clock at the same packets, a program of the cgroup or some
/// microseconds of the kernel's way to or from the interface later.
const TOTAL_NEAR: u64 = 100_000;
/// How far the beginnings may be apart: each tracer asks on its own how the clocks of the machine differ.
const STARTED_NEAR: u64 = 1_000_000;
/// How far stages may be apart. Live begins a connection at the system call and ends it at the socket's change
/// of state, a capture at SYN and SYN-ACK: up to 50 µs per connection, of which each request makes two, to the
/// metadata service. What that stage is shorter, `self` is longer.
const STAGE_NEAR: u64 = 200_000;
/// The same on tcpdump's interface, beyond the kernel's queues: a call's two ends add another 20 µs each.
const INTERFACE_NEAR: u64 = 300_000;

/// The incident, seen by three at once.
struct Seen {
    incident: Incident,
    live: Live,
    /// Of `tracer capture`: the same hooks as live, secrets masked.
    capture: PathBuf,
    /// Of tcpdump: the pod's interface, everything as it was.
    tcpdump: PathBuf,
}

fn see(requests: u64, dns_cache: u64) -> Result<Seen> {
    let incident = Incident::start(Settings { dns_cache, ..Settings::sick(Path::new(PROGRAM)) })?;
    let (lab, dir) = (&incident.lab, incident.lab.dir());
    let (capture, lines) = (dir.join("capture.pcapng"), dir.join("live.jsonl"));
    let start = |command, flags: &[&str]| {
        Tracing::start_on(incident.backend.cgroup(), &program()?, lab, command, flags)
    };
    let tcpdump = Tcpdump::start(&incident.backend, dir.join("tcpdump.pcap"))?;
    let capturing = start("capture", &["-w", &capture.to_string_lossy()])?;
    let tracing = start("live", &["--output", "json", "--requests", &lines.to_string_lossy()])?;
    incident.run(requests, 1)?;
    // What was answered last settles when the tracer drains, on its timer.
    std::thread::sleep(std::time::Duration::from_secs(1));
    let summary = Summary::parse(&tracing.finish()?)?;
    capturing.finish()?;
    let tcpdump = tcpdump.finish()?;
    ensure!(summary.accounting.dropped() == 0 && !summary.partial, "{:?}", summary.accounting);
    Ok(Seen { live: Live { summary, requests: log::read(&lines)? }, incident, capture, tcpdump })
}

#[test]
fn a_capture_says_what_live_said() -> Result<()> {
    let seen = see(REQUESTS, 2000)?;
    let offline = Offline::of(&seen.incident.backend)?;
    for (name, file, near) in
        [("tracer capture", &seen.capture, STAGE_NEAR), ("tcpdump", &seen.tcpdump, INTERFACE_NEAR)]
    {
        let read = offline.analyze(&[file])?;
        check_requests(name, near, &seen.live, &read).with_context(|| name.to_owned())?;
        check_summaries(&seen.live, &read).with_context(|| name.to_owned())?;
    }
    Ok(())
}

#[test]
fn a_capture_of_all_pods_says_of_each_what_live_said() -> Result<()> {
    let incident = Incident::start(Settings::sick(Path::new(PROGRAM)))?;
    let file = incident.lab.dir().join("pods.pcapng");
    let start = |command, flags: &[&str]| Tracing::start(&program()?, &incident.lab, command, flags);
    let capturing = start("capture", &["-w", &file.to_string_lossy()])?;
    let tracing = start("live", &["--output", "json"])?;
    incident.run(20, 1)?;
    std::thread::sleep(std::time::Duration::from_secs(1));
    let live = Summary::parse(&tracing.finish()?)?;
    capturing.finish()?;
    let offline = Offline::of_named()?;
    let analyze = |flags: &[&str]| {
        Summary::parse(&succeeded(&offline.run(
            "analyze",
            &[&["--output", "json"], flags].concat(),
            &[&file],
        )?)?)
    };
    let read = analyze(&[])?;
    let told = |of: &Summary| -> BTreeMap<_, _> {
        let calls = |pod: &PodSummary| -> BTreeMap<_, _> {
            pod.calls.iter().map(|(kind, calls)| (kind.clone(), calls.count)).collect()
        };
        of.pods.iter().map(|pod| (pod.pod.clone(), (pod.requests, calls(pod)))).collect()
    };
    let (live, told_read) = (told(&live), told(&read));
    ensure!(live.len() >= 4 && live == told_read, "live: {live:?}\nread: {told_read:?}");
    let backend = incident.backend.uid();
    ensure!(lifetime(read.pod(backend)?)? > 0.0);
    let one = analyze(&["--pod", backend])?;
    ensure!(one.pods.len() == 1 && one.pod(backend)?.requests == 20, "{:?}", one.pods);
    let unknown = offline.run("analyze", &["--pod", "nobody"], &[&file])?;
    let stderr = String::from_utf8_lossy(&unknown.stderr);
    ensure!(unknown.status.code() == Some(1) && stderr.contains(backend), "{}: {stderr}", unknown.status);
    Ok(())
}

fn the_pod(of: &Live) -> Result<PodSummary> {
    ensure!(of.summary.pods.len() == 1, "{:?}", of.summary.pods);
    Ok(of.summary.pods[0].clone())
}

/// Request by request. How a call was attributed may differ: packets do not tell which thread sent them.
fn check_requests(name: &str, near: u64, live: &Live, read: &Live) -> Result<()> {
    let numbers = |of: &Live| of.requests.iter().map(TracedRequest::number).collect::<BTreeSet<_>>();
    let apart: Vec<_> = numbers(live).symmetric_difference(&numbers(read)).copied().collect();
    ensure!(apart.is_empty(), "only live or only in the capture: {apart:?}");
    ensure!(live.requests.len() as u64 == REQUESTS && read.requests.len() as u64 == REQUESTS);
    let mut totals = Differences::default();
    let mut stages = STAGES.map(|stage| (stage, Differences::default()));
    for one in &live.requests {
        one.check()?;
        let other = read.requests.iter().find(|other| other.number() == one.number());
        let other = other.with_context(|| format!("{one} is not in the capture"))?;
        other.check()?;
        ensure!(told(one) == told(other), "{:?}\n{:?}", told(one), told(other));
        let started = one.time_unix_ns.abs_diff(other.time_unix_ns);
        ensure!(started < STARTED_NEAR, "{one} began {started} ns apart");
        totals.add(one.to_string(), one.total_ns, other.total_ns, TOTAL_NEAR);
        for (stage, differences) in &mut stages {
            differences.add(one.to_string(), one.stages_ns[*stage], other.stages_ns[*stage], near);
        }
    }
    totals.check(&format!("{name}: total"))?;
    stages.iter_mut().try_for_each(|(stage, differences)| differences.check(&format!("{name}: {stage}")))
}

/// What of a request needs no clock.
fn told(request: &TracedRequest) -> (String, BTreeMap<(&str, &str, &str), usize>) {
    let TracedRequest { method, path, status, local, peer, marks, .. } = request;
    let mut calls = BTreeMap::new();
    for call in &request.calls {
        *calls.entry((call.kind.as_str(), call.peer.as_str(), call.what.as_str())).or_default() += 1;
    }
    (format!("{method:?} {path:?} {status:?} {local} {peer} {marks:?}"), calls)
}

fn check_summaries(live: &Live, read: &Live) -> Result<()> {
    let (live, read) = (the_pod(live)?, the_pod(read)?);
    for (kind, calls) in &live.calls {
        let count = read.calls[kind].count;
        ensure!(calls.count == count, "{} calls {kind} live, {count} from the capture", calls.count);
    }
    say(&format!("live: {:?}; capture: {:?}", live.attribution, read.attribution));
    let _found = (live.finding("dns-search")?, read.finding("dns-search")?);
    // The expiry of credentials is all of a metadata answer that `tracer capture` leaves readable.
    let [live, read] = [lifetime(&live)?, lifetime(&read)?];
    ensure!((live - read).abs() < 0.5, "credentials live {live} s by live tracing, {read} s by the capture");
    Ok(())
}

/// How long the credentials live, by the finding that they live too short.
fn lifetime(pod: &PodSummary) -> Result<f64> {
    pod.finding("metadata-credentials")?.number("credentials_lifetime_seconds")
}

/// A line of `tracer analyze --output lines`, as far as tshark is asked for the same.
#[derive(Deserialize)]
struct Line {
    kind: String,
    #[serde(default)]
    packet: Option<u64>,
    #[serde(default)]
    time: Option<u64>,
}

#[test]
fn lines_are_what_tshark_says_and_the_report_shows_it() -> Result<()> {
    // Lookups more often, so that there are some.
    let seen = see(30, 300)?;
    let offline = Offline::of(&seen.incident.backend)?;
    let lines = succeeded(&offline.run("analyze", &["--output", "lines"], &[&seen.tcpdump])?)?;
    let read: Vec<Line> = lines.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    for (kind, filter, field) in [
        ("http", "http.response && http.time", "http.time"),
        ("dns", "dns.flags.response == 1 && dns.time", "dns.time"),
    ] {
        check_times(kind, &read, &tshark(&seen.tcpdump, filter, &["frame.number", field])?)?;
    }
    let canary = seen.incident.canary();
    ensure!(find(&fs::read(&seen.tcpdump)?, canary).is_some(), "no canary was captured: nothing is shown");
    ensure!(find(lines.as_bytes(), canary).is_none(), "a secret is in the lines");
    check_report(&seen, &offline)
}

/// Each answer that tshark times is a line with the same frame number and, to a microsecond, the same time.
fn check_times(kind: &str, read: &[Line], asked: &[Vec<String>]) -> Result<()> {
    let of_kind = read.iter().filter(|line| line.kind == kind);
    let read: BTreeMap<_, _> = of_kind.filter_map(|line| line.packet.zip(line.time)).collect();
    ensure!(
        !asked.is_empty() && read.len() == asked.len(),
        "{kind}: {} lines, {} by tshark",
        read.len(),
        asked.len()
    );
    let mut differences = Differences::default();
    for fields in asked {
        let [frame, seconds] = fields.as_slice() else { bail!("tshark: {fields:?}") };
        let time = read.get(&frame.parse()?).with_context(|| format!("{kind}: no line for frame {frame}"))?;
        let expected = nanoseconds(seconds).with_context(|| format!("tshark: {fields:?}"))?;
        ensure!(time.abs_diff(expected) <= 1000, "{kind}, frame {frame}: {time} ns, {expected} ns by tshark");
        differences.add(frame.clone(), *time, expected, 1000);
    }
    differences.check(&format!("{kind}: lines and tshark"))
}

/// The page exists, tells the story, keeps the secrets and needs nothing from elsewhere.
fn check_report(seen: &Seen, offline: &Offline) -> Result<()> {
    let file = seen.incident.lab.dir().join("report.html");
    succeeded(&offline.run("report", &["-o", &file.to_string_lossy()], &[&seen.tcpdump])?)?;
    let page = fs::read_to_string(&file).context("read the report")?;
    for finding in ["metadata-credentials", "dns-search"] {
        ensure!(page.contains(&format!("<h3>{finding} (")), "the report has no finding {finding}");
    }
    let rows = page.matches("<div class=\"row\"><span>metadata ").count();
    ensure!(rows >= 60, "{rows} rows of calls to the metadata service in 30 requests with two each");
    ensure!(page.matches("<details").count() == 30, "not a waterfall per request");
    for elsewhere in ["http://", "https://", "src=", "href=", "url(", "@import", "<script"] {
        ensure!(!page.contains(elsewhere), "the report contains {elsewhere}");
    }
    let canary = seen.incident.canary();
    ensure!(find(page.as_bytes(), canary).is_none(), "the report holds a secret");
    say(&format!("report: {} bytes, {rows} calls to the metadata service", page.len()));
    Ok(())
}
