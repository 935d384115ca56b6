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
        memory::Memory,
        speaker::{Speaker, Told},
        stream::{End, Seen, Side},
    },
    request::CallKind,
};

/// Flows that are read at once; beyond it the oldest is forgotten, and what it brings is counted as unread.
const FLOW_LIMIT: usize = 16_384;
/// Bytes that wait for missing ones, over all flows.
const WAITING_BYTES: usize = 4 << 20;
/// Bytes that the readers of all flows hold.
const READER_BYTES: usize = 16 << 20;
/// Nanoseconds after which what is missing before other bytes will not come: the peer has sent it again several times
/// (RFC 6298, section 2: first after a second).
const PATIENCE: u64 = 5_000_000_000;

/// The flows that are being read.
#[derive(Default)]
pub(super) struct Streams {
    /// By their ids; none while one is read from.
    flows: FxHashMap<u64, Option<Box<Flow>>>,
    /// The same ids: they grow with time.
    ids: BTreeSet<u64>,
    shared: Shared,
    /// Records of flows that are not known: their first record was lost, or they were forgotten.
    pub(super) unread: u64,
}

/// What all flows share.
struct Shared {
    budget: Budget,
    memory: Memory,
}

impl Default for Shared {
    fn default() -> Self {
        Self { budget: Budget::new(WAITING_BYTES), memory: Memory::new(READER_BYTES) }
    }
}

/// One flow.
struct Flow {
    on: On,
    speaker: Speaker,
    /// By side, client first.
    ways: [Ordered; 2],
}

impl Streams {
    fn insert(&mut self, id: u64, flow: Flow) {
        self.flows.insert(id, Some(Box::new(flow)));
        self.ids.insert(id);
        if self.ids.len() > FLOW_LIMIT
            && let Some(oldest) = self.ids.pop_first()
            && let Some(mut forgotten) = self.flows.remove(&oldest).flatten()
        {
            forgotten.speaker.release(&mut self.shared.memory);
        }
    }

    /// How often a reader had to give way because all together held too much.
    pub(super) fn shed(&self) -> u64 {
        self.shared.memory.shed()
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
            // The reset of a closed flow comes after its close, and brings nothing.
            self.streams.unread += u64::from(!bytes.is_empty());
            return;
        };
        let mut shared = std::mem::take(&mut self.streams.shared);
        flow.take(head, bytes, &mut shared, &mut |on, told, now| self.said(on, told, now));
        self.streams.shared = shared;
        if let Some(place) = self.streams.flows.get_mut(&head.flow) {
            *place = Some(flow);
        }
    }

    /// A flow is over.
    pub(super) fn close_stream(&mut self, record: &FlowRecord) {
        let Some(mut flow) = self.streams.remove(record.flow) else { return };
        let mut shared = std::mem::take(&mut self.streams.shared);
        flow.speaker.release(&mut shared.memory);
        flow.close(record, &mut shared.budget, &mut |on, told, now| self.said(on, told, now));
        self.streams.shared = shared;
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
        shared: &mut Shared,
        said: &mut dyn FnMut(&On, Told<'_>, u64),
    ) {
        let budget = &mut shared.budget;
        let side = side(head.direction, self.on.role);
        let seen = Seen { time: head.time, packet: 0 };
        let Self { on, speaker, ways, .. } = self;
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
        let lost = head.flags & stream_flag::LOST != 0;
        if lost || ordered.waits_since().is_some_and(|since| since.saturating_add(PATIENCE) < head.time) {
            ordered.give_up(budget, &mut deliver);
        }
        if head.flags & stream_flag::RST != 0 {
            self.end(side, seen, budget, said);
        }
        let Self { on, speaker, .. } = self;
        speaker.account(&mut shared.memory, seen, &mut |told| said(on, told, seen.time));
    }

    /// The flow is over for both sides; `by` ended it.
    fn end(&mut self, by: Side, seen: Seen, budget: &mut Budget, said: &mut dyn FnMut(&On, Told<'_>, u64)) {
        let Self { on, speaker, ways, .. } = self;
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
    let time = piece.seen().time;
    speaker.piece(side, piece, &mut |told| said(on, told, time));
}
