//! Whose call it was, by the backend's log, against what the tracer says.

use std::collections::BTreeMap;
use std::fmt;

use super::stage;
use crate::log::{CallLine, Kind, RequestLine};
use crate::tracer::report::{TracedCall, TracedRequest};

/// How far the two clocks' readings of the same moment may be apart.
const NEAR: u64 = 1_000_000;

/// What became of a call, as far as the tracer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// Tied to its request, by the thread.
    Thread,
    /// Tied to its request, the only one in flight.
    Exclusive,
    /// Said to be ambiguous, its request among those it may belong to.
    Shared,
    /// Said to be ambiguous, its request not among those it may belong to.
    Astray,
    /// Found in no request.
    Missing,
    /// Tied for sure to a request that made no such call.
    Wrong,
}

/// What became of the calls that the backend logged, by stage.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    counts: BTreeMap<(&'static str, Fate), usize>,
}

impl Verdict {
    /// Compares the requests traced in the backend's pod with its log. The lab must mark its calls
    /// ([`crate::incident::Settings::marked`]), or lookups of the same name cannot be told apart.
    #[must_use]
    pub fn of(traced: &[&TracedRequest], logged: &[RequestLine]) -> Self {
        let mut verdict = Self::default();
        for line in logged {
            for call in &line.calls {
                let fate = fate(traced, line.n, call);
                if matches!(fate, Fate::Missing | Fate::Astray) {
                    println!("{fate:?}: request {} made {call:?}", line.n);
                }
                verdict.count(stage(call), fate);
            }
        }
        for request in traced {
            let line = logged.iter().find(|line| Some(line.n) == request.number());
            for call in request.calls.iter().filter(|call| call.attribution != "shared") {
                if !line.is_some_and(|line| line.calls.iter().any(|logged| same(request, call, logged))) {
                    println!("Wrong: {request} has {call:?}");
                    let stage = crate::tracer::report::STAGES.into_iter().find(|&stage| stage == call.kind);
                    verdict.count(stage.unwrap_or("unknown"), Fate::Wrong);
                }
            }
        }
        verdict
    }

    fn count(&mut self, stage: &'static str, fate: Fate) {
        *self.counts.entry((stage, fate)).or_default() += 1;
    }

    /// How many calls had one of these fates.
    #[must_use]
    pub fn total(&self, fates: &[Fate]) -> usize {
        self.counts.iter().filter(|((_, fate), _)| fates.contains(fate)).map(|(_, count)| count).sum()
    }

    /// All calls that the backend logged.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.total(&[Fate::Thread, Fate::Exclusive, Fate::Shared, Fate::Astray, Fate::Missing])
    }

    /// The calls that were tied to their request.
    #[must_use]
    pub fn right(&self) -> usize {
        self.total(&[Fate::Thread, Fate::Exclusive])
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} calls, {} tied to their request", self.calls(), self.right())?;
        for ((stage, fate), count) in &self.counts {
            write!(f, "\n      {stage:<9}{:<10}{count:>6}", format!("{fate:?}").to_lowercase())?;
        }
        Ok(())
    }
}

fn fate(traced: &[&TracedRequest], n: u64, logged: &CallLine) -> Fate {
    let mut found = Fate::Missing;
    for (request, call) in traced.iter().flat_map(|request| request.calls.iter().map(move |c| (request, c))) {
        if !same(request, call, logged) {
            continue;
        }
        let own = request.number() == Some(n);
        let fate = match call.attribution.as_str() {
            "thread" if own => Fate::Thread,
            "exclusive" if own => Fate::Exclusive,
            "shared" if own => Fate::Shared,
            "shared" => Fate::Astray,
            // Tied to another request: that one is counted as wrong.
            _ => continue,
        };
        found = found.min(fate);
    }
    found
}

/// Whether both speak of the same call: they asked for the same, over the same port, and what was traced lies
/// within what was logged. It may begin well after: the backend reads its clock, then may wait for a core. The
/// resolver hides its ports.
fn same(request: &TracedRequest, call: &TracedCall, logged: &CallLine) -> bool {
    if call.kind != stage(logged) || call.what != logged.what {
        return false;
    }
    let (start, end) = request.interval(call);
    let within = start + NEAR >= logged.start && end <= logged.end + NEAR;
    within && (logged.kind == Kind::Dns || call.local_port() == logged.local_port)
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
