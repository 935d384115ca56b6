//! What is known of one server, and of its connections on which nothing is acknowledged.

use std::{collections::BTreeMap, net::SocketAddr};

use tracer_ebpf::record::{FlowRecord, flow_flag, protocol};

use crate::{
    flow::Transport,
    request::{Call, Outage, Place, RETRANSMISSION_LIMIT, What, pod::PodTracker},
};

/// Connections of one server that are followed.
const FLOW_LIMIT: usize = 8;
/// Calls of one connection that are followed.
const CALL_LIMIT: usize = 64;
/// Connects that are told apart.
const CONNECT_LIMIT: usize = 64;
/// How long the first bytes that are never acknowledged may have left before the kernel sent them a third time. Calls that
/// began earlier had been waiting for something else: they are streams, or the server is slow.
const BEFORE: u64 = 5_000_000_000;

/// A server.
#[derive(Debug, Default)]
pub(super) struct Peer {
    /// When it last accepted a connection; 0 for never.
    pub(super) alive: u64,
    /// When it last said GOAWAY; 0 for never.
    pub(super) goaway: u64,
    /// How long callers wait, as they say, nanoseconds.
    pub(super) deadline: u64,
    pub(super) trouble: Option<Trouble>,
}

/// A server that does not answer.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    place: Option<Place>,
    /// Of the failed connects: the first began, the last ended.
    connects: Option<(u64, u64)>,
    /// The flows of these, and whether each was refused.
    attempts: BTreeMap<u64, bool>,
    longest_connect: u64,
    silent: Vec<Silent>,
    /// Something is new since it was told.
    changed: bool,
}

/// A connection on which nothing is acknowledged.
#[derive(Debug)]
struct Silent {
    flow: u64,
    /// When bytes left for the third time.
    first: u64,
    retransmissions: Vec<u64>,
    calls: BTreeMap<u32, Waiting>,
    /// When it was closed or given up.
    over: Option<u64>,
    /// That is certain: the kernel may still send what is left.
    closed: bool,
    /// The latest time at which it was not over.
    until: u64,
}

/// A call on it.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    start: u64,
    end: Option<u64>,
    deadline: Option<u64>,
}

impl Peer {
    /// A connect succeeded. Connections that were silent stay so.
    pub(super) fn connected(&mut self, began: u64, time: u64) {
        self.alive = self.alive.max(time);
        let Some(trouble) = &mut self.trouble else { return };
        trouble.given_up(began);
        trouble.connects = None;
        trouble.attempts.clear();
        trouble.longest_connect = 0;
        if trouble.silent.is_empty() {
            self.trouble = None;
        }
    }

    /// A connect failed, or its SYN had to be sent again.
    pub(super) fn connecting(&mut self, record: &FlowRecord, transport: &Transport) {
        // A capture tells at its end of the connects that it does not see ending.
        if record.opened <= self.alive {
            return;
        }
        let trouble = self.trouble.get_or_insert_default();
        trouble.changed = true;
        trouble.given_up(record.opened);
        let place = Place { flow: record.flow, number: 0, local: transport.local, start: record.opened };
        trouble.place.get_or_insert(place);
        let (since, until) = trouble.connects.unwrap_or((record.opened, record.emitted));
        trouble.connects = Some((since.min(record.opened), until.max(record.emitted)));
        trouble.longest_connect = trouble.longest_connect.max(record.emitted.saturating_sub(record.opened));
        let refused = record.flags & flow_flag::RESET_IN != 0;
        if trouble.attempts.len() < CONNECT_LIMIT || trouble.attempts.contains_key(&record.flow) {
            trouble.attempts.insert(record.flow, refused);
        }
    }

    /// Bytes left for the third time, or more often.
    pub(super) fn silent(&mut self, record: &FlowRecord, transport: &Transport, tracker: &PodTracker) {
        let trouble = self.trouble.get_or_insert_default();
        trouble.changed = true;
        let Some(silent) = trouble.flow(record) else { return };
        if !silent.closed {
            silent.over = None;
        }
        silent.until = silent.until.max(record.emitted);
        if silent.retransmissions.len() < RETRANSMISSION_LIMIT {
            silent.retransmissions.push(record.emitted);
        }
        silent.look(tracker);
        // Of protocols with frames the reader knows the calls.
        let is_turn = record.protocol <= protocol::OPAQUE && record.exchange != 0;
        if is_turn && record.request_first != 0 && record.response_first == 0 {
            silent.waits(record.exchange, record.request_first, None);
        }
        let first = silent.calls.first_key_value().map(|(number, call)| (*number, call.start));
        if let Some((number, start)) = first {
            let (flow, local) = (record.flow, transport.local);
            trouble.place.get_or_insert(Place { flow, number, local, start });
        }
    }

    /// The peer has acknowledged what it was silent to.
    pub(super) fn heard(&mut self, record: &FlowRecord) {
        self.alive = self.alive.max(record.emitted);
        let Some(trouble) = &mut self.trouble else { return };
        trouble.silent.retain(|silent| silent.flow != record.flow);
        if trouble.silent.is_empty() && trouble.connects.is_none() {
            self.trouble = None;
        }
    }

