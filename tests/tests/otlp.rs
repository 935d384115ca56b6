//! OTLP: a real collector takes the spans and metrics, and what it passes on is what `tracer live` says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tracer_lab::incident::{Incident, Settings};
use tracer_lab::log;
use tracer_lab::pod::network::wait_for_listener;
use tracer_lab::process::Running;
use tracer_lab::role::otlp::{Line, PointLine, SpanLine};
use tracer_lab::say;
use tracer_lab::tracer::report::TracedRequest;
use tracer_lab::tracer::{Tracing, program};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tracer-lab");
const REQUESTS: u64 = 40;
const COLLECTOR: u16 = 4317;
const RECEIVER: u16 = 4319;
/// Each tracer asks on its own how the clocks of the machine differ.
const NEAR: u64 = 1_000_000;

/// The collector, which passes on to a receiver that writes a log.
struct Collector {
    _programs: [Running; 2],
    log: PathBuf,
}

impl Collector {
    fn start(incident: &Incident) -> Result<Self> {
        let (node, dir) = (incident.lab.node(), incident.lab.dir());
        let log = dir.join("otlp.jsonl");
        let mut receiver = node.command(PROGRAM);
        receiver.args(["otlp-receiver", "--listen", &format!("127.0.0.1:{RECEIVER}"), "--log"]).arg(&log);
        let receiver = Running::spawn("otlp-receiver", &mut receiver)?;
        let program = std::env::var("TRACER_COLLECTOR");
        let program =
            program.context("set TRACER_COLLECTOR to the collector rotel (cargo xtask test does)")?;
        let mut collector = node.command(&program);
        collector.args(["start", "--otlp-grpc-endpoint", &format!("127.0.0.1:{COLLECTOR}")]);
        collector.args(["--otlp-http-endpoint", "127.0.0.1:4318", "--exporter", "otlp", "--log-file"]);
        collector.arg(dir.join("rotel.log"));
        collector.args(["--otlp-exporter-endpoint", &format!("http://127.0.0.1:{RECEIVER}")]);
        collector.args(["--otlp-exporter-protocol", "grpc"]);
        let collector = Running::spawn("rotel", &mut collector)?;
        wait_for_listener(node, COLLECTOR)?;
        Ok(Self { _programs: [collector, receiver], log })
    }

    /// What came, once there is as much of it as `is_enough` says.
    fn passed_on(&self, is_enough: impl Fn(&[Line]) -> bool) -> Result<Vec<Line>> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let lines: Vec<Line> = log::read(&self.log)?;
            if is_enough(&lines) {
                return Ok(lines);
            }
            ensure!(Instant::now() < deadline, "the collector passed on {} lines", lines.len());
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

fn flags() -> [String; 4] {
    let endpoint = format!("http://127.0.0.1:{COLLECTOR}");
    ["--otlp-endpoint".into(), endpoint, "--otlp-metrics-interval".into(), "2".into()]
}

fn start<'a>(incident: &'a Incident, command: &str, flags: &[&str]) -> Result<Tracing<'a>> {
    Tracing::start_on(incident.backend.cgroup(), &program()?, &incident.lab, command, flags)
}

fn spans(lines: &[Line]) -> impl Iterator<Item = &SpanLine> {
    lines.iter().filter_map(|line| if let Line::Span(span) = line { Some(span) } else { None })
}

fn points<'a>(lines: &'a [Line], name: &'a str) -> impl Iterator<Item = &'a PointLine> {
    let points =
        lines.iter().filter_map(|line| if let Line::Point(point) = line { Some(point) } else { None });
    points.filter(move |point| point.name == name)
}

