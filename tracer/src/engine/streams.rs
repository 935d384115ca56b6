//! Flows whose exchanges stand in frames: their bytes, from the hooks, through the protocol's reader.
//!
//! The offline twin is `replay::flow`, which reads the same bytes from packets.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;
use tracer_ebpf::{
    record::{FlowRecord, StreamHead, flow_flag, protocol, role, stream_flag},
    segment::Direction,
};

use super::{Engine, On, Resolve, exchange::kind_of};
use crate::{
    flow::{
        Transport,
        tcp::{Budget, Ordered, Piece, Span},
    },
    proto::{
        detect::Spoken,
        speaker::{Speaker, Told},
        stream::{End, Seen, Side},
    },
    request::CallKind,
};

/// Flows that are read at once; beyond it the oldest is forgotten, and what it brings is counted as unread.
const FLOW_LIMIT: usize = 16_384;
/// Bytes that wait for missing ones, over all flows.
const WAITING_BYTES: usize = 4 << 20;

/// The flows that are being read.
pub(super) struct Streams {
    /// By their ids; none while one is read from.
    flows: FxHashMap<u64, Option<Box<Flow>>>,
    /// The same ids: they grow with time.
    ids: BTreeSet<u64>,
    budget: Budget,
    /// Records of flows that are not known: their first record was lost, or they were forgotten.
    pub(super) unread: u64,
}

/// One flow.
struct Flow {
    on: On,
    speaker: Speaker,
    /// By side, client first.
    ways: [Ordered; 2],
}

impl Default for Streams {
    fn default() -> Self {
        Self {
            flows: FxHashMap::default(),
            ids: BTreeSet::new(),
            budget: Budget::new(WAITING_BYTES),
            unread: 0,
        }
    }
}

impl Streams {
    fn insert(&mut self, id: u64, flow: Flow) {
        self.flows.insert(id, Some(Box::new(flow)));
        self.ids.insert(id);
        if self.ids.len() > FLOW_LIMIT
            && let Some(oldest) = self.ids.pop_first()
        {
            self.flows.remove(&oldest);
        }
    }

    fn remove(&mut self, id: u64) -> Option<Box<Flow>> {
        self.ids.remove(&id);
        self.flows.remove(&id).flatten()
    }
}

impl<R: Resolve> Engine<R> {
    /// A flow begins to be read.
    pub(super) fn framed(&mut self, record: &FlowRecord) {
        let joined = record.flags & flow_flag::JOINED != 0;
        let spoken = match record.protocol {
            protocol::HTTP2 => Spoken::Http2,
            protocol::TLS => Spoken::Tls,
            _ => Spoken::Dns,
        };
        let on = On {
            flow: record.flow,
            role: record.role,
            cgroup: record.cgroup,
            transport: Transport::of(record),
            kind: kind_of(record, CallKind::Upstream),
            joined,
        };
        let flow = Flow { on, speaker: Speaker::of(spoken, joined), ways: [Ordered::new(), Ordered::new()] };
        self.streams.insert(record.flow, flow);
    }

    /// Bytes of a flow came.
    pub(super) fn stream(&mut self, head: &StreamHead, bytes: &[u8]) {
        let Some(mut flow) = self.streams.flows.get_mut(&head.flow).and_then(Option::take) else {
            self.streams.unread += 1;
            return;
        };
        let mut budget = std::mem::replace(&mut self.streams.budget, Budget::new(0));
        flow.take(head, bytes, &mut budget, &mut |on, told, now| self.said(on, told, now));
        self.streams.budget = budget;
        if let Some(place) = self.streams.flows.get_mut(&head.flow) {
            *place = Some(flow);
        }
    }

    /// A flow is over.
    pub(super) fn close_stream(&mut self, record: &FlowRecord) {
        let Some(mut flow) = self.streams.remove(record.flow) else { return };
        let mut budget = std::mem::replace(&mut self.streams.budget, Budget::new(0));
        flow.close(record, &mut budget, &mut |on, told, now| self.said(on, told, now));
        self.streams.budget = budget;
    }

    fn said(&mut self, on: &On, told: Told<'_>, now: u64) {
        let own = if on.role == role::CLIENT { Side::Client } else { Side::Server };
        match told {
            Told::Event(event, _) => self.told(on, &event, now),
            Told::Tls(handshake) if on.role == role::CLIENT => self.tls(on, &handshake),
            Told::Tls(_) => {}
            Told::Dns(message) => self.dns_message(on, own, &message),
            Told::Goaway => self.goaway(on, now),
        }
    }
}

impl Flow {
    fn take(
        &mut self,
        head: &StreamHead,
        bytes: &[u8],
        budget: &mut Budget,
        said: &mut dyn FnMut(&On, Told<'_>, u64),
    ) {
        let side = side(head.direction, self.on.role);
        let seen = Seen { time: head.time, packet: 0 };
        let Self { on, speaker, ways } = self;
        let mut deliver = |piece: Piece<'_>| hand_on(on, speaker, side, piece, said);
        let ordered = &mut ways[side as usize];
        let (sequence, is_last) = (head.sequence, head.flags & stream_flag::FIN != 0);
        if head.skipped > 0 {
            let sequence = sequence.wrapping_sub(head.skipped);
            let skipped = Span { sequence, bytes: &[], length: head.skipped, is_last: false, seen };
            ordered.span(skipped, budget, &mut deliver);
        }
        let span = Span { sequence, bytes, length: head.length, is_last, seen };
        ordered.span(span, budget, &mut deliver);
        if head.flags & stream_flag::LOST != 0 {
            ordered.give_up(budget, &mut deliver);
        }
        if head.flags & stream_flag::RST != 0 {
            self.end(side, seen, budget, said);
        }
    }

    /// The flow is over for both sides; `by` ended it.
    fn end(&mut self, by: Side, seen: Seen, budget: &mut Budget, said: &mut dyn FnMut(&On, Told<'_>, u64)) {
        let Self { on, speaker, ways } = self;
        for (side, ordered) in [Side::Client, Side::Server].into_iter().zip(ways) {
            ordered.finish(budget, &mut |piece: Piece<'_>| hand_on(on, speaker, side, piece, said));
        }
        hand_on(on, speaker, by, Piece::End(End::Reset, seen), said);
    }

    /// The socket is closed. Whoever did not reset the flow before, the pod's kernel ended it now.
    fn close(&mut self, record: &FlowRecord, budget: &mut Budget, said: &mut dyn FnMut(&On, Told<'_>, u64)) {
        let by_peer = record.flags & flow_flag::RESET_IN != 0;
        let direction = if by_peer { Direction::Ingress } else { Direction::Egress };
        let by = side(direction as u8, self.on.role);
        self.end(by, Seen { time: record.emitted, packet: 0 }, budget, said);
    }
}

/// Who sends in a direction.
fn side(direction: u8, role: u8) -> Side {
    let outbound = direction == Direction::Egress as u8;
    if outbound == (role == role::CLIENT) { Side::Client } else { Side::Server }
}

fn hand_on(
    on: &On,
    speaker: &mut Speaker,
    side: Side,
    piece: Piece<'_>,
    said: &mut dyn FnMut(&On, Told<'_>, u64),
) {
    let (Piece::Bytes(_, seen) | Piece::Gap(_, seen) | Piece::End(_, seen)) = piece;
    speaker.piece(side, piece, &mut |told| said(on, told, seen.time));
}
