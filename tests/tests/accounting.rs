//! Accounting: what the kernel emitted was consumed or is counted as dropped.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use tracer_lab::nginx::Nginx;
use tracer_lab::process::Signal;
use tracer_lab::tracer::report::Summary;
use tracer_lab::tracer::{Tracing, program};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tracer-lab");
const RATE: u32 = 20_000;
const SECONDS: u32 = 10;

#[test]
fn twenty_thousand_requests_per_second_lose_nothing() -> Result<()> {
    let nginx = Nginx::start()?;
    let agent = Tracing::start(&program()?, &nginx.lab, "agent", &[])?;
    let load = nginx.start_load(Path::new(PROGRAM), RATE, SECONDS)?.finish()?;
    println!("{load:?}");
    let summary = settled(&agent, &nginx, load.ok)?;
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
    let load = nginx.start_load(Path::new(PROGRAM), RATE, SECONDS)?.finish()?;
    agent.signal(Signal::Continue)?;
    let summary = settled(&agent, &nginx, load.ok)?;
    println!("{load:?} {:?}", summary.accounting);
    summary.accounting.check()?;
    ensure!(summary.accounting.dropped() > 0, "nothing was dropped: {:?}", summary.accounting);
    ensure!(summary.partial, "the summary does not say that it is partial");
    agent.finish().map(drop)
}

/// The summary when no more records are on their way.
fn settled(agent: &Tracing<'_>, nginx: &Nginx, requests: u64) -> Result<Summary> {
    std::thread::sleep(Duration::from_secs(1));
    agent.settled(nginx.server.uid(), requests)
}
