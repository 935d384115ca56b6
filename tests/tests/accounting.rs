//! Accounting: what the kernel emitted was consumed or is counted as dropped.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use tracer_lab::log::LoadSummary;
use tracer_lab::nginx::Nginx;
use tracer_lab::process::Signal;
use tracer_lab::tracer::report::{PodSummary, Summary};
use tracer_lab::tracer::{Tracing, program};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tracer-lab");
const RATE: u32 = 20_000;
const SECONDS: u32 = 10;

#[test]
fn twenty_thousand_requests_per_second_lose_nothing() -> Result<()> {
    nothing_is_lost(&[])
}

/// The same when each request is told of by a record of its own.
#[test]
fn twenty_thousand_records_per_second_lose_nothing() -> Result<()> {
    nothing_is_lost(&["--fold-above", "0"])
}

fn nothing_is_lost(flags: &[&str]) -> Result<()> {
    let nginx = Nginx::start()?;
    let agent = Tracing::start(&program()?, &nginx.lab, "agent", flags)?;
    let load = at_full_rate(&nginx)?;
    let summary = settled(&agent, &nginx, load.ok)?;
    println!("{load:?} {:?}", summary.accounting);
    summary.accounting.check()?;
    ensure!(summary.accounting.dropped() == 0 && !summary.partial, "{:?}", summary.accounting);
    let requests = summary.pod(nginx.server.uid())?.requests;
    ensure!(requests == load.ok, "{requests} requests traced, {} made", load.ok);
    agent.finish().map(drop)
}

#[test]
fn a_stopped_consumer_has_its_losses_counted() -> Result<()> {
    let nginx = Nginx::start()?;
    let agent = Tracing::start(&program()?, &nginx.lab, "agent", &[])?;
    agent.signal(Signal::Stop)?;
    let load = at_full_rate(&nginx)?;
    agent.signal(Signal::Continue)?;
    let summary = settled(&agent, &nginx, load.ok)?;
    println!("{load:?} {:?}", summary.accounting);
    summary.accounting.check()?;
    ensure!(summary.accounting.dropped() > 0, "nothing was dropped: {:?}", summary.accounting);
    ensure!(summary.partial, "the summary does not say that it is partial");
    let dropped = summary.accounting.dropped();
    // A record tells of one request of nginx, or of one call of the load, at most.
    let told: u64 = summary.pods.iter().map(|pod| pod.requests + calls(pod)).sum();
    let made = 2 * load.ok;
    ensure!(told + dropped >= made, "{told} requests and calls told, {dropped} records dropped, {made} made");
    in_the_metrics_too(&agent)?;
    agent.finish().map(drop)
}

/// The load, which must have been as much as it is said to be.
fn at_full_rate(nginx: &Nginx) -> Result<LoadSummary> {
    let load = nginx.start_load(Path::new(PROGRAM), RATE, SECONDS)?.finish()?;
    let all = u64::from(RATE * SECONDS);
    ensure!(load.ok == all && load.seconds < f64::from(SECONDS) * 1.1, "not {RATE} per second: {load:?}");
    Ok(load)
}

/// Connects aside.
fn calls(pod: &PodSummary) -> u64 {
    pod.calls.get("upstream").map_or(0, |calls| calls.count)
}

/// `/metrics` accounts for every record, as the summary does.
fn in_the_metrics_too(agent: &Tracing<'_>) -> Result<()> {
    let [emitted, consumed, dropped] =
        ["emitted", "consumed", "dropped"].map(|what| agent.sum(&format!("tracer_events_{what}_total")));
    let (emitted, consumed, dropped) = (emitted?, consumed?, dropped?);
    let rest = emitted - consumed - dropped;
    ensure!(dropped > 0.0 && rest.abs() < 0.5, "of {emitted} records, {consumed} and {dropped} are told of");
    Ok(())
}

/// The summary when no more records are on their way.
fn settled(agent: &Tracing<'_>, nginx: &Nginx, requests: u64) -> Result<Summary> {
    std::thread::sleep(Duration::from_secs(1));
    agent.settled(nginx.server.uid(), requests)
}
