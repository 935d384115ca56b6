//! Whose call: with many requests at once, a call is tied to the request that made it, or said to be shared.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, ensure};
use tracer_lab::incident::{Incident, Settings};
use tracer_lab::log::RequestLine;
use tracer_lab::oracle::{Fate, Verdict};
use tracer_lab::role::backend::Mode;
use tracer_lab::say;
use tracer_lab::tracer::report::{PodSummary, TracedRequest};
use tracer_lab::tracer::{Live, live, program};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tracer-lab");
const REQUESTS: u64 = 800;
const PARALLEL: u64 = 16;

#[test]
fn a_thread_per_connection_gives_each_call_to_its_request() -> Result<()> {
    let run = Run::of("a thread per connection", marked())?;
    run.is_right()
}

#[test]
fn a_thread_and_a_connection_per_request_gives_each_call_to_its_request() -> Result<()> {
    let run = Run::of("a thread and a connection per request", Settings { fresh: true, ..marked() })?;
    run.is_right()
}

#[test]
fn lookups_of_each_request_at_once_are_told_apart() -> Result<()> {
    let settings = Settings { fresh: true, dns_cache: 0, ..marked() };
    let run = Run::of("a lookup per request", settings)?;
    let lookups = run.logged.iter().flat_map(|request| &request.calls).filter(|call| call.local_port == 0);
    ensure!(lookups.count() as u64 == REQUESTS);
    run.is_right()
}

#[test]
fn an_async_backend_keeps_its_sums_and_shows_what_is_ambiguous() -> Result<()> {
    shows_what_is_ambiguous(&Run::of("async", Settings { mode: Mode::Async, ..marked() })?)
}

#[test]
fn an_async_backend_with_two_requests_at_once_is_no_different() -> Result<()> {
    shows_what_is_ambiguous(&Run::at("async", Settings { mode: Mode::Async, ..marked() }, 100, 2)?)
}

fn shows_what_is_ambiguous(run: &Run) -> Result<()> {
    let (verdict, pod) = (run.verdict()?, run.pod()?);
    ensure!(
        verdict.total(&[Fate::Wrong]) == 0,
        "calls are tied for sure to requests that did not make them: {verdict}"
    );
    ensure!(verdict.total(&[Fate::Astray, Fate::Missing]) == 0, "{verdict}");
    // Parsing the summary has checked that its stages add up.
    ensure!(pod.attribution["shared"] > 0, "nothing is shared: {:?}", pod.attribution);
    let logged: u64 = run.logged.iter().map(|request| request.t3 - request.t0).sum();
    let logged = std::time::Duration::from_nanos(logged).as_secs_f64();
    let apart = (pod.total_seconds - logged).abs();
    ensure!(apart < 0.03 * logged, "{} s traced, {logged} s logged", pod.total_seconds);
    run.shares_add_up()
}

fn marked() -> Settings {
    Settings { marked: true, ..Settings::sick(Path::new(PROGRAM)) }
}

/// Many requests at once, as the tracer saw them and as the backend logged them.
struct Run {
    name: &'static str,
    live: Live,
    logged: Vec<RequestLine>,
    backend: String,
}

impl Run {
    fn of(name: &'static str, settings: Settings) -> Result<Self> {
        Self::at(name, settings, REQUESTS, PARALLEL)
    }

    fn at(name: &'static str, settings: Settings, requests: u64, parallel: u64) -> Result<Self> {
        let incident = Incident::start(settings)?;
        let live = live(&program()?, &incident.lab, || incident.run(requests, parallel).map(drop))?;
        ensure!(live.summary.accounting.dropped() == 0, "{:?}", live.summary.accounting);
        let logged: Vec<_> = incident.requests()?.into_iter().filter(|line| line.n > 0).collect();
        ensure!(logged.len() as u64 == requests);
        let run = Self { name, live, logged, backend: incident.backend.uid().to_owned() };
        say(&format!("{}, {parallel} requests at once: {}", run.name, run.verdict()?));
        say(&format!("the tracer counts {:?}", run.pod()?.attribution));
        Ok(run)
    }

    fn traced(&self) -> Result<Vec<&TracedRequest>> {
        let traced = self.live.of(&self.backend)?;
        let made = self.logged.len();
        ensure!(traced.len() == made, "{} of {made} requests were traced", traced.len());
        Ok(traced)
    }

    fn verdict(&self) -> Result<Verdict> {
        Ok(Verdict::of(&self.traced()?, &self.logged))
    }

    fn pod(&self) -> Result<&PodSummary> {
        self.live.summary.pod(&self.backend)
    }

    /// At least 99 % of the calls are tied to their request, the others are shared with it, none is wrong.
    fn is_right(&self) -> Result<()> {
        let verdict = self.verdict()?;
        ensure!(verdict.total(&[Fate::Wrong, Fate::Astray, Fate::Missing]) == 0, "{verdict}");
        ensure!(verdict.right() * 100 >= verdict.calls() * 99, "less than 99 % are right: {verdict}");
        let pod = self.pod()?;
        let counted = ["thread", "exclusive", "shared", "none"].map(|how| pod.attribution[how]);
        let logged = [Fate::Thread, Fate::Exclusive, Fate::Shared].map(|fate| verdict.total(&[fate]) as u64);
        ensure!(counted[..3] == logged && counted[3] == 0, "the tracer's own counts are others: {counted:?}");
        self.shares_add_up()
    }

    /// Each call counts once over all requests that it may belong to.
    fn shares_add_up(&self) -> Result<()> {
        let mut shares: BTreeMap<_, f64> = BTreeMap::new();
        for request in self.traced()? {
            for call in &request.calls {
                *shares.entry((&call.local, request.interval(call).0, &call.what)).or_default() += call.share;
            }
        }
        let off: Vec<_> = shares.iter().filter(|(_, share)| (**share - 1.0).abs() > 1e-6).collect();
        ensure!(
            off.is_empty(),
            "{} of {} calls do not count once: {:?}",
            off.len(),
            shares.len(),
            off.first()
        );
        Ok(())
    }
}
