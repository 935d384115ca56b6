//! Busy pods: what the kernel adds up is what it would have told of one by one. Two tracers watch the same requests, one of
//! which folds them.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use tracer_lab::nginx::Nginx;
use tracer_lab::pair::Pair;
use tracer_lab::pod::network::wait_for_listener;
use tracer_lab::process::{Running, run};
use tracer_lab::tracer::report::{PodSummary, STAGES, Summary};
use tracer_lab::tracer::{Tracing, program, through_agent};
use tracer_lab::{PodSpec, Qos};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tracer-lab");

#[test]
fn sums_are_those_of_a_tracer_that_is_told_of_each_request() -> Result<()> {
    let nginx = Nginx::start()?;
    let start = |command, flags: &[&str]| {
        Tracing::start_on(nginx.server.cgroup(), &program()?, &nginx.lab, command, flags)
    };
    let (agent, each) = (start("agent", &[])?, start("live", &["--output", "json", "--fold-above", "0"])?);
    let load = nginx.start_load(Path::new(PROGRAM), 8_000, 6)?.finish()?;
    pause(1_000);
    let uid = nginx.server.uid();
    let summary = agent.settled(uid, load.ok)?;
    let folding = summary.pod(uid)?;
    let labels = [("pod", uid)];
    let count = agent.metric("tracer_request_duration_seconds_count", &labels)?;
    let total = agent.metric("tracer_request_duration_seconds_sum", &labels)?;
    let within = agent.metric("tracer_request_duration_seconds_bucket", &[labels[0], ("le", "+Inf")])?;
    let attributed = agent.metric("tracer_requests_total", &[labels[0], ("attribution", "none")])?;
    let folded = agent.metric("tracer_requests_folded_total", &labels)?;
    agent.finish()?;
    let told = Summary::parse(&each.finish()?)?;
    let told = told.pod(uid)?;
    println!("{load:?} {:?}\nfolding {folding:?}\ntold    {told:?}", summary.accounting);

    ensure!((folding.requests, told.requests, told.folded) == (load.ok, load.ok, 0));
    ensure!(folding.folded > load.ok / 4 * 3 && folding.folded < load.ok, "{} folded", folding.folded);
    summary.accounting.check()?;
    ensure!(summary.accounting.dropped() == 0 && summary.accounting.emitted < load.ok / 4);
    let counts = [count, within, attributed, folded].map(round);
    ensure!(counts == [load.ok, load.ok, load.ok, folding.folded], "{counts:?} in the metrics");
    ensure!((total - folding.total_seconds).abs() < 1e-6, "{total} s in the histogram");
    // Each has looked at the clock itself, one after the other.
    same_stages(folding, told, load.ok, 2e-6)
}

/// A capture is told of each request, and so is everybody who counts.
#[test]
fn a_capture_takes_nothing_from_the_metrics() -> Result<()> {
    let nginx = Nginx::start()?;
    let agent = Tracing::start(&program()?, &nginx.lab, "agent", &["--allow-capture"])?;
    let load = nginx.start_load(Path::new(PROGRAM), 8_000, 16)?;
    // By then requests are folded.
    pause(3_000);
    let before = agent.metric("tracer_requests_folded_total", &[("pod", nginx.server.uid())])?;
    let file = nginx.lab.dir().join("capture.pcapng");
    run(&mut through_agent::capture(&nginx.lab, &file, &["--duration", "3", "--slower-than", "1s"])?)?;
    let after = agent.metric("tracer_requests_folded_total", &[("pod", nginx.server.uid())])?;
    let load = load.finish()?;
    pause(1_000);
    let uid = nginx.server.uid();
    let summary = agent.settled(uid, load.ok)?;
    let labels = [("pod", uid)];
    let count = agent.metric("tracer_request_duration_seconds_count", &labels)?;
    let total = agent.metric("tracer_request_duration_seconds_sum", &labels)?;
    let folded = agent.metric("tracer_requests_folded_total", &labels)?;
    agent.finish()?;
    let pod = summary.pod(uid)?;
    println!("{load:?} {before} folded before, {after} then, {folded} at the end; {pod:?}");
    ensure!(before > 4_000.0, "not folded before the capture");
    ensure!(after < before + 8_000.0, "folded during the capture");
    ensure!(folded > after + 4_000.0, "not folded after the capture");
    ensure!((round(count), pod.requests) == (load.ok, load.ok), "{count} in the metrics");
    ensure!(round(folded) == pod.folded, "{folded} folded in the metrics");
    ensure!((total - pod.total_seconds).abs() < 1e-6, "{total} s in the histogram");
    Ok(())
}

