//! What a protocol's parser tells of a flow's exchanges → requests and calls.

use tracer_ebpf::record::role;

use super::{Engine, Resolve, exchange::mark};
use crate::{
    flow::{Messages, Transport},
    proto::{
        http::Http,
        speaker::Handshake,
        stream::{Event, Exchange, Head, Outcome, Part, Protocol},
    },
    request::{
        Call, CallKind, Thread, What,
        pod::{Key, Pending},
        wait::Rest,
    },
};

/// A flow, seen from one of its ends.
#[derive(Clone, Copy, Debug)]
pub struct On {
    /// Identity of the flow.
    pub flow: u64,
    /// One of [`role`]: what the local end is.
    pub role: u8,
    /// The pod of the local end, as [`Resolve`] knows it.
    pub cgroup: u64,
    /// The two ends.
    pub transport: Transport,
    /// Kind of its calls, when the local end is the client.
    pub kind: CallKind,
    /// The handshake was not seen.
    pub joined: bool,
}

impl<R: Resolve> Engine<R> {
    /// Takes what a parser told at `now`.
    pub fn told(&mut self, on: &On, event: &Event, now: u64) {
        match event {
            Event::Begun { number, protocol, head, request } => {
                let messages = messages(request, None);
                self.exchange_of(
                    on,
                    Told { number: *number, http: http(*protocol, head), messages, over: false },
                    now,
                );
            }
            Event::Ended(exchange) => self.ended(on, exchange, now),
            Event::Upgraded(_) => {}
        }
    }

    fn ended(&mut self, on: &On, exchange: &Exchange, now: u64) {
        let Some(request) = &exchange.request else {
            self.oddities.unsolicited += 1;
            return;
        };
        // Bytes are missing, or the tracing ended first: when it ended, if it did, is not to be known.
        if exchange.outcome == Outcome::Cut {
            self.oddities.cut += 1;
            let key = Key { first: request.first.time, flow: on.flow, number: exchange.number };
            if let Some(pod) = self.pod(on.cgroup) {
                pod.tracker.cut(&key);
            }
            return;
        }
        let messages = messages(request, exchange.response.as_ref());
        let http = http(exchange.protocol, &exchange.head);
        self.exchange_of(on, Told { number: exchange.number, http, messages, over: true }, now);
    }

    fn exchange_of(&mut self, on: &On, told: Told, now: u64) {
        let is_call = on.role != role::SERVER;
        let peer_name = if is_call { self.peer_name(on.transport.peer) } else { None };
        let Some(pod) = self.pod(on.cgroup) else { return };
        let key = Key { first: told.messages.request_first, flow: on.flow, number: told.number };
        let updates = u32::from(told.over);
        if is_call {
            let open = !told.over;
            let call = Call { peer_name, ..told.call(on, now) };
            pod.tracker.call(key, call, open, now, updates);
        } else {
            pod.tracker.request(key, told.pending(on, now), updates);
        }
    }

    /// A server takes no new streams.
    pub fn goaway(&mut self, on: &On, now: u64) {
        if on.role == role::CLIENT
            && let Some(pod) = self.pod(on.cgroup)
        {
            pod.peers.goaway(on.transport.peer, now);
        }
    }

    /// Takes a TLS handshake of a client: a part of the connection set-up.
    pub fn tls(&mut self, on: &On, handshake: &Handshake) {
        let Handshake { begun, ended, complete, .. } = *handshake;
        let kind = if on.kind == CallKind::Metadata { CallKind::Metadata } else { CallKind::Connect };
        let peer_name = self.peer_name(on.transport.peer);
        let Some(pod) = self.pod(on.cgroup) else { return };
        let key = Key { first: begun, flow: on.flow, number: 0 };
        let call = Call {
            kind,
            start: begun,
            end: ended,
            flow: on.flow,
            number: 0,
            local: on.transport.local,
            peer: on.transport.peer,
            peer_name,
            thread: Thread::default(),
            what: What::Tls { server_name: handshake.server_name.clone() },
            messages: Messages::default(),
            answered: complete,
        };
        pod.tracker.call(key, call, false, ended, 0);
    }
}

/// An exchange so far.
struct Told {
    number: u32,
    http: Option<Http>,
    messages: Messages,
    over: bool,
}

impl Told {
    fn pending(self, on: &On, now: u64) -> Pending {
        let mut messages = self.messages;
        let marks = mark(&mut messages, on.joined && self.number == 1, self.over, now);
        Pending {
            messages,
            transport: on.transport,
            thread: Thread::default(),
            http: self.http,
            marks,
            emitted: now,
            rest: if self.over { Rest::None } else { Rest::Possible },
        }
    }

    fn call(self, on: &On, now: u64) -> Call {
        let answered = self.messages.is_answered();
        Call {
            kind: on.kind,
            start: self.messages.request_first,
            end: if answered { self.messages.response_last } else { now },
            flow: on.flow,
            number: self.number,
            local: on.transport.local,
            peer: on.transport.peer,
            peer_name: None,
            thread: Thread::default(),
            what: self.http.map_or(What::Opaque, What::Http),
            messages: self.messages,
            answered,
        }
    }
}

fn http(protocol: Protocol, head: &Head) -> Option<Http> {
    matches!(protocol, Protocol::Http1 | Protocol::Http2 { .. }).then(|| Http::Head(protocol, head.clone()))
}

fn messages(request: &Part, response: Option<&Part>) -> Messages {
    let response = response.copied().unwrap_or_default();
    Messages {
        request_first: request.first.time,
        request_last: request.last.time,
        response_first: response.first.time,
        response_last: response.last.time,
        request_bytes: request.bytes,
        response_bytes: response.bytes,
    }
}
