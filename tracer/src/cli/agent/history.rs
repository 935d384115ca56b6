//! The breakdown of each pod over time: an entry per ten seconds in which it answered something, for an hour.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use crate::{
    pod::Pod,
    request::{Marks, Request, Stages, folded::Folded},
};

/// Nanoseconds of an entry.
pub(super) const INTERVAL: u64 = 10_000_000_000;
/// Entries of a pod: an hour.
pub(super) const ENTRIES: u64 = 360;
/// Pods that have a history; further ones have none. A node has 110 by default.
const POD_LIMIT: usize = 512;

/// What a pod answered within an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Number of the interval since the start of the source's clock.
    at: u64,
    /// Requests whose answer ended in it.
    pub(super) requests: u32,
    /// The longest of them, nanoseconds.
    pub(super) slowest: u64,
    /// Their stages, summed.
    pub(super) stages: Stages,
}

impl Entry {
    /// When it began, nanoseconds of the source's clock.
    pub(super) fn start(&self) -> u64 {
        self.at.saturating_mul(INTERVAL)
    }

    fn add(&mut self, requests: u64, slowest: u64, stages: &Stages) {
        self.requests = self.requests.saturating_add(u32::try_from(requests).unwrap_or(u32::MAX));
        self.slowest = self.slowest.max(slowest);
        self.stages.add(stages);
    }
}

/// The histories of all pods.
#[derive(Debug, Default)]
pub(super) struct History {
    /// By UID: a pod may get its name later.
    pods: FxHashMap<String, VecDeque<Entry>>,
}

impl History {
    /// Takes a settled request; they come in about the order of their answers.
    pub(super) fn request(&mut self, request: &Request) {
        if request.marks.has(Marks::UNANSWERED) {
            return;
        }
        let (at, took) = (request.messages.response_last, request.total());
        self.add(&request.pod, at, |entry| entry.add(1, took, &request.stages));
    }

    /// Takes requests that the kernel added up, all with the interval in which the last of them was answered.
    pub(super) fn folded(&mut self, pod: &Pod, folded: &Folded) {
        self.add(pod, folded.last, |entry| entry.add(folded.count, folded.longest, &folded.stages));
    }

    /// Adds to the interval of a time.
    fn add(&mut self, pod: &Pod, at: u64, add: impl FnOnce(&mut Entry)) {
        let uid = &pod.uid;
        if !self.pods.contains_key(uid) {
            if self.pods.len() >= POD_LIMIT {
                return;
            }
            self.pods.insert(uid.clone(), VecDeque::new());
        }
        let Some(entries) = self.pods.get_mut(uid) else { return };
        let at = at / INTERVAL;
        if entries.back().is_some_and(|newest| at.saturating_add(ENTRIES) <= newest.at) {
            return;
        }
        let later = entries.iter().rev().take_while(|entry| entry.at > at).count();
        let place = entries.len() - later;
        if place.checked_sub(1).and_then(|last| entries.get(last)).is_none_or(|entry| entry.at != at) {
            entries.insert(place, Entry { at, requests: 0, slowest: 0, stages: Stages::default() });
            let newest = entries.back().map_or(at, |newest| newest.at);
            entries.retain(|entry| entry.at.saturating_add(ENTRIES) > newest);
        }
        if let Some(entry) = entries.iter_mut().rev().find(|entry| entry.at == at) {
            add(entry);
        }
    }

    /// The entries of a pod that began at `since` or later, oldest first.
    pub(super) fn of<'a>(&'a self, pod: &Pod, since: u64) -> impl Iterator<Item = &'a Entry> + use<'a> {
        self.pods.get(&pod.uid).into_iter().flatten().filter(move |entry| entry.start() >= since)
    }

    /// A pod is gone.
    pub(super) fn forget(&mut self, pod: &Pod) {
        self.pods.remove(&pod.uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::fixture;

    fn answered(uid: &str, at: u64) -> Request {
        let mut request = fixture::request();
        request.pod = fixture::unnamed_pod(uid);
        request.messages.response_last = at;
        request
    }

    fn seen(history: &History, uid: &str) -> Vec<(u64, u32)> {
        let entries = history.of(&fixture::unnamed_pod(uid), 0);
        entries.map(|entry| (entry.start() / INTERVAL, entry.requests)).collect()
    }

    #[test]
    fn an_interval_adds_up_what_was_answered_in_it() {
        let mut history = History::default();
        for at in [5, 6, 15, 9, 45] {
            history.request(&answered("a", at * 1_000_000_000));
        }
        assert_eq!(seen(&history, "a"), [(0, 3), (1, 1), (4, 1)]);
        let request = fixture::request();
        let first = history.of(&fixture::unnamed_pod("a"), 0).next().unwrap();
        assert_eq!((first.stages.total(), first.slowest), (3 * request.total(), request.total()));
        assert_eq!(history.of(&fixture::unnamed_pod("a"), 2 * INTERVAL).count(), 1);
    }

    #[test]
    fn requests_that_the_kernel_added_up_are_in_the_interval_of_their_last_answer() {
        let (mut history, folded) = (History::default(), fixture::folded());
        let pod = fixture::unnamed_pod("a");
        history.folded(&pod, &Folded { last: INTERVAL + 1, ..folded });
        history.request(&answered("a", INTERVAL + 2));
        let entry = *history.of(&pod, 0).next().unwrap();
        let request = fixture::request();
        assert_eq!((entry.at, entry.requests, entry.slowest), (1, 3, request.total()));
        assert_eq!(entry.stages.total(), folded.stages.total() + request.total());
    }

    #[test]
    fn an_hour_is_kept() {
        let mut history = History::default();
        for interval in 0..1_000 {
            history.request(&answered("a", interval * INTERVAL));
        }
        let seen = seen(&history, "a");
        assert_eq!((seen.len(), seen[0].0), (360, 640));
        // What comes much too late changes nothing.
        history.request(&answered("a", 0));
        assert_eq!(history.of(&fixture::unnamed_pod("a"), 0).count(), 360);
    }

    #[test]
    fn pods_are_bounded_and_go() {
        let mut history = History::default();
        for pod in 0..POD_LIMIT + 10 {
            history.request(&answered(&pod.to_string(), 1));
        }
        assert_eq!(history.pods.len(), POD_LIMIT);
        history.forget(&fixture::unnamed_pod("0"));
        assert!(seen(&history, "0").is_empty());
        history.request(&answered("new", 1));
        assert_eq!(seen(&history, "new"), [(0, 1)]);
    }

    #[test]
    fn what_was_never_answered_is_not_in_it() {
        let mut history = History::default();
        let mut request = answered("a", 1);
        request.marks = Marks::UNANSWERED;
        history.request(&request);
        assert!(seen(&history, "a").is_empty());
    }
}
