//! The requests and calls of one pod, from the first record of each until it settles.
//!
//! A request settles once nothing about it can change: its records came, and so did those of every call and
//! every other request that it must be weighed against. The kernel emits an exchange at the latest with the
//! acknowledgment of its last byte, and Linux delays that by 200 ms at most (`TCP_DELACK_MAX`).

use std::{collections::BTreeMap, mem, ops::Bound, sync::Arc};

use super::{
    AttributedCall, Attribution, Call, Marks, Request, Stages, Thread,
    attribution::{Candidate, Decision, decide},
    multiplex::Multiplexing,
};
use crate::{
    flow::{Messages, Transport},
    pod::Pod,
    proto::http1,
};

/// After its newest record, how long a request or call waits to settle: 200 ms and the drain's tick, twice.
pub const SETTLE: u64 = 500_000_000;
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
#[derive(Debug)]
pub enum Settled {
    /// A request.
    Request(Box<Request>),
    /// A call, exactly once each, after the requests it belongs to.
    Call(Arc<Call>, Attribution),
}

/// Requests and calls of one pod.
#[derive(Debug, Default)]
pub struct PodTracker {
    in_flight: BTreeMap<Key, Pending>,
    answered: BTreeMap<Key, Pending>,
    /// Longest time from first byte in to first byte out among `answered`: how far back candidates can lie.
    longest: u64,
    calls: BTreeMap<Key, Entry>,
    threads: Multiplexing,
    /// Records that came for an exchange that had settled.
    pub late: u64,
    /// Requests given up at [`IN_FLIGHT_LIMIT`].
    pub abandoned: u64,
}

impl PodTracker {
    /// Takes what a record says about a request. `updates` is the record's: an exchange that was emitted
    /// before and is not here has settled.
    pub fn request(&mut self, key: Key, pending: Pending, updates: u32) {
        let known = self.in_flight.contains_key(&key) || self.answered.contains_key(&key);
        if updates > 0 && !known {
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
        if updates > 0 {
            self.in_flight.remove(&key);
        }
        if !self.calls.is_empty() {
            self.threads.response(pending.thread, key.flow, pending.messages.response_first);
        }
        self.longest = self.longest.max(pending.messages.response_first.saturating_sub(key.first));
        self.answered.insert(key, pending);
    }

    /// Takes what a record says about a call. `open` means that it has not ended.
    pub fn call(&mut self, key: Key, call: Call, open: bool, emitted: u64, updates: u32) {
        if updates > 0 && !self.calls.contains_key(&key) {
            self.late += 1;
            return;
        }
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
        self.in_flight.contains_key(key) || self.answered.contains_key(key) || self.calls.contains_key(key)
    }

    /// Settles what can be settled at `now`.
    pub fn advance(&mut self, pod: &Arc<Pod>, now: u64, settle: &mut dyn FnMut(Settled)) {
        self.settle_requests(pod, now, settle);
        self.settle_calls(now, settle);
        if self.answered.is_empty() {
            self.longest = 0;
        }
    }

    /// Settles everything: the tracing is over. Requests without an answer are left out.
    pub fn finish(&mut self, pod: &Arc<Pod>, settle: &mut dyn FnMut(Settled)) {
        self.advance(pod, u64::MAX, settle);
        for entry in mem::take(&mut self.calls).into_values() {
            settle_call(entry, settle);
        }
    }

    fn settle_requests(&mut self, pod: &Arc<Pod>, now: u64, settle: &mut dyn FnMut(Settled)) {
        let surplus = self.answered.len().saturating_sub(ANSWERED_LIMIT);
        let due: Vec<Key> = self
            .answered
            .iter()
            .enumerate()
            .filter(|(n, (_, pending))| *n < surplus || now.saturating_sub(pending.emitted) >= SETTLE)
            .map(|(_, (key, _))| *key)
            .collect();
        // Decide first, settle then: the candidates of a call include requests that settle in this round.
        let ready: Vec<Key> = due.into_iter().filter(|key| self.decide_calls(key, now)).collect();
        for key in ready {
            if let Some(pending) = self.answered.remove(&key) {
                settle(Settled::Request(Box::new(self.build(pod, key, &pending))));
            }
        }
    }

    /// Decides the calls that the request may own; `false` means: not yet.
    fn decide_calls(&mut self, request: &Key, now: u64) -> bool {
        if self.calls.is_empty() {
            return true;
        }
        let Some(pending) = self.answered.get(request) else { return false };
        let patient = now.saturating_sub(pending.emitted) < SETTLE + PATIENCE;
        let range = calls_between(request.first, pending.messages.response_first);
        let undecided: Vec<Key> =
            self.calls.range(range).filter(|(_, e)| e.decision.is_none()).map(|(key, _)| *key).collect();
        let mut complete = true;
        for key in undecided {
            let Some(call) = self.calls.get(&key).map(|entry| Arc::clone(&entry.call)) else { continue };
            let candidates = self.candidates(call.start);
            let decision = decide(&call, &candidates, &self.threads, patient);
            complete &= decision.is_some();
            if let Some(entry) = self.calls.get_mut(&key) {
                entry.decision = decision;
            }
        }
        complete
    }

    /// Requests that were in flight at `time`: begun, and not answered.
    fn candidates(&self, time: u64) -> Vec<Candidate> {
        let begun = Key { first: time, flow: u64::MAX, number: u32::MAX };
        let oldest = Key { first: time.saturating_sub(self.longest), flow: 0, number: 0 };
        let answered = self.answered.range(oldest..=begun).filter(|(_, p)| p.messages.response_first > time);
        let answered = answered
            .map(|(key, p)| Candidate { key: *key, answer: Some((p.thread, p.messages.response_first)) });
        let waiting = self.in_flight.range(..=begun).map(|(key, _)| Candidate { key: *key, answer: None });
        answered.chain(waiting).collect()
    }

    fn build(&self, pod: &Arc<Pod>, key: Key, pending: &Pending) -> Request {
        let mut calls: Vec<AttributedCall> = Vec::new();
        if !self.calls.is_empty() {
            let range = calls_between(key.first, pending.messages.response_first);
            calls.extend(self.calls.range(range).filter_map(|(_, entry)| attributed(entry, &key)));
        }
        let stages = Stages::of(&pending.messages, &calls);
        let mut marks = pending.marks;
        if calls.len() > CALLS_PER_REQUEST {
            calls.truncate(CALLS_PER_REQUEST);
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
            calls,
            marks,
        }
    }

    /// Calls that no request can claim any more.
    fn settle_calls(&mut self, now: u64, settle: &mut dyn FnMut(Settled)) {
        let oldest = [self.in_flight.first_key_value(), self.answered.first_key_value()];
        let oldest = oldest.into_iter().flatten().map(|(key, _)| key.first).min().unwrap_or(u64::MAX);
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
                settle_call(entry, settle);
            }
        }
    }
}

fn settle_call(entry: Entry, settle: &mut dyn FnMut(Settled)) {
    let attribution = entry.decision.as_ref().map_or(Attribution::None, Decision::attribution);
    settle(Settled::Call(entry.call, attribution));
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
