//! Sums per pod, and the accounting of tracer itself: what every output shows.

use std::{collections::BTreeMap, sync::Arc};

use super::{Attribution, CallKind, Request, Stages, folded::Folded};
use crate::{finding::Finding, pod::Pod};

/// Count and time of the calls of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallTotal {
    /// Calls that ended.
    pub count: u64,
    /// Sum of their durations, nanoseconds (overlaps count each).
    pub nanoseconds: u64,
}

/// Sums over the settled requests and ended calls of one pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Settled requests.
    pub requests: u64,
    /// Those of them that the kernel added up.
    pub folded: u64,
    /// Their stages, summed; adds up to their total time.
    pub stages: Stages,
    /// Calls by how they were attributed, in the order of [`Attribution::ALL`].
    pub attribution: [u64; 4],
    /// Calls by kind, in the order of [`CallKind::ALL`].
    pub calls: [CallTotal; 4],
}

impl Totals {
    /// Adds a request that was answered (not its calls: those are added once each, when they are attributed).
    pub fn add_request(&mut self, request: &Request) {
        self.requests += 1;
        self.stages.add(&request.stages);
    }

    /// Adds requests that the kernel added up.
    pub fn add_folded(&mut self, folded: &Folded) {
        self.requests += folded.count;
        self.folded += folded.count;
        self.stages.add(&folded.stages);
    }

    /// What was added since these sums were `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut added = *self;
        added.requests = added.requests.saturating_sub(earlier.requests);
        added.folded = added.folded.saturating_sub(earlier.folded);
        added.stages = self.stages.since(&earlier.stages);
        for (added, earlier) in added.attribution.iter_mut().zip(earlier.attribution) {
            *added = added.saturating_sub(earlier);
        }
        for (added, earlier) in added.calls.iter_mut().zip(earlier.calls) {
            added.count = added.count.saturating_sub(earlier.count);
            added.nanoseconds = added.nanoseconds.saturating_sub(earlier.nanoseconds);
        }
        added
    }

    /// Adds a call once.
    pub fn add_call(&mut self, kind: CallKind, nanoseconds: u64, attribution: Attribution) {
        let total = &mut self.calls[kind as usize];
        total.count += 1;
        total.nanoseconds += nanoseconds;
        self.attribution[attribution as usize] += 1;
    }
}

/// The oddity that makes a summary partial: requests in flight that were given up.
pub const ABANDONED: &str = "abandoned";
/// The oddity that makes the summary of a capture partial: places where sent segments are missing in it.
pub const UNCAPTURED: &str = "not_captured";

/// The oddity that makes a summary partial: requests that the kernel added up to sums that do not fit each other.
pub const SUMS_REFUSED: &str = "sums_refused";

/// All that make a summary partial.
pub const INCOMPLETE: [&str; 3] = [ABANDONED, SUMS_REFUSED, UNCAPTURED];

/// What the kernel emitted and what became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accounting {
    /// Records that the BPF programs made.
    pub emitted: u64,
    /// Records that were read and understood.
    pub consumed: u64,
    /// Records lost, by reason; every known reason is there, with 0.
    pub dropped: BTreeMap<&'static str, u64>,
    /// What was read and could not be used as it should, by kind; every known kind is there, with 0.
    pub oddities: BTreeMap<&'static str, u64>,
}

impl Accounting {
    /// Whether every record that was emitted is consumed or dropped.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.emitted == self.consumed + self.dropped.values().sum::<u64>()
    }

    /// Whether something is missing from the numbers.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        INCOMPLETE.iter().any(|oddity| self.oddity(oddity) > 0) || self.dropped.values().any(|n| *n > 0)
    }

    /// How often an oddity was seen.
    #[must_use]
    pub fn oddity(&self, name: &str) -> u64 {
        self.oddities.get(name).copied().unwrap_or(0)
    }
}

/// What became of captured packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketAccounting {
    /// Packets that the BPF programs were to hand over.
    pub emitted: u64,
    /// Packets that were taken out of the ring.
    pub consumed: u64,
    /// Packets for which the ring had no room.
    pub dropped: u64,
}

/// Everything that the summary outputs show.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Per pod, by name.
    pub pods: Vec<PodSummary>,
    /// The accounting.
    pub accounting: Accounting,
}

/// One pod of a [`Summary`].
#[derive(Clone, Debug)]
pub struct PodSummary {
    /// The pod.
    pub pod: Arc<Pod>,
    /// Its sums.
    pub totals: Totals,
    /// Its open findings.
    pub findings: Vec<Finding>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_and_what_was_added_are_the_sums() {
        let earlier = Totals {
            requests: 2,
            folded: 1,
            stages: Stages { receive: 1, dns: 2, connect: 3, metadata: 4, upstream: 5, own: 6, send: 7 },
            attribution: [1, 2, 3, 4],
            calls: [CallTotal { count: 3, nanoseconds: 30 }; 4],
        };
        let mut sums = earlier;
        sums.requests += 1;
        sums.stages.add(&earlier.stages);
        sums.add_call(CallKind::Metadata, 7, Attribution::Shared);
        let added = sums.since(&earlier);
        assert_eq!((added.requests, added.stages, added.attribution), (1, earlier.stages, [0, 0, 1, 0]));
        assert_eq!(added.calls[CallKind::Metadata as usize], CallTotal { count: 1, nanoseconds: 7 });
        assert_eq!(added.calls[CallKind::Dns as usize], CallTotal::default());
        // Sums that began anew are no reason to panic.
        assert_eq!(earlier.since(&sums), Totals::default());
    }
}
