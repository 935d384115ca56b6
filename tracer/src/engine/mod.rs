//! Records in, settled requests out: wires flow, protocol, request and finding together. Pure: time comes in
//! with the data, pods come from a [`Resolve`].

mod dns;
mod exchange;
mod folding;
mod gone;
mod hold;
mod metadata;
mod peers;
mod pod;
mod streams;
mod told;

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use rustc_hash::FxHashMap;

pub use self::{
    folding::{Folding, Order},
    pod::PodState,
    told::On,
};
use crate::{
    clock::WallClock,
    finding::{Event, Ledger, Policy},
    flow::decode::Record,
    pod::Pod,
    request::{
        Attribution, Call, Request,
        folded::Folded,
        totals::{ABANDONED, PodSummary, SUMS_REFUSED},
    },
};

/// Pods kept; records of further ones count to [`OVERFLOW_POD`].
pub const POD_LIMIT: usize = 4096;
/// UID of the pod that takes what is beyond [`POD_LIMIT`].
pub const OVERFLOW_POD: &str = "~other";
/// UID under which tracer's own traffic is followed, and shown nowhere.
pub const OWN_POD: &str = "~own";

/// The answer of a [`Resolve`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The pod; one of its own for an unknown cgroup.
    pub pod: Pod,
    /// Whether the cgroup was found. One that was not is asked for again.
    pub known: bool,
}

/// Tells which pod a cgroup belongs to.
pub trait Resolve {
    /// The pod of a cgroup v2 id.
    fn resolve(&mut self, cgroup: u64) -> Resolved;

    /// The UIDs of the pods that there are now; `None` when that is not known, and no pod counts as gone.
    fn living(&mut self) -> Option<BTreeSet<String>> {
        None
    }

    /// A pod is forgotten: nothing more is asked about it.
    fn forgotten(&mut self, _uid: &str) {}

    /// The name of a server: `namespace/name` of a pod or service.
    fn peer(&self, _address: IpAddr) -> Option<Arc<str>> {
        None
    }

    /// Whether more will be known of a pod in a moment. What is told of it waits meanwhile, for two seconds at most.
    fn is_awaited(&self, _pod: &Pod) -> bool {
        false
    }

    /// Pods that have other names than when they were resolved or last in here, with the same UIDs.
    fn renamed(&mut self) -> Vec<Pod> {
        Vec::new()
    }
}

/// What happened to a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowEvent {
    /// A connect ended.
    Connect {
        /// Whether the handshake ended.
        established: bool,
        /// Whether the peer answered with a reset.
        refused: bool,
        /// From the first SYN, nanoseconds.
        nanoseconds: u64,
    },
    /// One side reset the flow.
    Reset {
        /// The pod did; else its peer.
        by_pod: bool,
    },
    /// The flow is closed.
    Closed {
        /// Smoothed round-trip time, microseconds.
        srtt_us: u32,
    },
    /// The pod retransmitted segments.
    Retransmits(u32),
}

/// Gets what settles, as it settles. What numbers are made of has no default: an observer that passes on what it hears
/// must not forget it.
pub trait Observer {
    /// A request settled.
    fn request(&mut self, request: &Request);
    /// Requests of which only the sums are known.
    fn folded(&mut self, pod: &Arc<Pod>, folded: &Folded);
    /// A call settled, after the requests it belongs to.
    fn call(&mut self, pod: &Arc<Pod>, call: &Call, attribution: Attribution);
    /// A flow of the pod opened, failed, retransmitted or closed.
    fn flow(&mut self, pod: &Arc<Pod>, event: FlowEvent);
    /// A finding opened or closed, or a call is evidence for one that is open: after that call settled.
    fn finding(&mut self, _event: &Event<'_>) {}
    /// A pod is gone and forgotten: nothing more comes of it.
    fn gone(&mut self, pod: &Arc<Pod>);
    /// What was told as `from` is told as `to` from now on: the same pod, of which more is known.
    fn renamed(&mut self, from: &Arc<Pod>, to: &Arc<Pod>);
}

/// Things that were seen and could not be used, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Oddities {
    /// Records for exchanges that had settled.
    pub late: u64,
    /// Requests in flight that were given up at the cap.
    pub abandoned: u64,
    /// Requests that were never answered.
    pub unanswered: u64,
    /// Exchanges in which the server spoke first.
    pub unsolicited: u64,
    /// Records of flows that were never identified.
    pub unidentified: u64,
    /// Datagrams on port 53 that are not DNS.
    pub malformed_dns: u64,
    /// DNS answers that no query waited for.
    pub unmatched_dns: u64,
    /// Requests and calls that lasted implausibly long.
    pub implausible: u64,
    /// Requests that the kernel added up to sums that do not fit each other.
    pub sums_refused: u64,
    /// Exchanges of which the end is among bytes that were not seen.
    pub cut: u64,
    /// Records with bytes of flows that are not read (any more).
    pub unread: u64,
    /// How often a flow's reader had to give way because all together held too much.
    pub readers_shed: u64,
    /// Findings that did not open because too many are open.
    pub findings_refused: u64,
}

