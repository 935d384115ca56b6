//! Truth: the tracer's times agree with the servers' own clocks and with tcpdump read by tshark.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use tracer_lab::incident::{Incident, Settings};
use tracer_lab::log::{Kind, QueryLine, RequestLine};
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
    truth(resolving()).map(drop)
}

/// The incident with a lookup for each request, so that one in a hundred is more than none.
fn resolving() -> Settings {
    Settings { dns_cache: 0, ..Settings::sick(Path::new(PROGRAM)) }
}

/// In the incident a request comes in one packet, its answer leaves in one, and a connect takes 0.03 ms: who always says
/// 0 is right.
#[test]
fn they_agree_when_requests_connects_and_answers_take_their_time() -> Result<()> {
    let settings = Settings { fresh: true, pause: 5, distance: 10, ..resolving() };
    let means = truth(settings)?;
    for stage in ["receive", "connect", "send"] {
        ensure!(means[stage] >= 4 * MILLISECOND, "{stage} takes {} ns: it proves nothing", means[stage]);
    }
    Ok(())
}

/// Compares all that the tracer says of an incident's requests, and returns the mean of each stage by the servers' clocks.
fn truth(settings: Settings) -> Result<BTreeMap<&'static str, u64>> {
    let answers_per_lookup = settings.twin.queries_per_lookup();
    let incident = Incident::start(settings)?;
    let tcpdump = Tcpdump::start(&incident.backend, incident.lab.dir().join("tcpdump.pcap"))?;
    let live = live(&program()?, &incident.lab, || incident.run(REQUESTS, 1).map(drop))?;
    let file = tcpdump.finish()?;
    ensure!(live.summary.accounting.dropped() == 0 && !live.summary.partial, "{:?}", live.summary.accounting);

    let traced = live.of(incident.backend.uid())?;
    ensure!(traced.len() as u64 == REQUESTS, "{} of {REQUESTS} requests were traced", traced.len());
    let logged = incident.requests()?;
    let means = check_stages(&traced, &logged, &incident.queries()?)?;

    check_wire(
        "http.time of requests",
        http(&file, 8080)?,
        traced.iter().map(|request| wire_request(request)),
    )?;
    let calls = [http(&file, 80)?, http(&file, 9200)?].concat();
    check_wire("http.time of calls", calls, wire_calls(&traced))?;
    let lookups = wire_lookups(&traced);
    // The first request was before the tracer and tcpdump.
    let called = logged.iter().filter(|line| line.n > 0).flat_map(|line| &line.calls);
    let resolved = called.filter(|call| call.kind == Kind::Dns).count();
    ensure!(lookups.len() == resolved, "{} of {resolved} lookups were traced", lookups.len());
    check_dns(&lookups, &dns(&file)?, answers_per_lookup)?;
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
    let asked = [&request.method, &request.path].map(|asked| asked.as_deref().unwrap_or("?"));
    Exchange {
        client_port,
        start: request.time_unix_ns + request.stages_ns["receive"],
        end: request.time_unix_ns + request.total_ns,
        what: asked.join(" "),
    }
}

/// The HTTP calls as the tracer saw them. Connects are not exchanges: their `what` is not a method and path.
fn wire_calls(traced: &[&TracedRequest]) -> impl Iterator<Item = Exchange> {
    calls(traced).filter(|(_, call)| call.what.starts_with("GET ")).map(|(_, call)| call)
}

/// The lookups as the tracer saw them.
fn wire_lookups(traced: &[&TracedRequest]) -> Vec<Exchange> {
    calls(traced).filter(|(kind, _)| *kind == "dns").map(|(_, call)| call).collect()
}

/// All calls with their kinds.
fn calls<'a>(traced: &'a [&'a TracedRequest]) -> impl Iterator<Item = (&'a str, Exchange)> {
    traced.iter().flat_map(|request| {
        request.calls.iter().map(|call| {
            let (start, end) = request.interval(call);
            let exchange = Exchange { client_port: call.local_port(), start, end, what: call.what.clone() };
            (call.kind.as_str(), exchange)
        })
    })
}

/// The tracer's exchanges against tshark's: each is one of them and none is left, as long, and about the same.
fn check_wire(name: &str, mut seen: Vec<Exchange>, traced: impl Iterator<Item = Exchange>) -> Result<()> {
    let mut differences = Differences::default();
    for exchange in traced {
        let same = seen.iter().enumerate().filter(|(_, seen)| seen.client_port == exchange.client_port);
        let nearest = same.min_by_key(|(_, seen)| seen.start.abs_diff(exchange.start));
        let (nearest, _) = nearest.with_context(|| format!("{name}: tshark has no {exchange:?}"))?;
        let nearest = seen.swap_remove(nearest);
        let apart = nearest.start.abs_diff(exchange.start);
        ensure!(apart < MILLISECOND, "{name}: {exchange:?} is nowhere near {nearest:?}");
        ensure!(nearest.what == exchange.what, "{name}: {exchange:?} is {nearest:?} for tshark");
        differences.add(
            format!("{exchange:?}"),
            exchange.end - exchange.start,
            nearest.end - nearest.start,
            WIRE,
        );
    }
    ensure!(seen.is_empty(), "{name}: {} only tshark saw: {:?}", seen.len(), seen[0]);
    differences.check(name)
}

/// Each of tshark's answers belongs to exactly one lookup, each lookup has all of its answers, and lasts from the first
/// query to the last answer.
fn check_dns(lookups: &[Exchange], answers: &[Exchange], answers_per_lookup: usize) -> Result<()> {
    let mut meanwhile = vec![Vec::new(); lookups.len()];
    for answer in answers {
        let is_within = |lookup: &&Exchange| {
            answer.start + MILLISECOND >= lookup.start
                && answer.end <= lookup.end + MILLISECOND
                && answer.what.starts_with(&lookup.what)
        };
        let mut within = lookups.iter().zip(&mut meanwhile).filter(|(lookup, _)| is_within(lookup));
        let (_, own) = within.next().with_context(|| format!("{answer:?} is in no lookup: {lookups:?}"))?;
        own.push(answer);
        ensure!(within.next().is_none(), "{answer:?} is in several lookups: {lookups:?}");
    }
    let mut differences = Differences::default();
    for (lookup, own) in lookups.iter().zip(&meanwhile) {
        ensure!(own.len() == answers_per_lookup, "{lookup:?} has {} answers", own.len());
        let first = own.iter().map(|answer| answer.start).min().context("no query")?;
        let last = own.iter().map(|answer| answer.end).max().context("no answer")?;
        differences.add(format!("{lookup:?}"), lookup.end - lookup.start, last - first, WIRE);
    }
    say(&format!("{} answers in {} lookups, none elsewhere", answers.len(), lookups.len()));
    differences.check("dns.time of lookups")
}
