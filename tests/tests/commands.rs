//! The commands as programs: they end when they are asked to with all that they know, they do not disturb
//! each other, and the agent's pages answer.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tracer_lab::incident::{Incident, Settings};
use tracer_lab::log::read;
use tracer_lab::process::Signal;
use tracer_lab::tracer::report::{Summary, TracedRequest};
use tracer_lab::tracer::{Tracing, program};
use tracer_lab::wire::http;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tracer-lab");
const REQUESTS: u64 = 20;

#[test]
fn sigterm_ends_each_command_with_code_0_and_its_whole_output() -> Result<()> {
    let incident = Incident::start(Settings::sick(Path::new(PROGRAM)))?;
    let (tracer, uid) = (program()?, incident.backend.uid());
    let file = |name: &str| incident.lab.dir().join(name);
    let start = |command, flags: &[&str]| Tracing::start(&tracer, &incident.lab, command, flags);
    let (lines, packets) = (file("traced.jsonl"), file("capture.pcapng"));
    let agent = start("agent", &[])?;
    let capture = start("capture", &["-w", &packets.to_string_lossy()])?;
    let table = start("live", &["--waterfall", "1"])?;
    let json = start("live", &["--output", "json", "--requests", &lines.to_string_lossy()])?;
    incident.run(REQUESTS, 1)?;
    // At once: what was answered a moment ago must be in the output too.
    let json = json.end(Signal::Terminate)?;
    let table = table.end(Signal::Terminate)?;
    capture.end(Signal::Terminate)?;
    let agent = agent.end(Signal::Terminate)?;

    let summary = Summary::parse(&json.stdout)?;
    summary.accounting.check()?;
    let requests = summary.pod(uid)?.requests;
    ensure!(requests == REQUESTS, "{requests} of {REQUESTS} requests are in the summary");
    let settled: Vec<TracedRequest> = read(&lines)?;
    let own = settled.iter().filter(|request| request.pod.contains(uid)).count() as u64;
    ensure!(own == REQUESTS, "{own} of {REQUESTS} requests are in the file");
    let line = table.stdout.lines().find(|line| line.contains(uid)).context("the pod is not in the table")?;
    ensure!(line.contains(&format!("{REQUESTS} requests")), "{line}");
    let waterfalls = table.stdout.lines().filter(|line| line.contains("/v1/items/")).count();
    ensure!(waterfalls == 1, "{waterfalls} waterfalls: {}", table.stdout);
    let answers = http(&packets, 8080)?.len() as u64;
    ensure!(answers == REQUESTS, "{answers} answers of the backend are in the capture");
    ensure!(agent.stderr.contains("stopped"), "{}", agent.stderr);
    Ok(())
}

#[test]
fn two_tracers_of_the_same_cgroup_see_the_same() -> Result<()> {
    let incident = Incident::start(Settings::sick(Path::new(PROGRAM)))?;
    let tracer = program()?;
    let files = ["one.jsonl", "other.jsonl"].map(|name| incident.lab.dir().join(name));
    let start = |number: usize| {
        let file = files[number].to_string_lossy();
        Tracing::start(&tracer, &incident.lab, "live", &["--output", "json", "--requests", &file])
    };
    let tracers = [start(0)?, start(1)?];
    incident.run(100, 4)?;
    let [one, other] = tracers.map(|tracer| tracer.end(Signal::Interrupt));
    let (one, other) = (Summary::parse(&one?.stdout)?, Summary::parse(&other?.stdout)?);
    ensure!(one.accounting.emitted == other.accounting.emitted, "{one:?} {other:?}");
    for pod in &one.pods {
        let same = other.pod(&pod.pod)?;
        ensure!((pod.requests, &pod.attribution) == (same.requests, &same.attribution), "{pod:?} {same:?}");
        ensure!((pod.total_seconds - same.total_seconds).abs() < 0.001, "{pod:?} {same:?}");
    }
    let [mut one, mut other] = files.map(|file| read::<TracedRequest>(&file));
    let (one, other) = (sorted(&mut one)?, sorted(&mut other)?);
    ensure!(one.len() == other.len(), "{} and {} requests", one.len(), other.len());
    for (one, other) in one.iter().zip(other) {
        ensure!(one.path == other.path && one.peer == other.peer && one.calls.len() == other.calls.len());
        for (stage, time) in &one.stages_ns {
            // Each tracer's programs read the clock by themselves, one after the other.
            let apart = time.abs_diff(other.stages_ns[stage]);
            ensure!(apart < 500_000, "{one}: {stage} differs by {apart} ns between two tracers");
        }
    }
    Ok(())
}

fn sorted(requests: &mut Result<Vec<TracedRequest>>) -> Result<&mut Vec<TracedRequest>> {
    let requests = requests.as_mut().map_err(|error| anyhow::anyhow!("{error:#}"))?;
    requests.sort_by(|a, b| (&a.pod, &a.peer, a.time_unix_ns).cmp(&(&b.pod, &b.peer, b.time_unix_ns)));
    Ok(requests)
}

#[test]
fn the_agents_pages_answer() -> Result<()> {
    let incident = Incident::start(Settings::sick(Path::new(PROGRAM)))?;
    let agent = Tracing::start(&program()?, &incident.lab, "agent", &[])?;
    incident.run(5, 1)?;
    agent.settled(incident.backend.uid(), 5)?;
    for page in ["/healthz", "/readyz"] {
        let (status, _, body) = agent.fetch(page)?;
        ensure!((status, body.trim()) == (200, "ok"), "{page}: {status} {body}");
    }
    let (status, head, body) = agent.fetch("/api/v1/summary")?;
    ensure!(status == 200 && has_type(&head, "application/json"), "{status} {head}");
    let summary: Value = serde_json::from_str(&body).context("the summary")?;
    ensure!(summary["pods"].is_array() && summary["accounting"]["dropped"].is_object(), "{summary}");
    let (status, head, body) = agent.fetch("/metrics")?;
    ensure!(status == 200 && has_type(&head, "text/plain"), "{status} {head}");
    ensure!(body.contains("\ntracer_requests_total{"), "{body}");
    for page in ["/nothing", "/api/v1/summary/", "/healthz/../metrics"] {
        let (status, _, body) = agent.fetch(page)?;
        ensure!(status == 404, "{page}: {status} {body}");
    }
    // Still alive after all that.
    ensure!(agent.fetch("/healthz")?.0 == 200);
    agent.finish().map(drop)
}

fn has_type(head: &str, expected: &str) -> bool {
    let head = head.to_ascii_lowercase();
    head.lines().any(|line| line.strip_prefix("content-type:").is_some_and(|kind| kind.contains(expected)))
}

#[test]
fn after_attaching_cap_bpf_is_all_that_is_left() -> Result<()> {
    let incident = Incident::start(Settings::sick(Path::new(PROGRAM)))?;
    let agent = Tracing::start(&program()?, &incident.lab, "agent", &[])?;
    incident.run(2, 1)?;
    agent.settled(incident.backend.uid(), 2)?;
    let tasks =
        std::fs::read_dir(format!("/proc/{}/task", agent.id())).context("listing the agent's threads")?;
    for task in tasks {
        let status = std::fs::read_to_string(task?.path().join("status"))?;
        for set in ["CapPrm", "CapEff"] {
            let line =
                status.lines().find(|line| line.starts_with(set)).context("no capabilities in status")?;
            // CAP_BPF is bit 39 of linux/capability.h.
            ensure!(line.ends_with("\t0000008000000000"), "{line}");
        }
    }
    Ok(())
}
