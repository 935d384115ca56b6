//! The requests and calls of one pod, from the first record of each until it settles.
//!
//! A request settles once nothing about it can change: its records came, and so did those of every call and
//! every other request that it must be weighed against. The kernel emits an exchange at the latest with the
//! acknowledgment of its last byte.

use std::{
    collections::{BTreeMap, btree_map},
    mem,
    sync::Arc,
};

use super::{
    AttributedCall, Attribution, Call, Marks, Request, Stages, Thread,
    answered::{Answered, Settling},
    attribution::{Candidate, View},
    entry::{Entry, calls_between, learn, settle_call},
    multiplex::Multiplexing,
    wait::{Due, Farthest, Rest},
};
use crate::{
    flow::{Messages, Transport},
    pod::Pod,
    proto::http::Http,
};

pub use super::wait::SETTLE;

/// How long a request without an answer is a candidate and holds calls back: its client may never want one.
const ANSWER_TIME: u64 = 60_000_000_000;
/// Requests kept per pod that wait for their answer; at the cap the oldest is given up and counted.
pub const IN_FLIGHT_LIMIT: usize = 16_384;
/// Answered requests kept per pod until they settle; at the cap the oldest settles early.
pub const ANSWERED_LIMIT: usize = 131_072;
/// Calls kept per pod until they settle; at the cap the oldest settles early.
pub const CALL_LIMIT: usize = 65_536;
/// Calls of one request whose detail is kept.
pub const CALLS_PER_REQUEST: usize = 256;

/// Identity of an exchange, ordered by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// First byte of the exchange.
    pub first: u64,
    /// Its flow.
    pub flow: u64,
    /// Its number on the flow.
    pub number: u32,
}

/// A request as far as it is known.
#[derive(Clone, Debug)]
pub struct Pending {
    /// Times and bytes so far.
    pub messages: Messages,
    /// Addresses and path.
    pub transport: Transport,
    /// Who wrote the response.
    pub thread: Thread,
    /// What is known of it, if it is HTTP.
    pub http: Option<Http>,
    /// What is unusual.
    pub marks: Marks,
    /// When its newest record was emitted.
    pub emitted: u64,
    /// Whether more of it will come.
    pub rest: Rest,
}

/// Nanoseconds, 13 days. What lasts longer is a stream, of which the time says nothing, or has a wrong time; and sums of
/// less do not overflow.
pub(super) const LONGEST: u64 = 1 << 50;

