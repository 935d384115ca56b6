//! HTTP/2 and gRPC: each call as its client saw it, live and from captures.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use tracer_lab::log;
use tracer_lab::oracle::Differences;
use tracer_lab::pair::Pair;
use tracer_lab::pod::network::wait_for_listener;
use tracer_lab::process::{Running, run};
use tracer_lab::role::grpc::{CallLine, Kind};
use tracer_lab::say;
use tracer_lab::tracer::offline::Offline;
use tracer_lab::tracer::report::{Summary, TracedRequest};
use tracer_lab::tracer::{Live, Tracing, live, program};
use tracer_lab::wire::{Tcpdump, tshark};
use tracer_lab::{Lab, PodSpec, Qos};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tracer-lab");
const CALLS: u64 = 640;
const MILLISECOND: u64 = 1_000_000;
/// How far the durations of live and captures may be apart, which see the same packets.
const NEAR: u64 = 100_000;

/// What tells a segment.
const SEGMENT: [&str; 2] = ["tcp.srcport", "tcp.seq_raw"];

/// The calls, by their client, by the hooks and by captures of the same time.
struct Seen {
    logged: Vec<CallLine>,
    live: Live,
    /// What `tracer analyze` says of a capture of the server.
    capture: Live,
    client: String,
    server: String,
}

