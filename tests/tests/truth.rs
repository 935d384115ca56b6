//! Truth: the tracer's times agree with the servers' own clocks and with tcpdump read by tshark.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use tracer_lab::incident::{Incident, Settings};
use tracer_lab::log::{QueryLine, RequestLine};
use tracer_lab::oracle::{Differences, breakdown, line_of};
use tracer_lab::say;
use tracer_lab::tracer::report::{STAGES, TracedRequest};
use tracer_lab::tracer::{live, program};
use tracer_lab::wire::{Exchange, Tcpdump, dns, http};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tracer-lab");
const REQUESTS: u64 = 200;
const MILLISECOND: u64 = 1_000_000;
/// How far tshark's times may be from the tracer's.
const WIRE: u64 = 100_000;

#[test]
fn stages_agree_with_the_backend_and_calls_with_tshark() -> Result<()> {
    truth(Settings::sick(Path::new(PROGRAM))).map(drop)
}

/// In the incident a request comes in one packet, its answer leaves in one, and a connect takes 0.03 ms: who always says
/// 0 is right.
#[test]
fn they_agree_when_requests_connects_and_answers_take_their_time() -> Result<()> {
    let settings = Settings { fresh: true, pause: 5, distance: 10, ..Settings::sick(Path::new(PROGRAM)) };
    let means = truth(settings)?;
    for stage in ["receive", "connect", "send"] {
        ensure!(means[stage] >= 4 * MILLISECOND, "{stage} takes {} ns: it proves nothing", means[stage]);
    }
    Ok(())
}

/// Compares all that the tracer says of an incident's requests, and returns the mean of each stage by the servers' clocks.
fn truth(settings: Settings) -> Result<BTreeMap<&'static str, u64>> {
    let incident = Incident::start(settings)?;
    let tcpdump = Tcpdump::start(&incident.backend, incident.lab.dir().join("tcpdump.pcap"))?;
    let live = live(&program()?, &incident.lab, || incident.run(REQUESTS, 1).map(drop))?;
    let file = tcpdump.finish()?;
    ensure!(live.summary.accounting.dropped() == 0 && !live.summary.partial, "{:?}", live.summary.accounting);

    let backend = incident.backend.uid();
    let traced = live.of(backend)?;
    ensure!(traced.len() as u64 == REQUESTS, "{} of {REQUESTS} requests were traced", traced.len());

    let means = check_stages(&traced, &incident.requests()?, &incident.queries()?)?;
    let requests = http(&file, 8080)?;
    check_wire("http.time of requests", &requests, traced.iter().map(|request| wire_request(request)))?;
    let mut calls = http(&file, 80)?;
    calls.extend(http(&file, 9200)?);
    check_wire("http.time of calls", &calls, wire_calls(&traced))?;
    check_dns(&traced, &dns(&file)?)?;
    Ok(means)
}

/// Each stage of each request against the servers' clocks: 1 ms or 3 %.
fn check_stages(
    traced: &[&TracedRequest],
    logged: &[RequestLine],
    queries: &[QueryLine],
) -> Result<BTreeMap<&'static str, u64>> {
    let mut means = BTreeMap::new();
    for stage in STAGES {
        let (mut differences, mut sum) = (Differences::default(), 0);
        for request in traced {
            let expected = breakdown(line_of(request, logged)?, queries)[stage];
            sum += expected;
            // Requests without a lookup must not water down what is said of those with one.
            if (expected, request.stages_ns[stage]) != (0, 0) {
                differences.add_stage(request, stage, expected);
            }
        }
        if differences.is_empty() {
            say(&format!("stage {stage}: 0 in all {} requests, traced and logged", traced.len()));
        } else {
            differences.check(&format!("stage {stage}"))?;
        }
        means.insert(stage, sum / traced.len() as u64);
    }
    say(&format!("means by the servers' clocks, in ns: {means:?}"));
    Ok(means)
}

/// A request as tshark times it: from the packet that completes it to the one that completes its answer.
fn wire_request(request: &TracedRequest) -> Exchange {
    let client_port = request.peer.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or(0);
    Exchange {
        client_port,
        start: request.time_unix_ns + request.stages_ns["receive"],
        end: request.time_unix_ns + request.total_ns,
        what: request.to_string(),
    }
}

/// The HTTP calls as the tracer saw them. Connects are not exchanges: their `what` is not a method and path.
fn wire_calls(traced: &[&TracedRequest]) -> impl Iterator<Item = Exchange> {
    traced.iter().flat_map(|request| {
        let calls = request.calls.iter().filter(|call| call.what.starts_with("GET "));
        calls.map(|call| {
            let (start, end) = request.interval(call);
            Exchange { client_port: call.local_port(), start, end, what: call.what.clone() }
        })
    })
}

/// The tracer's exchanges against tshark's: as many, and each as long.
fn check_wire(name: &str, seen: &[Exchange], traced: impl Iterator<Item = Exchange>) -> Result<()> {
    let mut differences = Differences::default();
    for exchange in traced {
        let same = seen.iter().filter(|seen| seen.client_port == exchange.client_port);
        let nearest = same.min_by_key(|seen| seen.start.abs_diff(exchange.start));
        let nearest = nearest.with_context(|| format!("{name}: tshark has no {exchange:?}"))?;
        let apart = nearest.start.abs_diff(exchange.start);
        ensure!(apart < MILLISECOND, "{name}: {exchange:?} is nowhere near {nearest:?}");
        differences.add(
            format!("{exchange:?}"),
            exchange.end - exchange.start,
            nearest.end - nearest.start,
            WIRE,
        );
    }
    ensure!(
        differences.len() == seen.len(),
        "{name}: {} traced, {} by tshark",
        differences.len(),
        seen.len()
    );
    differences.check(name)
}

/// Each lookup lasts from the first query to the last answer of those that tshark saw meanwhile.
fn check_dns(traced: &[&TracedRequest], answers: &[Exchange]) -> Result<()> {
    let mut differences = Differences::default();
    for request in traced {
        for call in request.calls.iter().filter(|call| call.kind == "dns") {
            let (start, end) = request.interval(call);
            let within = |answer: &&Exchange| answer.start + WIRE >= start && answer.end <= end + WIRE;
            let meanwhile: Vec<_> = answers.iter().filter(within).collect();
            let first = meanwhile.iter().map(|answer| answer.start).min();
            let last = meanwhile.iter().map(|answer| answer.end).max();
            let (first, last) =
                first.zip(last).with_context(|| format!("tshark has no query for {call:?}"))?;
            differences.add(format!("{call:?}"), call.duration_ns, last - first, WIRE);
        }
    }
    differences.check("dns.time of lookups")
}
