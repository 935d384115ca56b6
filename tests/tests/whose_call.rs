//! Whose call: with many requests at once, a call is tied to the request that made it, or said to be shared.

use std::path::Path;

use anyhow::{Result, ensure};
use tracer_lab::incident::{Incident, Settings};
use tracer_lab::log::RequestLine;
use tracer_lab::oracle::Verdict;
use tracer_lab::role::backend::Mode;
use tracer_lab::tracer::report::TracedRequest;
use tracer_lab::tracer::{Live, live, program};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tracer-lab");
const REQUESTS: u64 = 800;
const PARALLEL: u64 = 16;

#[test]
fn a_thread_per_request_gives_each_call_to_its_request() -> Result<()> {
    let (live, logged, backend) = run(Mode::Thread)?;
    let verdict = Verdict::of(&traced(&live, &backend)?, &logged);
    println!("thread per request: {verdict:?}");
    ensure!(verdict.wrong == 0 && verdict.missing == 0, "{verdict:?}");
    ensure!(verdict.right * 100 >= verdict.calls() * 99, "less than 99 % are right: {verdict:?}");
    Ok(())
}

#[test]
fn an_async_backend_keeps_its_sums_and_shows_what_is_ambiguous() -> Result<()> {
    let (live, logged, backend) = run(Mode::Async)?;
    let verdict = Verdict::of(&traced(&live, &backend)?, &logged);
    println!("async: {verdict:?}");
    ensure!(
        verdict.wrong * 100 <= verdict.calls(),
        "calls are given to wrong requests for sure: {verdict:?}"
    );
    // Parsing the summary has checked that its stages add up.
    let pod = live.summary.pod(&backend)?;
    ensure!(pod.attribution["shared"] > 0, "nothing is shared: {:?}", pod.attribution);
    let logged: u64 = logged.iter().map(|request| request.t3 - request.t0).sum();
    let logged = std::time::Duration::from_nanos(logged).as_secs_f64();
    let apart = (pod.total_seconds - logged).abs();
    ensure!(apart < 0.03 * logged, "{} s traced, {logged} s logged", pod.total_seconds);
    Ok(())
}

fn run(mode: Mode) -> Result<(Live, Vec<RequestLine>, String)> {
    let incident = Incident::start(Settings { mode, ..Settings::sick(Path::new(PROGRAM)) })?;
    let live = live(&program()?, &incident.lab, || incident.run(REQUESTS, PARALLEL).map(drop))?;
    ensure!(live.summary.accounting.dropped() == 0, "{:?}", live.summary.accounting);
    let logged: Vec<_> = incident.requests()?.into_iter().filter(|line| line.n > 0).collect();
    ensure!(logged.len() as u64 == REQUESTS);
    Ok((live, logged, incident.backend.uid().to_owned()))
}

fn traced<'a>(live: &'a Live, backend: &str) -> Result<Vec<&'a TracedRequest>> {
    let traced: Vec<_> = live.requests.iter().filter(|request| request.pod.contains(backend)).collect();
    ensure!(traced.len() as u64 == REQUESTS, "{} of {REQUESTS} requests were traced", traced.len());
    traced.iter().try_for_each(|request| request.check())?;
    Ok(traced)
}
