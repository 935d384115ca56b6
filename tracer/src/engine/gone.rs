//! Pods that are gone: what is known of them goes after a while.

use super::{Engine, OVERFLOW_POD, OWN_POD, Observer, Oddities, PodState, Resolve};

/// How often it is looked which pods there are, at most.
const LOOK_EVERY: u64 = 10_000_000_000;
/// How much longer a pod is kept of which something never settles.
const PATIENCE: u64 = 120_000_000_000;

/// Since when a pod has been gone and silent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Presence {
    /// Something came of it since time moved last.
    pub(super) heard: bool,
    last: u64,
    gone: Option<u64>,
}

impl Presence {
    /// Moves time.
    pub(super) fn advance(&mut self, now: u64) {
        if std::mem::take(&mut self.heard) {
            self.last = now;
        }
    }

    /// For how long it has been gone and silent.
    fn absent(&mut self, is_there: bool, now: u64) -> Option<u64> {
        if is_there || self.heard {
            self.gone = None;
            return None;
        }
        let gone = *self.gone.get_or_insert(now);
        Some(now.saturating_sub(gone.max(self.last)))
    }
}

impl<R: Resolve> Engine<R> {
    /// Forgets the pods that have been gone and silent for `after` nanoseconds: settles what is left of them, closes their
    /// findings, and tells the observer. What was counted over all pods stays.
    pub fn forget_gone(&mut self, now: u64, after: u64, observer: &mut dyn Observer) {
        if now < self.next_look {
            return;
        }
        self.next_look = now.saturating_add(LOOK_EVERY.min(after));
        let Some(living) = self.resolver.living() else { return };
        let mut at = 0;
        while let Some(state) = self.pods.get_mut(at) {
            let is_kept = [OVERFLOW_POD, OWN_POD].contains(&state.pod.uid.as_str());
            let is_there = is_kept || living.contains(&state.pod.uid);
            let absent = state.presence.absent(is_there, now);
            let unsettled = state.tracker.oldest_unsettled(now).is_some();
            let patience = if unsettled { after.saturating_add(PATIENCE) } else { after };
            if absent.is_some_and(|absent| absent >= patience) {
                self.forget(at, now, observer);
            } else {
                at += 1;
            }
        }
    }

    /// Forgets the pod that stands there; the last one takes its place.
    fn forget(&mut self, at: usize, now: u64, observer: &mut dyn Observer) {
        let mut state = self.pods.swap_remove(at);
        state.finish(now, &mut self.ledger, observer);
        state.close(&mut self.ledger, observer);
        self.oddities.add(&state);
        self.by_uid.remove(&state.pod.uid);
        let moved = self.pods.len();
        let gone = self.by_cgroup.extract_if(|_, place| *place == at);
        gone.for_each(|(cgroup, _)| self.places.forget(cgroup));
        self.places.give_back(state.place);
        if let Some(last) = self.pods.get(at) {
            self.by_uid.insert(last.pod.uid.clone(), at);
            for place in self.by_cgroup.values_mut().filter(|place| **place == moved) {
                *place = at;
            }
        }
        self.resolver.forgotten(&state.pod.uid);
        observer.gone(&state.pod);
    }
}

impl Oddities {
    /// Adds those of a pod.
    pub(super) fn add(&mut self, pod: &PodState) {
        self.late += pod.tracker.late;
        self.abandoned += pod.tracker.abandoned;
        self.unanswered += pod.tracker.unanswered;
        self.implausible += pod.tracker.implausible;
        self.unmatched_dns += pod.lookups.unmatched;
    }
}
