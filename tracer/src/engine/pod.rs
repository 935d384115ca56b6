//! One pod: its requests and calls in progress, its lookups, its sums, its findings.

use std::sync::Arc;

use super::{
    FlowEvent, Observer, Resolve,
    folding::{Folding, Pace},
    gone::Presence,
    hold::Hold,
    peers::Peers,
};
use crate::{
    finding::{Event, Ledger, Policy, Watch},
    flow::Messages,
    pod::Pod,
    proto::lookup::{Lookups, Report, Sighting},
    request::{
        Call, CallKind, Marks, What,
        folded::Folded,
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
    pub(super) peers: Peers,
    pub(super) presence: Presence,
    pub(super) pace: Pace,
    /// Where the programs find what to fold of it.
    pub(super) place: Option<u32>,
    totals: Totals,
    watch: Watch,
    /// While the pod's name is about to be known.
    hold: Option<Hold>,
}

impl PodState {
    pub(super) fn new(pod: Arc<Pod>, policy: &Policy, is_awaited: bool, place: Option<u32>) -> Self {
        Self {
            hold: is_awaited.then(Hold::default),
            watch: Watch::new(Arc::clone(&pod), policy),
            pod,
            tracker: PodTracker::default(),
            lookups: Lookups::default(),
            peers: Peers::default(),
            presence: Presence::default(),
            pace: Pace::default(),
            place,
            totals: Totals::default(),
        }
    }

    /// More is known of the pod.
    pub(super) fn rename(&mut self, pod: Pod, observer: &mut dyn Observer) {
        let from = std::mem::replace(&mut self.pod, Arc::new(pod));
        self.watch.rename(&self.pod);
        observer.renamed(&from, &self.pod);
    }

    /// Whether what is told of the pod waits until more is known of it.
    pub(super) fn waits(&mut self, now: u64, resolver: &impl Resolve) -> bool {
        self.hold.as_mut().is_some_and(|hold| !hold.is_over(now) && resolver.is_awaited(&self.pod))
    }

    /// Tells what happened to a flow, now or with everything else.
    pub(super) fn flow(&mut self, event: FlowEvent, observer: &mut dyn Observer) {
        if self.hold.as_mut().is_some_and(|hold| hold.keep(event)) {
            return;
        }
        self.end_hold(observer);
        observer.flow(&self.pod, event);
    }

    /// Requests that the kernel added up: not those of a pod whose name is waited for.
    pub(super) fn folded(&mut self, folded: &Folded, observer: &mut dyn Observer) {
        self.pace.see_folded(folded);
        self.totals.add_folded(folded);
        self.watch.folded(folded);
        observer.folded(&self.pod, folded);
    }

    /// What the kernel is to fold from now on, when that changes.
    pub(super) fn fold(&mut self, now: u64, folding: Folding, is_held: bool) -> Option<u64> {
        let tracker = &self.tracker;
        self.pace.advance(now, folding, || is_held || tracker.is_calling(now))
    }

    /// Not later than the start of any request or call that may still settle; while the pod's name is awaited, not later
    /// than what was first seen of it.
    pub(super) fn oldest_unsettled(&self, now: u64) -> Option<u64> {
        let unsettled = self.tracker.oldest_unsettled(now);
        unsettled.into_iter().chain(self.hold.as_ref().and_then(Hold::since)).min()
    }

    fn end_hold(&mut self, observer: &mut dyn Observer) {
        for event in self.hold.take().map(Hold::events).unwrap_or_default() {
            observer.flow(&self.pod, event);
        }
    }

    pub(super) fn dns(&mut self, sighting: &Sighting) {
        for report in self.lookups.ingest(sighting) {
            self.lookup(report, sighting.time);
        }
    }

    /// A TCP flow to a DNS server is over.
    pub(super) fn dns_closed(&mut self, flow: u64, now: u64) {
        for report in self.lookups.closed(flow, now) {
            self.lookup(report, now);
        }
    }

    pub(super) fn advance(&mut self, now: u64, ledger: &mut Ledger, observer: &mut dyn Observer) {
        self.presence.advance(now);
        self.end_hold(observer);
        for report in self.lookups.advance(now) {
            self.lookup(report, now);
        }
        let (pod, totals, watch) = (&self.pod, &mut self.totals, &mut self.watch);
        let (peers, pace) = (&mut self.peers, &mut self.pace);
        peers.advance(now, &self.tracker, &mut |outage| {
            watch.outage(outage, &mut |event| observer.finding(&event));
        });
        self.tracker.advance(pod, now, &mut |settled| {
            if let Settled::Request(request) = settled {
                pace.see(request.total());
            }
            settle(pod, totals, watch, peers, observer, settled);
        });
        self.watch.advance(now, ledger, &mut |event| observer.finding(&event));
    }

    pub(super) fn finish(&mut self, now: u64, ledger: &mut Ledger, observer: &mut dyn Observer) {
        self.end_hold(observer);
        for report in self.lookups.finish(now) {
            self.lookup(report, now);
        }
        let (pod, totals, watch) = (&self.pod, &mut self.totals, &mut self.watch);
        let peers = &mut self.peers;
        peers.finish(now, &self.tracker, &mut |outage| {
            watch.outage(outage, &mut |event| observer.finding(&event));
        });
        self.tracker.finish(pod, now, &mut |settled| settle(pod, totals, watch, peers, observer, settled));
        self.watch.finish(now, ledger, &mut |event| observer.finding(&event));
    }

    /// Nothing more comes of the pod: its findings close.
    pub(super) fn close(&mut self, ledger: &mut Ledger, observer: &mut dyn Observer) {
        self.watch.close(ledger, &mut |event| observer.finding(&event));
    }

    pub(super) fn summary(&self) -> PodSummary {
        PodSummary { pod: Arc::clone(&self.pod), totals: self.totals, findings: self.watch.findings() }
    }

    /// A lookup is not one flow's: its number stands for it. A call from its first query on, so that a
    /// request that settles meanwhile knows what it waited for.
    fn lookup(&mut self, report: Report, now: u64) {
        let key = Key { first: report.start, flow: 0, number: report.number };
        let call = Call {
            kind: CallKind::Dns,
            start: report.start,
            end: report.end,
            flow: 0,
            number: 0,
            local: report.local,
            peer: report.peer,
            peer_name: None,
            thread: report.thread,
            what: What::Dns(Box::new(report.lookup)),
            messages: Messages::default(),
            answered: report.answered,
        };
        self.tracker.call(key, call, report.open, now, report.updates);
    }
}

fn settle(
    pod: &Arc<Pod>,
    totals: &mut Totals,
    watch: &mut Watch,
    peers: &mut Peers,
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
            peers.settled(call);
            observer.call(pod, call, attribution);
            watch.call(call, attribution, &mut |event: Event<'_>| observer.finding(&event));
        }
    }
}
