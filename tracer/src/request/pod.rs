//! The requests and calls of one pod, from the first record of each until it settles.
//!
//! A request settles once nothing about it can change: its records came, and so did those of every call and
//! every other request that it must be weighed against. The kernel emits an exchange at the latest with the
//! acknowledgment of its last byte, and Linux delays that by 200 ms at most (`TCP_DELACK_MAX`).

use std::{collections::BTreeMap, mem, ops::Bound, sync::Arc};

use super::{
    AttributedCall, Attribution, Call, Marks, Request, Stages, Thread,
    answered::Answered,
    attribution::{Candidate, Decision, decide},
    multiplex::Multiplexing,
};
use crate::{
    flow::{Messages, Transport},
    pod::Pod,
    proto::http1,
};

/// After its newest record, how long a request or call waits to settle: the 200 ms, and a tick or two.
pub const SETTLE: u64 = 300_000_000;
/// How much longer it waits for another request's answer to tell whose a call was.
pub const PATIENCE: u64 = 2_000_000_000;
/// Requests kept per pod that wait for their answer; at the cap the oldest is given up and counted.
pub const IN_FLIGHT_LIMIT: usize = 16_384;
/// Answered requests kept per pod until they settle; at the cap the oldest settles early.
pub const ANSWERED_LIMIT: usize = 262_144;
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
#[derive(Clone, Copy, Debug)]
pub struct Pending {
    /// Times and bytes so far.
    pub messages: Messages,
    /// Addresses and path.
    pub transport: Transport,
    /// Who wrote the response.
    pub thread: Thread,
    /// Start lines, if it is HTTP/1.
    pub http: Option<http1::Exchange>,
    /// What is unusual.
    pub marks: Marks,
    /// When its newest record was emitted.
    pub emitted: u64,
    /// Nothing about it can change any more: the flow's next exchange has begun, or the flow is closed.
    pub is_final: bool,
}

#[derive(Debug)]
struct Entry {
    call: Arc<Call>,
    /// It has no end yet; `call.end` is the latest moment at which it was known to be outstanding.
    open: bool,
    emitted: u64,
    decision: Option<Decision>,
}

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
    threads: Multiplexing,
    /// A pod that never calls anything needs no trail of its threads.
    makes_calls: bool,
    /// Records that came for an exchange that had settled.
    pub late: u64,
    /// Requests given up at [`IN_FLIGHT_LIMIT`].
    pub abandoned: u64,
}

impl PodTracker {
    /// Takes what a record says about a request. `updates` is the record's: an exchange that was emitted
    /// before and is not here has settled.
    pub fn request(&mut self, key: Key, pending: Pending, updates: u32) {
        let waiting = updates > 0 && self.in_flight.remove(&key).is_some();
        let open = updates > 0 && !waiting && self.answered.is_open(&key);
        if updates > 0 && !waiting && !open {
            self.late += 1;
            return;
        }
        if !pending.messages.is_answered() {
            self.in_flight.insert(key, pending);
            if self.in_flight.len() > IN_FLIGHT_LIMIT && self.in_flight.pop_first().is_some() {
                self.abandoned += 1;
            }
            return;
        }
        if self.makes_calls {
            self.threads.response(pending.thread, key.flow, pending.messages.response_first);
        }
        self.answered.insert(key, pending, open);
    }

    /// Takes what a record says about a call. `open` means that it has not ended.
    pub fn call(&mut self, key: Key, call: Call, open: bool, emitted: u64, updates: u32) {
        if updates > 0 && !self.calls.contains_key(&key) {
            self.late += 1;
            return;
        }
        self.makes_calls = true;
        if call.flow != 0 {
            let until = if open { emitted } else { call.end };
            self.threads.call(call.thread, call.flow, call.start, until);
        }
        let call = Arc::new(call);
        match self.calls.get_mut(&key) {
            Some(entry) => {
                entry.call = call;
                entry.open = open;
                entry.emitted = emitted;
            }
            None => {
                self.calls.insert(key, Entry { call, open, emitted, decision: None });
            }
        }
    }

    /// Whether the exchange is known and has not settled.
    #[must_use]
    pub fn is_pending(&self, key: &Key) -> bool {
        self.in_flight.contains_key(key) || self.answered.is_open(key) || self.calls.contains_key(key)
    }

