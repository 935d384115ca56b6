//! Pods that come and go: what is known of them goes too, and what stays does not jump.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tracer_lab::http::get;
use tracer_lab::pod::cgroup;
use tracer_lab::pod::network::wait_for_listener;
use tracer_lab::process::{Running, Signal};
use tracer_lab::tracer::{Tracing, program};
use tracer_lab::{Lab, Pod, PodSpec, Qos, say};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tracer-lab");
const PODS: u64 = 60;
const REQUESTS: u64 = 3;

#[test]
fn pods_that_are_gone_leave_no_series() -> Result<()> {
    let began = Instant::now();
    let mut lab = Lab::new()?;
    let stays = lab.pod(PodSpec { name: "stays", qos: Qos::Guaranteed })?;
    let server = serve(&stays)?;
    let passing: Vec<String> = (0..PODS).map(|number| format!("passing-{number}")).collect();
    // Namespaces and cgroups first: they take longest, and the agent borrows the lab.
    let pods = passing.iter().map(|name| lab.pod(PodSpec { name, qos: Qos::BestEffort }));
    let pods: Vec<Pod> = pods.collect::<Result<_>>()?;
    let agent = Tracing::start(&program()?, &lab, "agent", &["--pod-retention", "2"])?;
    let (mut most, mut before) = (0, 0.0);
    for pod in pods {
        let server = serve(&pod)?;
        ask(&lab, &pod)?;
        ask(&lab, &stays)?;
        drop(server);
        cgroup::remove(pod.cgroup().parent().context("a pod's cgroup")?)?;
        let (series, requests) = (series(&agent)?, requests_of(&agent, &stays)?);
        most = most.max(series);
        ensure!(requests >= before, "the requests of a pod that stays went from {before} to {requests}");
        before = requests;
    }
    let deadline = Instant::now() + Duration::from_secs(15);
    while series(&agent)? > 1 {
        ensure!(Instant::now() < deadline, "{} pods have series still", series(&agent)?);
        std::thread::sleep(Duration::from_millis(200));
    }
    ensure!(most < 50, "{most} pods had series at once: none went meanwhile");
    let summary = agent.settled(stays.uid(), PODS * REQUESTS)?;
    ensure!(summary.pods.len() == 1, "{:?}", summary.pods);
    summary.accounting.check()?;
    let known: Value = serde_json::from_str(&agent.get("/api/v1/pods?minutes=60")?)?;
    ensure!(known["pods"].as_array().map(Vec::len) == Some(1), "{known}");
    #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
    let expected = (PODS * REQUESTS) as f64;
    let requests = requests_of(&agent, &stays)?;
    ensure!((requests - expected).abs() < 0.5, "{requests} of {expected} requests of the pod that stays");
    drop(server);
    say(&format!("{PODS} pods, {most} with series at once, {:.0} s", began.elapsed().as_secs_f64()));
    agent.end(Signal::Terminate).map(drop)
}

/// A server in the pod that answers GETs.
fn serve(pod: &Pod) -> Result<Running> {
    let mut command = pod.command(&Path::new(PROGRAM).to_string_lossy());
    let server = Running::spawn(
        "a server",
        command.args(["answer", "--listen", "0.0.0.0:8080", "--log", "/dev/null"]),
    )?;
    wait_for_listener(pod.namespace(), 8080)?;
    Ok(server)
}

fn ask(lab: &Lab, pod: &Pod) -> Result<()> {
    let address = SocketAddr::new(pod.addresses().v4.into(), 8080);
    (0..REQUESTS).try_for_each(|_| lab.node().enter(|| get(address, "/")).map(drop))
}

/// Pods that have series.
fn series(agent: &Tracing<'_>) -> Result<usize> {
    let metrics = agent.get("/metrics")?;
    let counts = metrics.lines().filter(|line| line.starts_with("tracer_request_duration_seconds_count{"));
    Ok(counts.count())
}

fn requests_of(agent: &Tracing<'_>, pod: &Pod) -> Result<f64> {
    let metrics = agent.get("/metrics")?;
    let own =
        |line: &&str| line.starts_with("tracer_request_duration_seconds_count{") && line.contains(pod.uid());
    // None has settled yet.
    let Some(line) = metrics.lines().find(own) else { return Ok(0.0) };
    line.rsplit(' ').next().unwrap_or_default().parse().context("a count")
}