fn see() -> Result<Seen> {
    let pair = Pair::start(Path::new(PROGRAM), "grpc-server", &[])?;
    let dir = pair.lab.dir();
    let [lines, calls] = ["live.jsonl", "calls.jsonl"].map(|name| dir.join(name));
    let tcpdump = Tcpdump::start(&pair.server, dir.join("tcpdump.pcap"))?;
    let flags = ["--output", "json", "--requests", &lines.to_string_lossy()];
    let tracing = Tracing::start(&program()?, &pair.lab, "live", &flags)?;
    run(pair.client("grpc-client").args(["--calls", &CALLS.to_string(), "--log"]).arg(&calls))?;
    // What was answered last settles when the tracer drains, on its timer.
    std::thread::sleep(std::time::Duration::from_secs(1));
    let summary = Summary::parse(&tracing.finish()?)?;
    let tcpdump = tcpdump.finish()?;
    ensure!(summary.accounting.dropped() == 0 && !summary.partial, "{:?}", summary.accounting);
    Ok(Seen {
        logged: log::read(&calls)?,
        live: Live { summary, requests: log::read(&lines)? },
        capture: Offline::of(&pair.server)?.analyze(&[&tcpdump])?,
        client: pair.client.uid().to_owned(),
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
    let read: Vec<_> = seen.capture.requests.iter().collect();
    ensure!(read.len() as u64 == CALLS, "{} of {CALLS} calls were read", read.len());
    against_the_log("offline", &read, &seen.logged)?;
    let mut differences = Differences::default();
    for request in &live {
        let other = read.iter().find(|other| other.path == request.path);
        let other = other.with_context(|| format!("{request} is not in the capture"))?;
        ensure!(other.grpc_status == request.grpc_status, "{request:?}\n{other:?}");
        differences.add(request.to_string(), request.total_ns, other.total_ns, NEAR);
    }
    differences.check("live and offline")?;
    // The client's end of the same calls.
    let calls = seen.live.summary.pod(&seen.client)?.calls["upstream"];
    let logged: u64 = seen.logged.iter().map(|call| call.end - call.start).sum();
    let logged = std::time::Duration::from_nanos(logged).as_secs_f64();
    ensure!(calls.count == CALLS, "{} calls left the client", calls.count);
    ensure!((calls.seconds - logged).abs() < 0.01 * logged, "{} s traced, {logged} s logged", calls.seconds);
    Ok(())
}

/// The most calls that went on at one time.
/// Many streams begin in one packet, and a request's packet is the one with its path. What is in the packets is masked in the
/// capture: tcpdump tells it, of the same segments.
#[test]
fn the_comment_of_a_call_is_at_the_packet_where_it_begins() -> Result<()> {
    let pair = Pair::start(Path::new(PROGRAM), "grpc-server", &[])?;
    let dir = pair.lab.dir();
    let (file, calls) = (dir.join("calls.pcapng"), dir.join("calls.jsonl"));
    let written = file.to_string_lossy();
    let tcpdump = Tcpdump::start(&pair.server, dir.join("tcpdump.pcap"))?;
    let server = pair.server.cgroup();
    let tracing = Tracing::start_on(server, &program()?, &pair.lab, "capture", &["-w", &written])?;
    run(pair.client("grpc-client").args(["--calls", &CALLS.to_string(), "--log"]).arg(&calls))?;
    tracing.finish()?;
    let [own, others] =
        [["frame.comment"], ["http2.headers.path"]].map(|field| [&SEGMENT[..], &field].concat());
    let mut paths: BTreeMap<Vec<String>, String> = BTreeMap::new();
    for mut line in tshark(&tcpdump.finish()?, "http2.headers.path", &others)? {
        let path = line.pop().unwrap_or_default();
        paths.entry(line).or_default().push_str(&path);
    }
    let (mut commented, mut astray) = (0, 0);
    for mut line in tshark(&file, "frame.comment contains \"request POST\"", &own)? {
        let comments = line.pop().unwrap_or_default();
        let paths = paths.get(&line).map(String::as_str).unwrap_or_default();
        for path in comments.split("request POST ").skip(1).filter_map(|rest| rest.split(' ').next()) {
            commented += 1;
            astray += usize::from(!paths.contains(path));
        }
    }
    let logged = log::read::<CallLine>(&calls)?.len();
    say(&format!("{commented} comments of {logged} calls, {astray} at packets of others"));
    ensure!(commented * 100 >= logged * 99, "{commented} comments of {logged} calls");
    // Two CPUs may take segments of one flow at the same time.
    ensure!(astray * 100 <= commented, "{astray} of {commented} comments are at packets of others");
    Ok(())
}

fn at_once(logged: &[CallLine]) -> usize {
    let going = |time| logged.iter().filter(|call| (call.start..call.end).contains(&time)).count();
    logged.iter().map(|call| going(call.start)).max().unwrap_or(0)
}

/// Method, path, status and duration of each call.
fn against_the_log(name: &str, requests: &[&TracedRequest], logged: &[CallLine]) -> Result<()> {
    let (mut differences, mut near) = (Differences::default(), 0);
    for call in logged {
        let path = call.kind.path(call.n);
        let request = requests.iter().find(|request| request.path.as_deref() == Some(&path));
        let request = request.with_context(|| format!("{name}: no {path}"))?;
        ensure!(request.method.as_deref() == Some("POST"), "{request:?}");
        ensure!(request.grpc_status == Some(call.status), "{name}: {call:?} is {request:?}");
        // A service that answers each message as it comes does not wait for the last.
        let early = call.kind == Kind::Both && request.marks == ["early-response"];
        ensure!(request.marks.is_empty() || early, "{name}: {request:?}");
        let took = call.end - call.start;
        near += usize::from(request.total_ns.abs_diff(took) <= MILLISECOND);
        differences.add(format!("{call:?}"), request.total_ns, took, MILLISECOND.max(took / 100));
    }
    // A client that waits for a core dates its calls late: on a busy machine some by milliseconds.
    say(&format!("{name}: {near} of {} calls within 1 ms of the client's log", logged.len()));
    ensure!(near * 100 >= logged.len() * 95, "{name}: {near} of {} calls within 1 ms", logged.len());
    differences.check(&format!("{name} and the client's log"))
}

/// `h2load` counts what it gets; `nghttpd` serves a small file and a large one.
#[test]
fn h2load_counts_as_many_as_tracer() -> Result<()> {
    let mut lab = Lab::new()?;
    let client = lab.pod(PodSpec { name: "client", qos: Qos::Burstable })?;
    let server = lab.pod(PodSpec { name: "server", qos: Qos::Burstable })?;
    let files = lab.dir().join("files");
    fs::create_dir(&files)?;
    fs::write(files.join("small"), "ok")?;
    fs::write(files.join("large"), vec![b'x'; 500_000])?;
    let mut nghttpd = server.command("nghttpd");
    let nghttpd = nghttpd.args(["--no-tls", "--htdocs"]).arg(&files).arg("8080");
    let _running = Running::spawn("nghttpd", nghttpd)?;
    wait_for_listener(server.namespace(), 8080)?;
    let mut load = client.command("h2load");
    load.args(["--requests=3000", "--clients=4", "--max-concurrent-streams=16", "--header=te: trailers"]);
    for path in ["small", "large", "missing"] {
        load.arg(format!("http://{}:8080/{path}", server.addresses().v4));
    }
    let mut counted = String::new();
    let live = live(&program()?, &lab, || {
        counted = run(&mut load)?;
        Ok(())
    })?;
    let traced = live.of(server.uid())?;
    say(&format!("h2load: {}", counted.lines().filter(|line| line.contains("codes:")).collect::<String>()));
    ensure!(live.summary.accounting.dropped() == 0, "{:?}", live.summary.accounting);
    for (path, status, requests) in [("/small", 200, 1000), ("/large", 200, 1000), ("/missing", 404, 1000)] {
        let of = |request: &&&TracedRequest| {
            request.path.as_deref() == Some(path) && request.status == Some(status)
        };
        let found = traced.iter().filter(of).count();
        ensure!(found == requests, "{found} of {requests} {path} with {status} were traced");
    }
    ensure!(counted.contains("status codes: 2000 2xx, 0 3xx, 1000 4xx, 0 5xx"), "{counted}");
    ensure!(traced.len() == 3000, "{} requests were traced", traced.len());
    ensure!(live.summary.pod(client.uid())?.calls["upstream"].count == 3000);
    Ok(())
}