/// What a tracker gives back when time moves on.
#[derive(Clone, Copy, Debug)]
pub enum Settled<'a> {
    /// A request.
    Request(&'a Request),
    /// A call, exactly once each, after the requests it belongs to.
    Call(&'a Call, Attribution),
}

/// Requests and calls of one pod.
#[derive(Debug, Default)]
pub struct PodTracker {
    in_flight: BTreeMap<Key, Pending>,
    answered: Answered,
    calls: BTreeMap<Key, Entry>,
    /// Requests whose wait is over, sorted, each with the call for whose owner it waits on.
    postponed: Vec<(Key, Key)>,
    threads: Multiplexing,
    /// A pod that never calls anything needs no trail of its threads.
    makes_calls: bool,
    farthest: Farthest,
    /// When the newest record was emitted.
    newest: u64,
    /// Records that came for an exchange that had settled.
    pub late: u64,
    /// Requests given up at [`IN_FLIGHT_LIMIT`].
    pub abandoned: u64,
    /// Requests that settled without an answer.
    pub unanswered: u64,
    /// Requests and calls that lasted longer than [`LONGEST`], which are left out.
    pub implausible: u64,
}

impl PodTracker {
    /// Takes what a record says about a request. `updates` is the record's: an exchange that was emitted
    /// before and is not here has settled.
    pub fn request(&mut self, key: Key, pending: Pending, updates: u32) {
        let messages = &pending.messages;
        if messages.response_last.saturating_sub(messages.request_first) > LONGEST {
            self.implausible += 1;
            return self.cut(&key);
        }
        let waiting = updates > 0 && self.in_flight.remove(&key).is_some();
        let open = updates > 0 && !waiting && self.answered.is_open(&key);
        if updates > 0 && !waiting && !open {
            self.late += 1;
            return;
        }
        self.newest = self.newest.max(pending.emitted);
        self.farthest.see(pending.transport.srtt_us);
        if !pending.messages.is_answered() {
            self.answered.finish_last(&key);
            self.in_flight.insert(key, pending);
            if self.in_flight.len() > IN_FLIGHT_LIMIT && self.in_flight.pop_first().is_some() {
                self.abandoned += 1;
            }
            return;
        }
        if self.makes_calls && !pending.marks.has(Marks::UNANSWERED) {
            self.threads.response(pending.thread, key.flow, pending.messages.response_first);
        }
        self.answered.insert(key, pending, open);
    }

    /// Takes who wrote responses that the kernel added up.
    pub fn folded(&mut self, thread: Thread, flow: u64, last: u64) {
        if self.makes_calls {
            self.threads.response(thread, flow, last);
        }
    }

    /// Whether a call has not ended at `now`. One that goes on for longer than a request counts is none that a request
    /// waits for: a stream of events, or one of which the end was lost.
    #[must_use]
    pub fn is_calling(&self, now: u64) -> bool {
        let from = Key { first: counted_from(now), flow: 0, number: 0 };
        self.calls.range(from..).any(|(_, entry)| entry.open)
    }

    /// Takes what a record says about a call. `open` means that it has not ended.
    pub fn call(&mut self, key: Key, call: Call, open: bool, emitted: u64, updates: u32) {
        if call.end.saturating_sub(call.start) > LONGEST {
            self.implausible += 1;
            return self.cut(&key);
        }
        let known = self.calls.entry(key);
        if updates > 0 && matches!(known, btree_map::Entry::Vacant(_)) {
            self.late += 1;
            return;
        }
        self.makes_calls = true;
        self.newest = self.newest.max(emitted);
        if call.flow != 0 {
            let until = if open { emitted } else { call.end };
            self.threads.call(call.thread, call.flow, call.start, until);
        }
        let call = Arc::new(call);
        match known {
            btree_map::Entry::Occupied(mut known) => {
                let entry = known.get_mut();
                entry.call = call;
                entry.open = open;
                entry.emitted = emitted;
            }
            btree_map::Entry::Vacant(new) => {
                new.insert(Entry::new(call, open, emitted));
            }
        }
    }

    /// How the exchange goes on is not to be known: it is forgotten, unless it has settled.
    pub fn cut(&mut self, key: &Key) {
        self.in_flight.remove(key);
        self.calls.remove(key);
    }

    /// The calls on a flow that wait for their answer.
    pub fn waiting_calls(&self, flow: u64) -> impl Iterator<Item = &Call> {
        let waits = move |entry: &&Entry| entry.open && !entry.call.answered && entry.call.flow == flow;
        self.calls.values().filter(waits).map(|entry| &*entry.call)
    }

    /// Whether it is a call that has ended and not settled.
    #[must_use]
    pub fn is_over(&self, key: &Key) -> bool {
        self.calls.get(key).is_some_and(|entry| !entry.open)
    }

    /// Whether the exchange is known and has not settled.
    #[must_use]
    pub fn is_pending(&self, key: &Key) -> bool {
        self.in_flight.contains_key(key) || self.answered.is_open(key) || self.calls.contains_key(key)
    }

    /// Settles what can be settled at `now`.
    pub fn advance(&mut self, pod: &Arc<Pod>, now: u64, settle: &mut dyn FnMut(Settled<'_>)) {
        self.farthest.advance(now);
        self.settle(pod, Due::at(now, &self.farthest), now, settle);
    }

    /// Settles everything: the tracing is over at `now`. Requests without an answer are left out.
    pub fn finish(&mut self, pod: &Arc<Pod>, now: u64, settle: &mut dyn FnMut(Settled<'_>)) {
        self.settle(pod, Due::at(u64::MAX, &self.farthest), now, settle);
        for entry in mem::take(&mut self.calls).into_values() {
            settle_call(&entry, settle);
        }
    }

    /// Not later than the start of anything that has not settled; requests without an answer count as long as
    /// they are candidates.
    #[must_use]
    pub fn oldest_unsettled(&self, now: u64) -> Option<u64> {
        let call = self.calls.first_key_value().map(|(key, _)| key.first);
        self.oldest_request(counted_from(now)).into_iter().chain(call).min()
    }

    fn oldest_request(&self, from: u64) -> Option<u64> {
        let waiting = self.in_flight.range(Key { first: from, flow: 0, number: 0 }..).next();
        waiting.map(|(key, _)| key.first).into_iter().chain(self.answered.oldest()).min()
    }

    fn settle(&mut self, pod: &Arc<Pod>, due: Due, now: u64, settle: &mut dyn FnMut(Settled<'_>)) {
        let from = counted_from(now);
        self.decide_calls(due, from);
        let (calls, unanswered) = (&mut self.calls, &mut self.unanswered);
        let mut over = Vec::new();
        self.answered.settle(due, ANSWERED_LIMIT, &self.postponed, |settling| {
            *unanswered += u64::from(settling.pending.marks.has(Marks::UNANSWERED));
            settle(Settled::Request(&build(calls, &mut over, pod, settling)));
        });
        for key in over {
            self.settle_call(&key, due, settle);
        }
        self.settle_calls(due, from, settle);
    }

    /// Decides the calls that due requests may own, and finds the requests that must wait on: another one's
    /// answer may tell whose a call was. All are decided before any settles: they are each other's candidates.
    fn decide_calls(&mut self, due: Due, from: u64) {
        let before = mem::take(&mut self.postponed);
        if self.calls.is_empty() {
            return;
        }
        let mut candidates = Vec::new();
        for (request, pending) in self.answered.due(due) {
            let patient = due.is_patient(pending.emitted, pending.rest);
            if let Ok(at) = before.binary_search_by_key(&request, |(request, _)| *request)
                && patient
                && self.calls.get(&before[at].1).is_some_and(|e| e.waits(&self.in_flight, &self.threads))
            {
                self.postponed.push(before[at]);
                continue;
            }
            let range = calls_between(request.first, pending.messages.response_first);
            for (call, entry) in self.calls.range_mut(range).filter(|(_, entry)| entry.decision.is_none()) {
                if !patient || !entry.waits(&self.in_flight, &self.threads) {
                    let view = View { threads: &self.threads, patient, from, newest: self.newest };
                    candidates.clear();
                    self.answered.candidates(entry.call.start, &mut candidates);
                    candidates.extend(waiting(&self.in_flight, from, entry.call.start));
                    entry.decide(&candidates, view);
                    learn(&mut self.threads, entry, &candidates);
                }
                if entry.decision.is_none() {
                    self.postponed.push((request, *call));
                    break;
                }
            }
        }
        self.postponed.sort_unstable();
    }

    /// Settles a call to which the last of its requests has settled, unless it may change.
    fn settle_call(&mut self, key: &Key, due: Due, settle: &mut dyn FnMut(Settled<'_>)) {
        if let btree_map::Entry::Occupied(entry) = self.calls.entry(*key)
            && entry.get().is_over(due)
        {
            settle_call(&entry.remove(), settle);
        }
    }

    /// Settles calls that no request can claim any more.
    fn settle_calls(&mut self, due: Due, from: u64, settle: &mut dyn FnMut(Settled<'_>)) {
        let oldest = self.oldest_request(from).unwrap_or(u64::MAX);
        let surplus = self.calls.len().saturating_sub(CALL_LIMIT);
        let over: Vec<Key> = self
            .calls
            .iter()
            .enumerate()
            .take_while(|(n, (key, _))| *n < surplus || key.first < oldest)
            .filter(|(n, (_, entry))| *n < surplus || entry.is_over(due))
            .map(|(_, (key, _))| *key)
            .collect();
        for key in over {
            if let Some(entry) = self.calls.remove(&key) {
                settle_call(&entry, settle);
            }
        }
    }
}

fn counted_from(now: u64) -> u64 {
    now.saturating_sub(ANSWER_TIME)
}

/// Requests without an answer that had begun at `time`, but not before `from`.
fn waiting(in_flight: &BTreeMap<Key, Pending>, from: u64, time: u64) -> impl Iterator<Item = Candidate> {
    let begun = Key { first: time.max(from), flow: u64::MAX, number: u32::MAX };
    let requests = in_flight.range(Key { first: from, flow: 0, number: 0 }..=begun);
    requests.filter(move |(key, _)| key.first <= time).map(|(key, _)| Candidate { key: *key, answer: None })
}

/// A request with its calls. Those that it was the last to claim go to `over`.
fn build(
    calls: &mut BTreeMap<Key, Entry>,
    over: &mut Vec<Key>,
    pod: &Arc<Pod>,
    settling: Settling<'_>,
) -> Request {
    let Settling { key, pending, .. } = settling;
    let mut owned: Vec<AttributedCall> = Vec::new();
    if !calls.is_empty() {
        for (call, entry) in calls.range_mut(calls_between(key.first, pending.messages.response_first)) {
            let Some(claimed) = entry.claim(&settling) else { continue };
            owned.push(claimed);
            if entry.left == 0 {
                over.push(*call);
            }
        }
    }
    let stages = Stages::of(&pending.messages, &owned);
    let mut marks = pending.marks;
    if owned.len() > CALLS_PER_REQUEST {
        owned.truncate(CALLS_PER_REQUEST);
        marks.set(Marks::CALLS_CUT);
    }
    Request {
        pod: Arc::clone(pod),
        flow: key.flow,
        number: key.number,
        transport: pending.transport,
        messages: pending.messages,
        thread: pending.thread,
        http: pending.http.clone(),
        stages,
        calls: owned,
        marks,
    }
}

#[cfg(test)]
#[path = "pod_tests.rs"]
mod tests;