impl Oddities {
    /// Each with its name in outputs.
    #[must_use]
    pub fn named(&self) -> [(&'static str, u64); 12] {
        [
            ("late", self.late),
            (ABANDONED, self.abandoned),
            ("unanswered", self.unanswered),
            ("unsolicited", self.unsolicited),
            ("malformed_dns", self.malformed_dns),
            ("unmatched_dns", self.unmatched_dns),
            ("implausible", self.implausible),
            (SUMS_REFUSED, self.sums_refused),
            ("cut", self.cut),
            ("unread", self.unread),
            ("readers_shed", self.readers_shed),
            ("findings_refused", self.findings_refused),
        ]
    }
}

/// The core.
pub struct Engine<R> {
    resolver: R,
    pods: Vec<PodState>,
    by_cgroup: FxHashMap<u64, usize>,
    by_uid: FxHashMap<String, usize>,
    metadata: metadata::Conversations,
    retransmits: exchange::Retransmits,
    streams: streams::Streams,
    clock: WallClock,
    policy: Policy,
    ledger: Ledger,
    oddities: Oddities,
    places: folding::Places,
    /// The cgroup of tracer itself.
    own: Option<u64>,
    /// When it is looked next which pods there are.
    next_look: u64,
}

impl<R: Resolve> Engine<R> {
    /// An engine that knows no pod yet; findings are judged by `policy`.
    pub fn new(resolver: R, clock: WallClock, policy: impl Into<Policy>) -> Self {
        Self {
            resolver,
            pods: Vec::new(),
            by_cgroup: FxHashMap::default(),
            by_uid: FxHashMap::default(),
            metadata: metadata::Conversations::default(),
            retransmits: exchange::Retransmits::default(),
            streams: streams::Streams::default(),
            clock,
            policy: policy.into(),
            ledger: Ledger::default(),
            oddities: Oddities::default(),
            places: folding::Places::default(),
            own: None,
            next_look: 0,
        }
    }

    /// Takes one record.
    pub fn ingest(&mut self, record: Record<'_>, observer: &mut dyn Observer) {
        match record {
            Record::Flow(record) => self.flow(record, observer),
            Record::Folded(record) => self.folded(record, observer),
            Record::Datagram(record) => self.datagram(record),
            Record::Payload(record) => self.metadata.ingest(record),
            Record::Stream(head, bytes) => self.stream(head, bytes),
        }
    }

    /// Leaves out what a cgroup does: tracer's own. An observer is told of it as of [`OWN_POD`].
    pub fn leave_out(&mut self, cgroup: u64) {
        self.own = Some(cgroup);
    }

    /// Moves time: everything emitted before `now` has been ingested.
    pub fn advance(&mut self, now: u64, observer: &mut dyn Observer) {
        self.rename(observer);
        for pod in &mut self.pods {
            if pod.waits(now, &self.resolver) {
                continue;
            }
            pod.advance(now, &mut self.ledger, observer);
            if let Some(folding) = self.places.folding
                && let Some(below) = pod.fold(now, folding, self.places.is_held)
            {
                self.places.below(pod.place, below);
            }
        }
    }

    /// Settles everything; `now` is the end of the tracing.
    pub fn finish(&mut self, now: u64, observer: &mut dyn Observer) {
        self.rename(observer);
        for pod in &mut self.pods {
            pod.finish(now, &mut self.ledger, observer);
        }
    }

