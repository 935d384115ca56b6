//! What goes wrong on a connection is seen, dated and counted: refused and unanswered connects, resets,
//! requests without an answer.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use tracer_lab::incident::{Incident, Settings};
use tracer_lab::log::{ClientSummary, ExchangeLine, Kind};
use tracer_lab::oracle::{Differences, line_of};
use tracer_lab::pair::Pair;
use tracer_lab::role::broken::How;
use tracer_lab::tracer::report::TracedRequest;
use tracer_lab::tracer::{Live, Tracing, live, program};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tracer-lab");
const REQUESTS: u64 = 20;
const MILLISECOND: u64 = 1_000_000;

#[test]
fn failed_connects_are_in_the_breakdown_and_counted() -> Result<()> {
    let settings = Settings { stale: true, fresh: true, ..Settings::sick(Path::new(PROGRAM)) };
    let incident = Incident::start(settings)?;
    let agent = Tracing::start(&program()?, &incident.lab, "agent", &[])?;
    let seen = live(&program()?, &incident.lab, || incident.run(REQUESTS, 1).map(drop))?;
    let uid = incident.backend.uid();
    agent.settled(uid, REQUESTS)?;
    let (logged, queries) = (incident.requests()?, incident.queries()?);
    let mut differences = Differences::default();
    for request in of_all(&seen, uid)? {
        let line = line_of(request, &logged)?;
        for peer in [incident.refusing(), incident.unanswered()] {
            let failed = line.calls.iter().find(|call| call.peer == peer.to_string());
            let failed = failed.context("the backend did not try")?;
            let took = connect_to(request, peer)?;
            let what = format!("{request}: connect to {peer}, {took} ns traced, {failed:?}");
            differences.add(what, took, failed.end - failed.start, MILLISECOND);
        }
        differences.add_stages(request, line, &queries);
    }
    differences.check("failed connects and the stages around them")?;

    let connects = |result| agent.metric("tracer_tcp_connects_total", &[("pod", uid), ("result", result)]);
    let logged = logged.iter().filter(|line| line.n > 0).flat_map(|line| &line.calls);
    let established = logged.filter(|call| call.kind == Kind::Connect && call.local_port != 0).count();
    for (result, expected) in
        [("refused", REQUESTS), ("unanswered", REQUESTS), ("established", established as u64)]
    {
        let seen = connects(result)?;
        ensure!((seen - as_float(expected)).abs() < 0.5, "{seen} connects {result}, {expected} made");
    }
    agent.finish().map(drop)
}

/// The requests of a pod, all that were made.
fn of_all<'a>(seen: &'a Live, uid: &str) -> Result<Vec<&'a TracedRequest>> {
    let traced = seen.of(uid)?;
    ensure!(traced.len() as u64 == REQUESTS, "{} of {REQUESTS} requests were traced", traced.len());
    Ok(traced)
}

/// How long the only connect to the peer took.
fn connect_to(request: &TracedRequest, peer: SocketAddr) -> Result<u64> {
    let mut calls = request.calls.iter().filter(|call| call.peer == peer.to_string());
    let call =
        calls.next().with_context(|| format!("{request} has no call to {peer}: {:?}", request.calls))?;
    ensure!(call.kind == "connect" && call.what.is_empty(), "{request}: {call:?}");
    ensure!(calls.next().is_none(), "{request} has several calls to {peer}");
    Ok(call.duration_ns)
}

#[test]
fn a_request_whose_connection_closes_is_unanswered_and_ends_there() -> Result<()> {
    broken(How::Close, |pair, agent| {
        for (pod, by) in [(&pair.client, "peer"), (&pair.client, "pod"), (&pair.server, "peer")] {
            let resets = agent.metric("tracer_tcp_resets_total", &[("pod", pod.uid()), ("by", by)])?;
            ensure!(resets.abs() < 0.5, "{resets} resets by {by}");
        }
        Ok(())
    })
}

#[test]
fn a_request_whose_connection_is_reset_is_unanswered_and_the_reset_is_counted() -> Result<()> {
    broken(How::Reset, |pair, agent| {
        for (pod, by) in [(&pair.client, "peer"), (&pair.server, "pod")] {
            let resets = agent.metric("tracer_tcp_resets_total", &[("pod", pod.uid()), ("by", by)])?;
            ensure!((resets - as_float(REQUESTS)).abs() < 0.5, "{resets} resets by {by}, {REQUESTS} made");
        }
        Ok(())
    })
}

/// Makes requests to a broken server, all of which fail, and checks what the tracer says of the server's.
fn broken(how: How, counted: impl FnOnce(&Pair, &Tracing<'_>) -> Result<()>) -> Result<()> {
    let pair = Pair::start(Path::new(PROGRAM), "broken", &["--how", how.flag()])?;
    let agent = Tracing::start(&program()?, &pair.lab, "agent", &[])?;
    let seen = live(&program()?, &pair.lab, || {
        let mut client = pair.client("client");
        client.args(["--requests", &REQUESTS.to_string(), "--log"]).arg(pair.lab.dir().join("client.jsonl"));
        let output = client.output().context("run the client")?;
        let summary: ClientSummary = serde_json::from_slice(&output.stdout).context("its summary")?;
        ensure!(summary.failed == REQUESTS, "not all requests failed: {summary:?}");
        Ok(())
    })?;
    let uid = pair.server.uid();
    let mut differences = Differences::default();
    let logged: Vec<ExchangeLine> = pair.log(usize::try_from(REQUESTS)?)?;
    for request in of_all(&seen, uid)? {
        ensure!(request.marks == ["unanswered"], "{request} is not marked: {request:?}");
        ensure!(request.status.is_none(), "{request} has a status: {request:?}");
        let line = logged.iter().find(|line| Some(&line.path) == request.path.as_ref());
        let line = line.with_context(|| format!("{request} is not in the log"))?;
        let what = format!("{request} took {} ns, {line:?}", request.total_ns);
        differences.add(what, request.total_ns, line.t2 - line.t0, MILLISECOND);
    }
    differences.check(&format!("requests until the server's {how:?}"))?;
    agent.settled(uid, REQUESTS)?;
    counted(&pair, &agent)?;
    agent.finish().map(drop)
}

/// A count as metrics have it.
fn as_float(count: u64) -> f64 {
    u32::try_from(count).map_or(f64::NAN, f64::from)
}
