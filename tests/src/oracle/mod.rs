//! What the servers' own clocks say a breakdown should be, and how far two readings may differ.

mod verdict;

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

use crate::log::{CallLine, Kind, QueryLine, RequestLine};
use crate::say;
use crate::tracer::report::{STAGES, TracedRequest};

pub use verdict::{Fate, Verdict};

/// A stage in which a call of the backend belongs.
#[must_use]
pub fn stage(call: &CallLine) -> &'static str {
    match call.kind {
        Kind::Dns => "dns",
        Kind::Connect if call.peer.starts_with("169.254.169.254:") => "metadata",
        Kind::Connect => "connect",
        Kind::Metadata => "metadata",
        Kind::Upstream => "upstream",
    }
}

/// The breakdown of a request whose calls do not overlap, in nanoseconds by the clocks of the backend and of
/// its DNS server.
#[must_use]
pub fn breakdown(request: &RequestLine, queries: &[QueryLine]) -> BTreeMap<&'static str, u64> {
    let mut stages = BTreeMap::from(STAGES.map(|stage| (stage, 0)));
    let mut add = |stage, time| *stages.entry(stage).or_default() += time;
    add("receive", request.t1 - request.t0);
    add("send", request.t3 - request.t2);
    let mut called = 0;
    for call in &request.calls {
        let took = if call.kind == Kind::Dns { asked(call, queries) } else { call.end - call.start };
        add(stage(call), took);
        called += took;
    }
    add("self", (request.t2 - request.t1).saturating_sub(called));
    stages
}

/// The line of the log that is about the request.
pub fn line_of<'a>(request: &TracedRequest, logged: &'a [RequestLine]) -> Result<&'a RequestLine> {
    let found = logged.iter().find(|line| Some(line.n) == request.number());
    found.with_context(|| format!("{request} is not in the log"))
}

/// How long a lookup waited for the DNS server, from the first query to the last answer by the server's
/// clock: what the resolver library does before and after, such as reading its files, is the backend's own
/// time. No other lookup may go on meanwhile.
fn asked(call: &CallLine, queries: &[QueryLine]) -> u64 {
    let own = || queries.iter().filter(|query| (call.start..=call.end).contains(&query.received));
    let (first, last) = (own().map(|query| query.received).min(), own().map(|query| query.answered).max());
    first.zip(last).map_or(0, |(first, last)| last - first)
}

/// Differences between two readings of the same things.
#[derive(Default)]
pub struct Differences {
    /// How far apart in nanoseconds, how far they may be, and of what.
    pairs: Vec<(u64, u64, String)>,
}

impl Differences {
    /// Adds a pair of readings in nanoseconds that may differ by `allowed`.
    pub fn add(&mut self, what: String, one: u64, other: u64, allowed: u64) {
        self.pairs.push((one.abs_diff(other), allowed, what));
    }

    /// Adds the stages of a request as they were traced and logged, which may differ by 1 ms or 3 %.
    pub fn add_stages(&mut self, request: &TracedRequest, line: &RequestLine, queries: &[QueryLine]) {
        for (stage, logged) in breakdown(line, queries) {
            self.add_stage(request, stage, logged);
        }
    }

    /// Adds one stage of a request, in the same way.
    pub fn add_stage(&mut self, request: &TracedRequest, stage: &str, logged: u64) {
        let traced = request.stages_ns[stage];
        let what = format!("{request}: {stage} {traced} ns traced, {logged} ns logged");
        self.add(what, traced, logged, 1_000_000.max(logged * 3 / 100));
    }

    /// How many pairs were compared.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether nothing was compared.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Checks that 99 of 100 pairs, and there are pairs, differ by no more than they may.
    pub fn check(&mut self, name: &str) -> Result<()> {
        ensure!(!self.is_empty(), "{name}: nothing was compared");
        self.pairs.sort_unstable();
        let [median, p99] = [50, 99].map(|percent| self.pairs[(self.len() - 1) * percent / 100].0);
        say(&format!("{name}: {} readings, median {median} ns apart, p99 {p99} ns", self.len()));
        let beyond: Vec<_> = self.pairs.iter().filter(|(apart, allowed, _)| apart > allowed).collect();
        let worst = beyond.iter().rev().take(5).collect::<Vec<_>>();
        ensure!(
            beyond.len() <= self.len() / 100,
            "{name}: {} of {} too far apart: {worst:?}",
            beyond.len(),
            self.len()
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests;