#[test]
fn a_collector_takes_requests_as_spans_and_the_metrics() -> Result<()> {
    let incident = Incident::start(Settings::sick(Path::new(PROGRAM)))?;
    let collector = Collector::start(&incident)?;
    let file = incident.lab.dir().join("live.jsonl");
    let live = start(&incident, "live", &["--requests", &file.to_string_lossy()])?;
    let agent = start(&incident, "agent", &flags().each_ref().map(String::as_str))?;
    incident.run(REQUESTS, 2)?;
    agent.settled(incident.backend.uid(), REQUESTS)?;
    live.finish()?;
    let requests: Vec<TracedRequest> = log::read(&file)?;
    let count = |lines: &[Line]| spans(lines).filter(|span| span.kind == 2).count() as u64;
    let is_counted = |lines: &[Line]| {
        let counts = points(lines, "tracer_request_duration_seconds").filter_map(|point| point.count);
        counts.max() == Some(REQUESTS)
    };
    let lines = collector.passed_on(|lines| count(lines) == REQUESTS && is_counted(lines))?;
    for request in &requests {
        check(request, &lines).with_context(|| format!("{request:?}"))?;
    }
    ensure!(requests.len() as u64 == REQUESTS);
    let sent = agent.metric("tracer_otlp_exports_total", &[("signal", "spans"), ("result", "sent")])?;
    let received = u32::try_from(spans(&lines).count())?;
    ensure!(received > 0 && (sent - f64::from(received)).abs() < 0.5, "{sent} sent, {received} received");
    agent.finish()?;
    Ok(())
}

/// Finds the request's span, and compares it and its children with the line of `tracer live`.
fn check(request: &TracedRequest, lines: &[Line]) -> Result<()> {
    let mut servers = spans(lines).filter(|span| span.kind == 2);
    let is_its = |span: &&SpanLine| {
        span.start.abs_diff(request.time_unix_ns) < NEAR
            && span.attributes.get("client.port").map(ToString::to_string)
                == request.peer.rsplit(':').next().map(ToOwned::to_owned)
    };
    let server = servers.find(is_its).context("no span")?;
    ensure!(server.parent.is_empty() && server.resource["service.name"] == server.resource["k8s.pod.uid"]);
    ensure!((server.end - server.start).abs_diff(request.total_ns) < NEAR, "{server:?}");
    ensure!(server.attributes["url.path"].as_str() == request.path.as_deref(), "{server:?}");
    for (stage, nanoseconds) in &request.stages_ns {
        let seconds = server.attributes[&format!("tracer.stage.{stage}")].as_f64().unwrap_or(-1.0);
        let expected = Duration::from_nanos(*nanoseconds).as_secs_f64();
        ensure!((seconds - expected).abs() < 0.001, "{stage}: {seconds} and {expected} s");
    }
    let children: Vec<_> = spans(lines).filter(|span| span.trace == server.trace && span.kind != 2).collect();
    ensure!(children.iter().all(|child| child.parent == server.span), "{children:?}");
    let mut stages: BTreeMap<&str, u64> = BTreeMap::new();
    for child in children.iter().filter(|child| child.kind == 3) {
        *stages.entry(child.attributes["tracer.stage"].as_str().unwrap_or_default()).or_default() += 1;
    }
    for call in &request.calls {
        *stages.entry(&call.kind).or_default() -= 1;
    }
    ensure!(stages.values().all(|left| *left == 0), "calls that are no spans: {stages:?}");
    Ok(())
}

#[test]
fn a_collector_that_comes_late_costs_spans_and_nothing_else() -> Result<()> {
    let incident = Incident::start(Settings::sick(Path::new(PROGRAM)))?;
    let agent = start(&incident, "agent", &flags().each_ref().map(String::as_str))?;
    incident.run(4, 1)?;
    // Longer than one export is tried.
    std::thread::sleep(Duration::from_secs(10));
    let failed = agent.metric("tracer_otlp_exports_total", &[("signal", "spans"), ("result", "failed")])?;
    ensure!(failed > 0.0, "nothing failed");
    ensure!(agent.summary()?.pod(incident.backend.uid())?.requests == 4);
    let collector = Collector::start(&incident)?;
    incident.run(4, 1)?;
    let lines = collector.passed_on(|lines| spans(lines).filter(|span| span.kind == 2).count() >= 4)?;
    say(&format!("{failed} spans failed, {} came later", spans(&lines).count()));
    let written = agent.end(tracer_lab::process::Signal::Terminate)?;
    let complaints = written.stderr.matches("cannot export").count();
    ensure!(complaints == 1, "{complaints} complaints: {}", written.stderr);
    ensure!(written.stderr.contains("exports to the OpenTelemetry collector again"), "{}", written.stderr);
    Ok(())
}
