//! HTTP/2 and gRPC: each call as its client saw it, live and from captures.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use tracer_lab::log;
use tracer_lab::oracle::Differences;
use tracer_lab::pair::Pair;
use tracer_lab::process::run;
use tracer_lab::role::grpc::{CallLine, Kind};
use tracer_lab::say;
use tracer_lab::tracer::offline::Offline;
use tracer_lab::tracer::report::{Summary, TracedRequest};
use tracer_lab::tracer::{Live, Tracing, program};
use tracer_lab::wire::Tcpdump;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tracer-lab");
const CALLS: u64 = 640;
const MILLISECOND: u64 = 1_000_000;
/// How far the durations of live and captures may be apart, which see the same packets.
const NEAR: u64 = 100_000;

/// The calls, by their client, by the hooks and by captures of the same time.
struct Seen {
    logged: Vec<CallLine>,
    live: Live,
    /// What `tracer analyze` says of each capture.
    captures: Vec<(&'static str, Live)>,
    server: String,
}

fn see() -> Result<Seen> {
    let pair = Pair::start(Path::new(PROGRAM), "grpc-server", &[])?;
    let dir = pair.lab.dir();
    let [capture, lines, calls] = ["capture.pcapng", "live.jsonl", "calls.jsonl"].map(|name| dir.join(name));
    let start = |command, flags: &[&str]| {
        Tracing::start_on(pair.server.cgroup(), &program()?, &pair.lab, command, flags)
    };
    let tcpdump = Tcpdump::start(&pair.server, dir.join("tcpdump.pcap"))?;
    let capturing = start("capture", &["-w", &capture.to_string_lossy()])?;
    let tracing = start("live", &["--output", "json", "--requests", &lines.to_string_lossy()])?;
    run(pair.client("grpc-client").args(["--calls", &CALLS.to_string(), "--log"]).arg(&calls))?;
    // What was answered last settles when the tracer drains, on its timer.
    std::thread::sleep(std::time::Duration::from_secs(1));
    let summary = Summary::parse(&tracing.finish()?)?;
    capturing.finish()?;
    let tcpdump = tcpdump.finish()?;
    ensure!(summary.accounting.dropped() == 0 && !summary.partial, "{:?}", summary.accounting);
    let analyze = |file: &PathBuf| Offline::of(&pair.server)?.analyze(&[file]);
    Ok(Seen {
        logged: log::read(&calls)?,
        live: Live { summary, requests: log::read(&lines)? },
        captures: vec![("tracer capture", analyze(&capture)?), ("tcpdump", analyze(&tcpdump)?)],
        server: pair.server.uid().to_owned(),
    })
}

#[test]
fn each_of_many_calls_at_once_is_as_its_client_saw_it() -> Result<()> {
    let seen = see()?;
    ensure!(seen.logged.len() as u64 == CALLS, "{} calls were made", seen.logged.len());
    let failed = seen.logged.iter().filter(|call| call.status != 0).count();
    let at_once = at_once(&seen.logged);
    say(&format!("{CALLS} calls on one connection, {at_once} at once; {failed} of them failed"));
    ensure!(at_once >= 64, "{at_once} calls at once");
    ensure!(failed > 30, "{failed} calls failed");
    let live = seen.live.of(&seen.server)?;
    ensure!(live.len() as u64 == CALLS, "{} of {CALLS} calls were traced", live.len());
    against_the_log("live", &live, &seen.logged)?;
    for (name, read) in &seen.captures {
        let read: Vec<_> = read.requests.iter().collect();
        ensure!(read.len() as u64 == CALLS, "{name}: {} of {CALLS} calls were read", read.len());
        against_the_log(name, &read, &seen.logged)?;
        let mut differences = Differences::default();
        for request in &live {
            let other = read.iter().find(|other| other.path == request.path);
            let other = other.with_context(|| format!("{name} has no {request}"))?;
            ensure!(other.grpc_status == request.grpc_status, "{request:?}\n{other:?}");
            differences.add(request.to_string(), request.total_ns, other.total_ns, NEAR);
        }
        differences.check(&format!("live and {name}"))?;
    }
    Ok(())
}

/// The most calls that went on at one time.
fn at_once(logged: &[CallLine]) -> usize {
    let going = |time| logged.iter().filter(|call| (call.start..call.end).contains(&time)).count();
    logged.iter().map(|call| going(call.start)).max().unwrap_or(0)
}

/// Method, path, status and duration of each call.
fn against_the_log(name: &str, requests: &[&TracedRequest], logged: &[CallLine]) -> Result<()> {
    let mut differences = Differences::default();
    for call in logged {
        let path = call.kind.path(call.n);
        let request = requests.iter().find(|request| request.path.as_deref() == Some(&path));
        let request = request.with_context(|| format!("{name}: no {path}"))?;
        ensure!(request.method.as_deref() == Some("POST"), "{request:?}");
        ensure!(request.grpc_status == Some(call.status), "{name}: {call:?} is {request:?}");
        // A service that answers each message as it comes does not wait for the last.
        let early = call.kind == Kind::Both && request.marks == ["early-response"];
        ensure!(request.marks.is_empty() || early, "{name}: {request:?}");
        differences.add(format!("{call:?}"), request.total_ns, call.end - call.start, MILLISECOND);
    }
    differences.check(&format!("{name} and the client's log"))
}
