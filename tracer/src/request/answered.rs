//! Answered requests until they settle.
//!
//! Most are final when they come: the flow's next exchange has begun, so nothing about them can change. They
//! queue in the order of the ring, and settling takes them off the front. The others are found by key: those
//! that can still be updated (at most one per flow), that wait for another's answer, or that took long.

use std::collections::{BTreeMap, VecDeque, btree_map::Entry};

use rustc_hash::FxHashMap;

use super::{
    attribution::Candidate,
    pod::{Key, Pending},
    wait::{Due, Rest, SETTLE},
};

/// A request that took longer from its first byte to its record does not queue, and one that took longer to
/// its answer is kept apart: a search among the others looks no further back than this.
const LONG: u64 = SETTLE;

/// When a request was in flight: the little of it that the search for candidates reads.
#[derive(Clone, Copy, Debug)]
struct Span {
    first: u64,
    answered: u64,
    emitted: u64,
}

impl Span {
    fn of(pending: &Pending) -> Self {
        let messages = &pending.messages;
        Self { first: messages.request_first, answered: messages.response_first, emitted: pending.emitted }
    }

    /// From its first byte in to its record.
    fn length(&self) -> u64 {
        self.emitted.saturating_sub(self.first)
    }

    fn covers(&self, time: u64) -> bool {
        self.first <= time && time < self.answered
    }
}

/// A request in the queue; its first byte is in its messages.
#[derive(Debug)]
struct Queued {
    flow: u64,
    number: u32,
    pending: Pending,
}

impl Queued {
    fn key(&self) -> Key {
        Key { first: self.pending.messages.request_first, flow: self.flow, number: self.number }
    }
}

/// A request outside the queue.
#[derive(Debug)]
struct Open {
    pending: Pending,
    /// When the first record with its answer was emitted.
    known: u64,
}

/// A request that settles.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settling<'a> {
    /// Which.
    pub(super) key: Key,
    /// All of it.
    pub(super) pending: &'a Pending,
    /// When the first record with its answer was emitted.
    pub(super) known: u64,
}

/// Answered requests of one pod.
#[derive(Debug, Default)]
pub(super) struct Answered {
    /// Final ones, in the order of the ring.
    queue: VecDeque<Queued>,
    /// The span of each in `queue`.
    spans: VecDeque<Span>,
    /// The others, first those that were answered soon; see [`place`].
    open: BTreeMap<(bool, Key), Open>,
    /// Longest span in `spans`.
    longest: u64,
    /// By flow, the request in `open` of which more may come: the flow's next one says that none will.
    unfinished: FxHashMap<u64, (bool, Key)>,
}

impl Answered {
    /// Number of requests that wait.
    pub(super) fn len(&self) -> usize {
        self.queue.len() + self.open.len()
    }

    /// Whether the request is here and may still change.
    pub(super) fn is_open(&self, key: &Key) -> bool {
        !self.open.is_empty() && [false, true].iter().any(|long| self.open.contains_key(&(*long, *key)))
    }

    /// Adds a request; `known` says that it replaces an open one.
    pub(super) fn insert(&mut self, key: Key, pending: Pending, known: bool) {
        self.finish_last(&key);
        let span = Span::of(&pending);
        if !known && pending.rest == Rest::None && span.length() <= LONG {
            self.longest = self.longest.max(span.length());
            grow(&mut self.spans);
            grow(&mut self.queue);
            self.spans.push_back(span);
            self.queue.push_back(Queued { flow: key.flow, number: key.number, pending });
            return;
        }
        let place = place(key, &pending);
        if pending.rest != Rest::None {
            self.unfinished.insert(key.flow, place);
        }
        match self.open.entry(place) {
            Entry::Occupied(mut known) => known.get_mut().pending = pending,
            Entry::Vacant(new) => {
                new.insert(Open { known: pending.emitted, pending });
            }
        }
    }

