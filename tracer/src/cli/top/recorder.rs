//! What the summaries do not have: the slowest requests of each pod and its calls by destination, of the last minute.
//!
//! The minute is two halves, and the older one is forgotten when the newer one is full.

use std::{collections::BTreeMap, mem, net::SocketAddr, sync::Arc};

use rustc_hash::FxHashMap;

use crate::{
    engine::{FlowEvent, Observer},
    pod::Pod,
    request::{Attribution, Call, CallKind, Marks, Request, folded::Folded},
};

/// Slow requests that are kept of a pod, per half.
pub(super) const SLOW_LIMIT: usize = 20;
/// Kinds and destinations that are kept of a pod, per half; further destinations are one, per kind.
const DESTINATION_LIMIT: usize = 32;
/// Requests and their calls that are kept of all pods together, about 32 MiB of them.
const BUDGET: usize = 1 << 17;
/// Nanoseconds of half the time that is looked at.
const HALF: u64 = 30_000_000_000;

/// Calls of one kind to one destination.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Calls {
    /// The server's name, where it is known.
    pub(super) name: Option<Arc<str>>,
    pub(super) count: u64,
    /// Sum of their durations.
    pub(super) nanoseconds: u64,
    /// The longest one's duration.
    pub(super) longest: u64,
    /// Those that got no answer.
    pub(super) unanswered: u64,
}

impl Calls {
    fn add(&mut self, other: &Self) {
        if other.name.is_some() {
            self.name.clone_from(&other.name);
        }
        self.count += other.count;
        self.nanoseconds = self.nanoseconds.saturating_add(other.nanoseconds);
        self.longest = self.longest.max(other.longest);
        self.unanswered += other.unanswered;
    }
}

/// By kind and server; `None` is all servers beyond the cap.
pub(super) type Destinations = BTreeMap<(CallKind, Option<SocketAddr>), Calls>;

/// What is kept of one pod.
#[derive(Default)]
struct Recent {
    slow: [Vec<Arc<Request>>; 2],
    /// The longest of those that the kernel added up, nanoseconds.
    folded: [u64; 2],
    destinations: [Destinations; 2],
}

impl Recent {
    fn is_empty(&self) -> bool {
        self.slow.iter().all(Vec::is_empty)
            && self.folded == [0; 2]
            && self.destinations.iter().all(BTreeMap::is_empty)
    }
}

/// Keeps it. As many pods as the engine had in the last minute: it has a cap.
pub(super) struct Recorder {
    pods: FxHashMap<String, Recent>,
    /// When the newer half began.
    since: u64,
    budget: usize,
    refused: u64,
}

impl Default for Recorder {
    fn default() -> Self {
        Self { pods: FxHashMap::default(), since: 0, budget: BUDGET, refused: 0 }
    }
}

impl Recorder {
    /// Moves time: forgets what is older than a minute.
    pub(super) fn advance(&mut self, now: u64) {
        if now.saturating_sub(self.since) < HALF {
            return;
        }
        self.since = now;
        for pod in self.pods.values_mut() {
            let [newer, older] = &mut pod.slow;
            self.budget += older.iter().map(|request| weight(request)).sum::<usize>();
            *older = mem::take(newer);
            pod.folded = [0, pod.folded[0]];
            let [newer, older] = &mut pod.destinations;
            *older = mem::take(newer);
        }
        self.pods.retain(|_, pod| !pod.is_empty());
    }

    /// The slowest requests of a pod, slowest first.
    pub(super) fn slow(&self, uid: &str) -> Vec<Arc<Request>> {
        let Some(pod) = self.pods.get(uid) else { return Vec::new() };
        let mut slow: Vec<_> = pod.slow.iter().flatten().map(Arc::clone).collect();
        slow.sort_by_key(|request| std::cmp::Reverse(request.total()));
        slow.truncate(SLOW_LIMIT);
        slow
    }

    /// The longest of a pod's requests that the kernel added up, nanoseconds; 0 when there were none.
    pub(super) fn longest_folded(&self, uid: &str) -> u64 {
        self.pods.get(uid).map_or(0, |pod| pod.folded[0].max(pod.folded[1]))
    }

    /// The calls of a pod by kind and server.
    pub(super) fn destinations(&self, uid: &str) -> Destinations {
        let mut all = Destinations::new();
        for half in self.pods.get(uid).iter().flat_map(|pod| &pod.destinations) {
            for (key, calls) in half {
                all.entry(*key).or_default().add(calls);
            }
        }
        all
    }

    /// Slow requests that could not be kept, since the start.
    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    fn pod(&mut self, uid: &str) -> &mut Recent {
        if !self.pods.contains_key(uid) {
            self.pods.insert(uid.to_owned(), Recent::default());
        }
        self.pods.entry(uid.to_owned()).or_default()
    }
}

/// What a request takes of the budget.
fn weight(request: &Request) -> usize {
    1 + request.calls.len()
}

impl Observer for Recorder {
    fn request(&mut self, request: &Request) {
        if request.marks.has(Marks::UNANSWERED) {
            return;
        }
        let budget = self.budget;
        let [slow, _] = &mut self.pod(&request.pod.uid).slow;
        let at = slow.partition_point(|kept| kept.total() >= request.total());
        if at >= SLOW_LIMIT {
            return;
        }
        let gives_way = if slow.len() < SLOW_LIMIT { 0 } else { slow.last().map_or(0, |last| weight(last)) };
        let Some(left) = (budget + gives_way).checked_sub(weight(request)) else {
            self.refused += 1;
            return;
        };
        slow.insert(at, Arc::new(request.clone()));
        slow.truncate(SLOW_LIMIT);
        self.budget = left;
    }

    fn folded(&mut self, pod: &Arc<Pod>, folded: &Folded) {
        let [longest, _] = &mut self.pod(&pod.uid).folded;
        *longest = folded.longest.max(*longest);
    }

    fn call(&mut self, pod: &Arc<Pod>, call: &Call, _: Attribution) {
        let duration = call.end.saturating_sub(call.start);
        let mut seen = Calls {
            name: call.peer_name.clone(),
            count: 1,
            nanoseconds: duration,
            longest: duration,
            unanswered: u64::from(!call.answered),
        };
        let [destinations, _] = &mut self.pod(&pod.uid).destinations;
        let key = (call.kind, Some(call.peer));
        let is_full = destinations.len() >= DESTINATION_LIMIT && !destinations.contains_key(&key);
        let key = if is_full { (call.kind, None) } else { key };
        seen.name = seen.name.filter(|_| !is_full);
        destinations.entry(key).or_default().add(&seen);
    }

    fn flow(&mut self, _: &Arc<Pod>, _: FlowEvent) {}

    fn gone(&mut self, _: &Arc<Pod>) {}

    fn renamed(&mut self, _: &Arc<Pod>, _: &Arc<Pod>) {}
}

#[cfg(test)]
#[path = "recorder_tests.rs"]
mod tests;