    /// Settles what can be settled at `now`.
    pub fn advance(&mut self, pod: &Arc<Pod>, now: u64, settle: &mut dyn FnMut(Settled<'_>)) {
        self.settle_requests(pod, now, settle);
        self.settle_calls(now, settle);
    }

    /// Settles everything: the tracing is over. Requests without an answer are left out.
    pub fn finish(&mut self, pod: &Arc<Pod>, settle: &mut dyn FnMut(Settled<'_>)) {
        self.advance(pod, u64::MAX, settle);
        for entry in mem::take(&mut self.calls).into_values() {
            settle_call(&entry, settle);
        }
    }

    fn settle_requests(&mut self, pod: &Arc<Pod>, now: u64, settle: &mut dyn FnMut(Settled<'_>)) {
        let postponed = self.decide_calls(now);
        let calls = &self.calls;
        self.answered.settle(now, ANSWERED_LIMIT, &postponed, |key, pending| {
            settle(Settled::Request(&build(calls, pod, key, pending)));
        });
    }

    /// Decides the calls that due requests may own, and gives the requests (sorted) that must wait on: another
    /// one's answer may tell whose a call was. All are decided before any settles: they are each other's
    /// candidates.
    fn decide_calls(&mut self, now: u64) -> Vec<Key> {
        if self.calls.is_empty() {
            return Vec::new();
        }
        let mut postponed = Vec::new();
        let mut candidates = Vec::new();
        for (request, pending) in self.answered.due(now) {
            let patient = now.saturating_sub(pending.emitted) < SETTLE + PATIENCE;
            let range = calls_between(request.first, pending.messages.response_first);
            let mut complete = true;
            for (_, entry) in self.calls.range_mut(range).filter(|(_, entry)| entry.decision.is_none()) {
                candidates.clear();
                self.answered.candidates(entry.call.start, &mut candidates);
                candidates.extend(waiting(&self.in_flight, entry.call.start));
                entry.decision = decide(&entry.call, &candidates, &self.threads, patient);
                complete &= entry.decision.is_some();
            }
            if !complete {
                postponed.push(*request);
            }
        }
        postponed.sort_unstable();
        postponed
    }

    /// Calls that no request can claim any more.
    fn settle_calls(&mut self, now: u64, settle: &mut dyn FnMut(Settled<'_>)) {
        let waiting = self.in_flight.first_key_value().map(|(key, _)| key.first);
        let oldest = waiting.into_iter().chain(self.answered.oldest()).min().unwrap_or(u64::MAX);
        let surplus = self.calls.len().saturating_sub(CALL_LIMIT);
        let due: Vec<Key> = self
            .calls
            .iter()
            .enumerate()
            .take_while(|(n, (key, _))| *n < surplus || key.first < oldest)
            .filter(|(n, (_, e))| *n < surplus || !e.open && now.saturating_sub(e.emitted) >= SETTLE)
            .map(|(_, (key, _))| *key)
            .collect();
        for key in due {
            if let Some(entry) = self.calls.remove(&key) {
                settle_call(&entry, settle);
            }
        }
    }
}

/// Requests without an answer that had begun at `time`.
fn waiting(in_flight: &BTreeMap<Key, Pending>, time: u64) -> impl Iterator<Item = Candidate> {
    let begun = Key { first: time, flow: u64::MAX, number: u32::MAX };
    in_flight.range(..=begun).map(|(key, _)| Candidate { key: *key, answer: None })
}

fn build(calls: &BTreeMap<Key, Entry>, pod: &Arc<Pod>, key: Key, pending: &Pending) -> Request {
    let mut owned: Vec<AttributedCall> = Vec::new();
    if !calls.is_empty() {
        let range = calls_between(key.first, pending.messages.response_first);
        owned.extend(calls.range(range).filter_map(|(_, entry)| attributed(entry, &key)));
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
        http: pending.http,
        stages,
        calls: owned,
        marks,
    }
}

fn settle_call(entry: &Entry, settle: &mut dyn FnMut(Settled<'_>)) {
    let attribution = entry.decision.as_ref().map_or(Attribution::None, Decision::attribution);
    settle(Settled::Call(&entry.call, attribution));
}

fn calls_between(from: u64, until: u64) -> (Bound<Key>, Bound<Key>) {
    let until = Bound::Excluded(Key { first: until.max(from), flow: 0, number: 0 });
    (Bound::Included(Key { first: from, flow: 0, number: 0 }), until)
}

fn attributed(entry: &Entry, request: &Key) -> Option<AttributedCall> {
    let decision = entry.decision.as_ref()?;
    let requests = decision.share(request)?;
    let mut call = Arc::clone(&entry.call);
    if entry.open {
        // It outlives the response: it covers the rest of the window.
        Arc::make_mut(&mut call).end = u64::MAX;
    }
    Some(AttributedCall { call, attribution: decision.attribution(), requests })
}

#[cfg(test)]
#[path = "pod_tests.rs"]
mod tests;