/// The end of tracing waits for what the kernel has added up.
#[test]
fn the_end_of_tracing_loses_nothing_of_a_load_that_goes_on() -> Result<()> {
    let nginx = Nginx::start()?;
    let flags = ["--output", "json"];
    let start =
        |flags: &[&str]| Tracing::start_on(nginx.server.cgroup(), &program()?, &nginx.lab, "live", flags);
    let (folding, each) = (start(&flags)?, start(&[&flags[..], &["--fold-above", "0"]].concat())?);
    let load = nginx.start_load(Path::new(PROGRAM), 8_000, 8)?;
    pause(4_000);
    let (folding, each) = std::thread::scope(|scope| {
        let folding = scope.spawn(|| folding.finish());
        let each = each.finish();
        (folding.join(), each)
    });
    load.finish()?;
    let folding = folding.map_err(|_| anyhow!("the end of a tracer panicked"))?;
    let (folding, each) = (Summary::parse(&folding?)?, Summary::parse(&each?)?);
    let uid = nginx.server.uid();
    let (folding, told) = (folding.pod(uid)?, each.pod(uid)?);
    println!("folding {folding:?}\ntold    {told:?}");
    ensure!(folding.folded > folding.requests / 2 && told.folded == 0);
    // It ends a fifth of a second later: without that, it would lack what is on the way in that time, 800 on average.
    ensure!(folding.requests >= told.requests, "{} of {} requests", folding.requests, told.requests);
    Ok(())
}

/// Requests of a pod whose other container, of which the programs know nothing yet, calls a server meanwhile.
#[test]
fn a_request_that_may_have_caused_a_call_is_told_of() -> Result<()> {
    let mut pair = Pair::start(Path::new(PROGRAM), "answer", &["--delay", "5"])?;
    let upstream = pair.lab.pod(PodSpec { name: "upstream", qos: Qos::Burstable })?;
    let mut command = upstream.command(PROGRAM);
    command.args(["answer", "--listen", "0.0.0.0:80", "--delay", "40", "--log"]);
    command.arg(pair.lab.dir().join("upstream.jsonl"));
    let _upstream = Running::spawn("the upstream", &mut command)?;
    wait_for_listener(upstream.namespace(), 80)?;

    let agent = Tracing::start(&program()?, &pair.lab, "agent", &[])?;
    let each = Tracing::start(&program()?, &pair.lab, "live", &["--output", "json", "--fold-above", "0"])?;
    let mut load = pair.client("load");
    let mut load =
        Running::spawn("the load", load.args(["--rate", "3000", "--seconds", "12"]).stdout(Stdio::null()))?;
    let calls = || {
        let mut command = pair.server.container_command("second", PROGRAM)?;
        command.args(["load", "--target", &format!("{}:80", upstream.addresses().v4)]);
        command.args(["--rate", "20", "--seconds", "1", "--connections", "1", "--threads", "1"]);
        let mut calls = Running::spawn("the calls", command.stdout(Stdio::null()))?;
        ensure!(calls.wait(Duration::from_secs(10))? == Some(0), "a call failed");
        Ok(())
    };
    // By then the pod's requests are folded; and after the pause, again.
    pause(4_000);
    calls()?;
    pause(3_500);
    calls()?;
    ensure!(load.wait(Duration::from_secs(30))? == Some(0), "a request failed");
    pause(1_000);
    let uid = pair.server.uid();
    let summary = agent.settled(uid, 36_000)?;
    agent.finish()?;
    let told = Summary::parse(&each.finish()?)?;
    let (folding, told) = (summary.pod(uid)?, told.pod(uid)?);
    println!("folding {folding:?}\ntold    {told:?}");

    ensure!(folding.requests == told.requests && folding.folded > folding.requests / 4);
    // Each looked at the clock itself: a request may end just before a call for one, and just after it for the other.
    let others = told.attribution.iter().map(|(how, count)| folding.attribution[how].abs_diff(*count));
    ensure!(others.sum::<u64>() <= 2, "calls are tied to other requests");
    // Not more, because the load pauses between its batches.
    ensure!(told.attribution["shared"] >= 10, "no call came while requests were in flight");
    ensure!(told.stages["upstream"] > 0.02, "the calls are in no breakdown");
    same_stages(folding, told, told.requests, 5e-6)
}

/// Whether each stage is the same, per request and in seconds.
fn same_stages(one: &PodSummary, other: &PodSummary, requests: u64, within: f64) -> Result<()> {
    #[expect(clippy::cast_precision_loss, reason = "some ten thousand requests")]
    let requests = requests as f64;
    for stage in STAGES {
        let difference = (one.stages[stage] - other.stages[stage]).abs() / requests;
        ensure!(difference < within, "{stage} differs by {difference} s per request");
    }
    Ok(())
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of requests")]
fn round(value: f64) -> u64 {
    value.round() as u64
}

fn pause(milliseconds: u64) {
    std::thread::sleep(Duration::from_millis(milliseconds));
}
