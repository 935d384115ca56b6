//! Answered requests until they settle.
//!
//! Most are final when they come: the flow's next exchange has begun, so nothing about them can change. They
//! queue in the order of the ring, and settling takes them off the front. The others, at most one per flow,
//! can still be updated and are found by key.

use std::collections::{BTreeMap, VecDeque};

use super::{
    attribution::Candidate,
    pod::{Key, Pending, SETTLE},
};

/// When a request was in flight: the little of it that the search for candidates reads.
#[derive(Clone, Copy, Debug)]
struct Span {
    first: u64,
    answered: u64,
    emitted: u64,
}

impl Span {
    fn of(key: &Key, pending: &Pending) -> Self {
        Self { first: key.first, answered: pending.messages.response_first, emitted: pending.emitted }
    }

    /// From its first byte in to its record.
    fn length(&self) -> u64 {
        self.emitted.saturating_sub(self.first)
    }

    fn covers(&self, time: u64) -> bool {
        self.first <= time && time < self.answered
    }
}

/// Answered requests of one pod.
#[derive(Debug, Default)]
pub(super) struct Answered {
    /// Final ones, in the order of the ring.
    queue: VecDeque<(Key, Pending)>,
    /// The span of each in `queue`.
    spans: VecDeque<Span>,
    /// Those that may still change, and those that wait for another's answer.
    open: BTreeMap<Key, Pending>,
    /// Longest span in `spans`.
    longest: u64,
}

impl Answered {
    /// Number of requests that wait.
    pub(super) fn len(&self) -> usize {
        self.queue.len() + self.open.len()
    }

    /// Whether the request is here and may still change.
    pub(super) fn is_open(&self, key: &Key) -> bool {
        self.open.contains_key(key)
    }

    /// Adds a request; `known` says that it replaces an open one.
    pub(super) fn insert(&mut self, key: Key, pending: Pending, known: bool) {
        if known {
            self.open.remove(&key);
        }
        if !pending.is_final {
            self.open.insert(key, pending);
            return;
        }
        let span = Span::of(&key, &pending);
        self.longest = self.longest.max(span.length());
        self.spans.push_back(span);
        self.queue.push_back((key, pending));
    }

    /// Not later than the first byte of any request here.
    pub(super) fn oldest(&self) -> Option<u64> {
        let queued = self.spans.front().map(|span| span.emitted.saturating_sub(self.longest));
        queued.into_iter().chain(self.open.first_key_value().map(|(key, _)| key.first)).min()
    }

    /// The requests whose wait is over at `now`.
    pub(super) fn due(&self, now: u64) -> impl Iterator<Item = (&Key, &Pending)> {
        let queued = self.queue.iter().map(|(key, pending)| (key, pending));
        queued
            .take_while(move |(_, p)| is_due(p, now))
            .chain(self.open.iter().filter(move |(_, p)| is_due(p, now)))
    }

    /// Gives the requests whose wait is over at `now` to `settle`, and beyond `limit` the oldest ones; those in
    /// `postponed` (sorted) wait on.
    pub(super) fn settle(
        &mut self,
        now: u64,
        limit: usize,
        postponed: &[Key],
        mut settle: impl FnMut(Key, &Pending),
    ) {
        let mut surplus = self.len().saturating_sub(limit);
        let waits = |key: &Key| postponed.binary_search(key).is_ok();
        let mut longest_left = false;
        while let Some((key, pending)) = self.queue.pop_front_if(|(_, p)| surplus > 0 || is_due(p, now)) {
            longest_left |= self.spans.pop_front().is_some_and(|span| span.length() >= self.longest);
            if surplus == 0 && waits(&key) {
                self.open.insert(key, pending);
            } else {
                settle(key, &pending);
            }
            surplus = surplus.saturating_sub(1);
        }
        for (key, pending) in self.open.extract_if(.., |key, p| is_due(p, now) && !waits(key)) {
            settle(key, &pending);
        }
        if longest_left {
            self.longest = self.spans.iter().map(Span::length).max().unwrap_or(0);
        }
    }

    /// Adds the requests that were in flight at `time` to `found`.
    pub(super) fn candidates(&self, time: u64, found: &mut Vec<Candidate>) {
        // A record emitted before `time` is of a request answered before it; one emitted more than the longest
        // span later is of a request that began after it.
        let from = self.spans.partition_point(|span| span.emitted <= time);
        let until = time.saturating_add(self.longest);
        let near = self
            .spans
            .range(from..)
            .zip(self.queue.range(from..))
            .take_while(|(span, _)| span.emitted <= until);
        let queued = near.filter(|(span, _)| span.covers(time)).map(|(_, (key, pending))| (key, pending));
        let open = self.open.iter().filter(|(key, pending)| Span::of(key, pending).covers(time));
        found.extend(queued.chain(open).map(|(key, pending)| Candidate {
            key: *key,
            answer: Some((pending.thread, pending.messages.response_first)),
        }));
    }
}

fn is_due(pending: &Pending, now: u64) -> bool {
    now.saturating_sub(pending.emitted) >= SETTLE
}
