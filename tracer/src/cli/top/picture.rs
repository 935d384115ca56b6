//! What the screen shows at one time: two summaries, one interval apart, and what the recorder kept.

use std::{mem, sync::Arc};

use rustc_hash::FxHashMap;

use super::recorder::{Calls, Recorder};
use crate::{
    clock::WallClock,
    export::text,
    finding::{Destination, Finding},
    request::{
        CallKind, Request,
        totals::{Accounting, INCOMPLETE, Summary, Totals},
    },
};

/// One moment.
#[derive(Clone, Debug)]
pub(super) struct Picture {
    /// Nanoseconds that the rates are of.
    pub(super) elapsed: u64,
    /// For the times of findings and requests.
    pub(super) clock: WallClock,
    /// The pods, by name.
    pub(super) pods: Vec<PodPicture>,
    /// Events since the start.
    pub(super) events: u64,
    /// Events within `elapsed`.
    pub(super) recent_events: u64,
    /// What is missing in the numbers, by reason.
    pub(super) missing: Vec<(&'static str, u64)>,
    /// Slow requests that could not be kept.
    pub(super) refused: u64,
}

impl Picture {
    /// Before anything was measured.
    pub(super) fn empty(clock: WallClock) -> Self {
        Self {
            elapsed: 0,
            clock,
            pods: Vec::new(),
            events: 0,
            recent_events: 0,
            missing: Vec::new(),
            refused: 0,
        }
    }

    /// A pod by its UID.
    pub(super) fn pod(&self, uid: &str) -> Option<&PodPicture> {
        self.pods.iter().find(|pod| pod.uid == uid)
    }

    /// The open findings of a pod, or of all.
    pub(super) fn findings(&self, of: Option<&str>) -> Vec<&Finding> {
        let pods = self.pods.iter().filter(|pod| of.is_none_or(|uid| pod.uid == uid));
        pods.flat_map(|pod| &pod.findings).collect()
    }

    /// So many events per second, in tenths.
    pub(super) fn per_second(&self, count: u64) -> u64 {
        let Some(tenths) = (u128::from(count) * 10_000_000_000).checked_div(self.elapsed.into()) else {
            return 0;
        };
        u64::try_from(tenths).unwrap_or(u64::MAX)
    }
}

/// A pod at that moment.
#[derive(Clone, Debug)]
pub(super) struct PodPicture {
    /// What it is known by.
    pub(super) uid: String,
    /// What it is called, without control characters.
    pub(super) name: String,
    /// Its sums of the interval.
    pub(super) recent: Totals,
    /// Its sums since the start.
    pub(super) totals: Totals,
    /// Its open findings, worst first.
    pub(super) findings: Vec<Finding>,
    /// Its slowest requests of the last minute, slowest first.
    pub(super) slow: Vec<Arc<Request>>,
    /// The longest of those that the kernel added up, nanoseconds; 0 when there were none.
    pub(super) longest_folded: u64,
    /// Its calls of the last minute by kind and destination, those that took most time first.
    pub(super) destinations: Vec<Calling>,
}

impl PodPicture {
    /// Total of its slowest request of the last minute, nanoseconds; 0 when there was none.
    pub(super) fn slowest(&self) -> u64 {
        self.slow.first().map_or(0, |request| request.total()).max(self.longest_folded)
    }
}

/// Calls of one kind to one destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Calling {
    pub(super) kind: CallKind,
    /// `None` for all that are beyond the recorder's cap.
    pub(super) destination: Option<Destination>,
    pub(super) calls: Calls,
}

/// Takes pictures: knows the sums of the one before.
pub(super) struct Meter {
    taken: u64,
    events: u64,
    totals: FxHashMap<String, Totals>,
}

impl Meter {
    /// Tracing begins at `now`, nanoseconds.
    pub(super) fn new(now: u64) -> Self {
        Self { taken: now, events: 0, totals: FxHashMap::default() }
    }

    /// What is to be seen at `now`.
    pub(super) fn measure(
        &mut self,
        summary: Summary,
        recorder: &Recorder,
        now: u64,
        clock: WallClock,
    ) -> Picture {
        let mut pods = Vec::with_capacity(summary.pods.len());
        // Of pods that are gone, nothing stays.
        let earlier = mem::take(&mut self.totals);
        for pod in summary.pods {
            let uid = pod.pod.uid.clone();
            let before = earlier.get(&uid).copied().unwrap_or_default();
            self.totals.insert(uid.clone(), pod.totals);
            pods.push(PodPicture {
                name: text::printable(&pod.pod.to_string()).into_owned(),
                recent: pod.totals.since(&before),
                totals: pod.totals,
                findings: pod.findings,
                slow: recorder.slow(&uid),
                longest_folded: recorder.longest_folded(&uid),
                destinations: destinations(recorder, &uid),
                uid,
            });
        }
        let events = summary.accounting.emitted;
        let picture = Picture {
            elapsed: now.saturating_sub(self.taken),
            clock,
            pods,
            events,
            recent_events: events.saturating_sub(self.events),
            missing: missing(&summary.accounting),
            refused: recorder.refused(),
        };
        (self.taken, self.events) = (now, events);
        picture
    }
}

fn destinations(recorder: &Recorder, uid: &str) -> Vec<Calling> {
    let all = recorder.destinations(uid).into_iter();
    let mut all: Vec<_> = all
        .map(|((kind, peer), calls)| Calling { kind, destination: peer.map(Destination::Address), calls })
        .collect();
    all.sort_by_key(|calling| std::cmp::Reverse(calling.calls.nanoseconds));
    all
}

/// What makes the numbers partial.
fn missing(accounting: &Accounting) -> Vec<(&'static str, u64)> {
    let dropped = accounting.dropped.iter().map(|(name, count)| (*name, *count));
    let all = dropped.chain(INCOMPLETE.map(|name| (name, accounting.oddity(name))));
    all.filter(|(_, count)| *count > 0).collect()
}

#[cfg(test)]
#[path = "picture_tests.rs"]
mod tests;