    /// A flow is closed, by whomever. It may have been there before anybody looked.
    pub(super) fn closed(&mut self, record: &FlowRecord, tracker: &PodTracker) {
        self.alive = self.alive.max(record.established).max(1);
        let Some(trouble) = &mut self.trouble else { return };
        if let Some(silent) = trouble.silent.iter_mut().find(|silent| silent.flow == record.flow) {
            silent.look(tracker);
            silent.over = Some(silent.over.map_or(record.emitted, |over| over.min(record.emitted)));
            silent.closed = true;
            trouble.changed = true;
        }
    }
}

impl Trouble {
    fn flow(&mut self, record: &FlowRecord) -> Option<&mut Silent> {
        let at = self.silent.iter().position(|silent| silent.flow == record.flow);
        if at.is_none() && self.silent.len() < FLOW_LIMIT {
            self.silent.push(Silent {
                flow: record.flow,
                first: record.emitted,
                retransmissions: Vec::new(),
                calls: BTreeMap::new(),
                over: None,
                closed: false,
                until: record.emitted,
            });
        }
        match at {
            Some(at) => self.silent.get_mut(at),
            None => self.silent.last_mut().filter(|silent| silent.flow == record.flow),
        }
    }

    /// The client connects again: it has given up the connections that have been silent. A capture does not see them close,
    /// and the kernel closes them only when it has waited in vain for what was still to be sent.
    fn given_up(&mut self, time: u64) {
        for silent in &mut self.silent {
            if silent.retransmissions.last().is_some_and(|last| *last < time) {
                silent.over = Some(silent.over.map_or(time, |over| over.min(time)));
            }
        }
    }

    /// A call ended without an answer.
    pub(super) fn settled(&mut self, call: &Call) {
        let silent = self.silent.iter_mut().find(|silent| silent.flow == call.flow);
        if let Some(waiting) = silent.and_then(|silent| silent.calls.get_mut(&call.number)) {
            waiting.end.get_or_insert(call.end);
            self.changed = true;
        }
    }

    /// Whether there is something to tell at `now`.
    pub(super) fn advance(&mut self, now: u64, tracker: &PodTracker) -> bool {
        let mut goes_on = false;
        for silent in self.silent.iter_mut().filter(|silent| silent.over.is_none()) {
            silent.until = silent.until.max(now);
            silent.look(tracker);
            goes_on = true;
        }
        std::mem::take(&mut self.changed) || goes_on
    }

    /// The last sign of it.
    pub(super) fn until(&self) -> u64 {
        let silent = self.silent.iter().map(|silent| silent.over.unwrap_or(silent.until));
        silent.chain(self.connects.map(|(_, until)| until)).max().unwrap_or_default()
    }

    /// All that is known, with the peer's `alive`, `goaway` and `deadline`.
    pub(super) fn outage(&self, address: SocketAddr, (alive, goaway, deadline): (u64, u64, u64)) -> Outage {
        let waits = || self.silent.iter().flat_map(Silent::waits_of);
        let longest = self.silent.iter().max_by_key(|silent| silent.waits_of().map(|(_, wait)| wait).max());
        let began = longest.and_then(|silent| silent.waits_of().map(|(start, _)| start).min());
        let since = waits().map(|(start, _)| start).chain(self.connects.map(|(since, _)| since)).min();
        let since = since.unwrap_or_else(|| self.until());
        let said =
            self.silent.iter().flat_map(|silent| silent.calls.values()).filter_map(|call| call.deadline);
        let unknown = Place { flow: 0, number: 0, local: address, start: since };
        Outage {
            peer: address,
            place: self.place.unwrap_or(unknown),
            since,
            until: self.until(),
            was_there: alive > 0 || !self.silent.is_empty(),
            goaway: goaway > alive,
            calls: waits().count() as u64,
            longest_call: waits().map(|(_, wait)| wait).max().unwrap_or_default(),
            retransmissions: longest.map_or_else(Vec::new, |silent| {
                let since = |time: &u64| time.saturating_sub(began.unwrap_or(silent.first));
                silent.retransmissions.iter().map(since).collect()
            }),
            connects: self.attempts.len() as u64,
            refused: self.attempts.values().filter(|refused| **refused).count() as u64,
            connecting: self.connects.map_or(0, |(since, until)| until.saturating_sub(since)),
            longest_connect: self.longest_connect,
            deadline: said.max().unwrap_or(deadline),
        }
    }
}

impl Silent {
    /// Looks for calls that wait.
    fn look(&mut self, tracker: &PodTracker) {
        let flow = self.flow;
        for call in tracker.waiting_calls(flow) {
            let deadline = if let What::Http(http) = &call.what { http.timeout() } else { None };
            self.waits(call.number, call.start, deadline);
        }
    }

    fn waits(&mut self, number: u32, start: u64, deadline: Option<u64>) {
        if self.calls.len() < CALL_LIMIT || self.calls.contains_key(&number) {
            self.calls.entry(number).or_insert(Waiting { start, end: None, deadline });
        }
    }

    /// Of each call since when and how long it has been waiting in vain.
    fn waits_of(&self) -> impl Iterator<Item = (u64, u64)> {
        self.calls.values().map(|call| {
            let early = call.start.saturating_add(BEFORE) < self.first;
            let start = if early { self.first } else { call.start };
            let end = call.end.or(self.over).unwrap_or(self.until);
            let deadline = call.deadline.map_or(u64::MAX, |deadline| call.start.saturating_add(deadline));
            (start, end.min(deadline).saturating_sub(start))
        })
    }
}