    fn rename(&mut self, observer: &mut dyn Observer) {
        for pod in self.resolver.renamed() {
            if let Some(state) = self.by_uid.get(&pod.uid).and_then(|at| self.pods.get_mut(*at)) {
                state.rename(pod, observer);
            }
        }
    }

    /// What tells which pod a cgroup belongs to.
    pub fn resolver(&self) -> &R {
        &self.resolver
    }

    /// The same, to change it.
    pub fn resolver_mut(&mut self) -> &mut R {
        &mut self.resolver
    }

    /// The sums and open findings of every pod, by name.
    #[must_use]
    pub fn summary(&self) -> Vec<PodSummary> {
        let shown = self.pods.iter().filter(|state| state.pod.uid != OWN_POD);
        let mut pods: Vec<PodSummary> = shown.map(PodState::summary).collect();
        // A call that hangs is not counted yet.
        let has_called = |p: &PodSummary| p.totals.calls.iter().any(|c| c.count > 0);
        pods.retain(|p| p.totals.requests > 0 || has_called(p) || !p.findings.is_empty());
        pods.sort_by(|a, b| a.pod.cmp(&b.pod));
        pods
    }

    /// The pod of a cgroup, known from now on.
    pub fn resolve(&mut self, cgroup: u64) -> Arc<Pod> {
        let at = self.index(cgroup);
        Arc::clone(&self.pods[at].pod)
    }

    /// Not later than the start of any request or call that may still settle.
    #[must_use]
    pub fn oldest_unsettled(&self, now: u64) -> Option<u64> {
        self.pods.iter().filter_map(|pod| pod.oldest_unsettled(now)).min()
    }

    /// Judges the findings of pods that are not known yet by this policy.
    pub fn judge_by(&mut self, policy: Policy) {
        self.policy = policy;
    }

    /// The name of a server, where it is known.
    #[must_use]
    pub fn peer_name(&self, peer: SocketAddr) -> Option<Arc<str>> {
        self.resolver.peer(peer.ip())
    }

    /// What could not be used.
    #[must_use]
    pub fn oddities(&self) -> Oddities {
        let mut all = Oddities {
            unread: self.streams.unread,
            readers_shed: self.streams.shed(),
            findings_refused: self.ledger.refused,
            ..self.oddities
        };
        for pod in &self.pods {
            all.add(pod);
        }
        all
    }

    /// Replaces the clock's offset: the wall clock may be set while we run.
    pub fn set_clock(&mut self, clock: WallClock) {
        self.clock = clock;
    }

    fn pod(&mut self, cgroup: u64) -> Option<&mut PodState> {
        let at = self.index(cgroup);
        let pod = self.pods.get_mut(at)?;
        pod.presence.heard = true;
        Some(pod)
    }

    /// Where the pod of a cgroup stands in `pods`, known from now on.
    fn index(&mut self, cgroup: u64) -> usize {
        match self.by_cgroup.get(&cgroup) {
            Some(at) => *at,
            None => self.add_pod(cgroup),
        }
    }

    fn add_pod(&mut self, cgroup: u64) -> usize {
        let Resolved { mut pod, known } = self.resolver.resolve(cgroup);
        if self.own == Some(cgroup) {
            pod = Pod { uid: OWN_POD.to_owned(), name: None };
        } else if self.pods.len() >= POD_LIMIT && !self.by_uid.contains_key(&pod.uid) {
            pod = Pod { uid: OVERFLOW_POD.to_owned(), name: None };
        }
        let next = self.pods.len();
        let at = *self.by_uid.entry(pod.uid.clone()).or_insert(next);
        if at == next {
            let is_awaited = self.resolver.is_awaited(&pod);
            let place = self.places.take();
            self.pods.push(PodState::new(Arc::new(pod), &self.policy, is_awaited, place));
        }
        if self.by_cgroup.len() >= 4 * POD_LIMIT {
            self.by_cgroup.drain().for_each(|(cgroup, _)| self.places.forget(cgroup));
        }
        if known {
            self.by_cgroup.insert(cgroup, at);
            self.places.place(cgroup, self.pods.get(at).and_then(|pod| pod.place));
        }
        at
    }
}

#[cfg(test)]
mod tests;
