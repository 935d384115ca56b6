//! One pod: its requests and calls in progress, its lookups, its sums, its findings.

use std::sync::Arc;

use super::Observer;
use crate::{
    finding::{Finding, Watch},
    pod::Pod,
    proto::lookup::{Datagram, Ended, Lookups},
    request::{
        Call, CallKind, Marks, What,
        pod::{Key, PodTracker, Settled},
        totals::{PodSummary, Totals},
    },
};

/// State of one pod.
pub struct PodState {
    /// The pod.
    pub pod: Arc<Pod>,
    pub(super) tracker: PodTracker,
    pub(super) lookups: Lookups,
    totals: Totals,
    watch: Watch,
    /// Numbers the lookups: DNS over UDP has no flow.
    lookup_number: u32,
}

impl PodState {
    pub(super) fn new(pod: Arc<Pod>) -> Self {
        Self {
            watch: Watch::new(Arc::clone(&pod)),
            pod,
            tracker: PodTracker::default(),
            lookups: Lookups::default(),
            totals: Totals::default(),
            lookup_number: 0,
        }
    }

    pub(super) fn dns(&mut self, datagram: &Datagram) {
        if let Some(ended) = self.lookups.ingest(datagram) {
            self.lookup(ended, datagram.time);
        }
    }

    pub(super) fn advance(&mut self, now: u64, observer: &mut dyn Observer) {
        for ended in self.lookups.advance(now) {
            self.lookup(ended, now);
        }
        let (pod, totals, watch) = (&self.pod, &mut self.totals, &mut self.watch);
        self.tracker.advance(pod, now, &mut |settled| settle(pod, totals, watch, observer, settled));
    }

    pub(super) fn finish(&mut self, now: u64, observer: &mut dyn Observer) {
        for ended in self.lookups.finish(now) {
            self.lookup(ended, now);
        }
        let (pod, totals, watch) = (&self.pod, &mut self.totals, &mut self.watch);
        self.tracker.finish(pod, now, &mut |settled| settle(pod, totals, watch, observer, settled));
    }

    pub(super) fn summary(&self, now: u64) -> PodSummary {
        PodSummary { pod: Arc::clone(&self.pod), totals: self.totals, findings: self.findings(now) }
    }

    pub(super) fn findings(&self, now: u64) -> Vec<Finding> {
        self.watch.findings(now)
    }

    fn lookup(&mut self, ended: Ended, now: u64) {
        self.lookup_number = self.lookup_number.wrapping_add(1);
        let key = Key { first: ended.start, flow: 0, number: self.lookup_number };
        let call = Call {
            kind: CallKind::Dns,
            start: ended.start,
            end: ended.end,
            flow: 0,
            number: 0,
            local: ended.local,
            peer: ended.peer,
            thread: ended.thread,
            what: What::Dns(ended.lookup),
            answered: ended.answered,
        };
        self.tracker.call(key, call, false, now, 0);
    }
}

fn settle(
    pod: &Arc<Pod>,
    totals: &mut Totals,
    watch: &mut Watch,
    observer: &mut dyn Observer,
    settled: Settled<'_>,
) {
    match settled {
        Settled::Request(request) => {
            // One that was never answered has no stages to add: it is counted by the tracker.
            if !request.marks.has(Marks::UNANSWERED) {
                totals.add_request(request);
                watch.request(request);
            }
            observer.request(request);
        }
        Settled::Call(call, attribution) => {
            totals.add_call(call.kind, call.end.saturating_sub(call.start), attribution);
            watch.call(call);
            observer.call(pod, call, attribution);
        }
    }
}