    /// Another request of the flow has begun: the one before it is all there.
    pub(super) fn finish_last(&mut self, key: &Key) {
        if self.unfinished.is_empty() {
            return;
        }
        if let Some(last) = self.unfinished.remove(&key.flow)
            && last.1.number != key.number
            && let Some(open) = self.open.get_mut(&last)
        {
            open.pending.rest = Rest::None;
        }
    }

    /// Not later than the first byte of any request here.
    pub(super) fn oldest(&self) -> Option<u64> {
        let queued = self.spans.front().map(|span| span.emitted.saturating_sub(self.longest));
        let long = self.open.range((true, START)..).next();
        let open = self.open.first_key_value().into_iter().chain(long).map(|((_, key), _)| key.first);
        queued.into_iter().chain(open).min()
    }

    /// The requests whose wait is over.
    pub(super) fn due(&self, due: Due) -> impl Iterator<Item = (Key, &Pending)> {
        let queued = self.queue.iter().map(|queued| (queued.key(), &queued.pending));
        let open = self.open.iter().map(|((_, key), open)| (*key, &open.pending));
        queued
            .take_while(move |(_, p)| due.request(p.emitted, p.rest))
            .chain(open.filter(move |(_, p)| due.request(p.emitted, p.rest)))
    }

    /// Gives the requests whose wait is over to `settle`, and beyond `limit` the oldest ones; those in
    /// `postponed` (sorted) wait on.
    pub(super) fn settle(
        &mut self,
        due: Due,
        limit: usize,
        postponed: &[(Key, Key)],
        mut settle: impl FnMut(Settling<'_>),
    ) {
        let mut surplus = self.len().saturating_sub(limit);
        let waits = |key: &Key| postponed.binary_search_by_key(key, |(request, _)| *request).is_ok();
        let mut longest_left = false;
        while let Some(queued) =
            self.queue.pop_front_if(|q| surplus > 0 || due.request(q.pending.emitted, Rest::None))
        {
            longest_left |= self.spans.pop_front().is_some_and(|span| span.length() >= self.longest);
            let (key, pending) = (queued.key(), queued.pending);
            if surplus == 0 && waits(&key) {
                self.open.insert(place(key, &pending), Open { known: pending.emitted, pending });
            } else {
                settle(Settling { key, pending: &pending, known: pending.emitted });
            }
            surplus = surplus.saturating_sub(1);
        }
        let leaves = |(_, key): &(bool, Key), open: &mut Open| {
            let early = surplus > 0;
            surplus = surplus.saturating_sub(1);
            early || due.request(open.pending.emitted, open.pending.rest) && !waits(key)
        };
        for ((_, key), open) in self.open.extract_if(.., leaves) {
            if open.pending.rest != Rest::None {
                self.unfinished.remove(&key.flow);
            }
            settle(Settling { key, pending: &open.pending, known: open.known });
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
        let queued = near.filter(|(span, _)| span.covers(time));
        found.extend(queued.map(|(_, queued)| candidate(queued.key(), &queued.pending)));
        let end = Key { first: time, flow: u64::MAX, number: u32::MAX };
        let soon = self.open.range((false, Key { first: time.saturating_sub(LONG), ..START })..=(false, end));
        let open = soon.chain(self.open.range((true, START)..=(true, end)));
        let open = open.filter(|(_, open)| Span::of(&open.pending).covers(time));
        found.extend(open.map(|((_, key), open)| candidate(*key, &open.pending)));
    }
}

/// Before every key.
const START: Key = Key { first: 0, flow: 0, number: 0 };

/// Where a request stands outside the queue: whether it was answered late, and its key.
fn place(key: Key, pending: &Pending) -> (bool, Key) {
    (pending.messages.response_first.saturating_sub(key.first) > LONG, key)
}

fn candidate(key: Key, pending: &Pending) -> Candidate {
    Candidate { key, answer: Some((pending.thread, pending.messages.response_first)) }
}

/// Makes room by a quarter: doubling would take twice the memory that is needed.
fn grow<T>(queue: &mut VecDeque<T>) {
    if queue.len() == queue.capacity() {
        queue.reserve_exact(64 + queue.len() / 4);
    }
}
