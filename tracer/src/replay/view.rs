//! One end of a flow as the hooks of its pod would see it: the offline host of the shared state machine.
//!
//! It does what `tracer-ebpf/src/bpf/{socket,packet,payload}.rs` do, in the same order, so that a capture gives
//! the records that the programs would have made of the same packets.

use bytemuck::Zeroable as _;
use tracer_ebpf::{
    flow::{FlowState, Plan},
    record::{FlowRecord, PAYLOAD_LIMIT, PAYLOAD_PREFIX, PayloadRecord, flow_flag, kind, role},
    segment::{Direction, Segment, tcp_flag},
};

use crate::{flow::decode::Record, packet::Tcp};

/// Identity of a flow seen from one end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Identity {
    /// Unique in the replay, and not 0.
    pub(super) flow: u64,
    /// The pod, as the engine's resolver knows it.
    pub(super) cgroup: u64,
    /// The pod's end, address in the form of records.
    pub(super) local: ([u8; 16], u16),
    /// The peer's end.
    pub(super) remote: ([u8; 16], u16),
    /// 4 or 6.
    pub(super) family: u8,
    /// The peer is the metadata service.
    pub(super) metadata: bool,
}

/// The state of one end.
pub(super) struct View {
    identity: Identity,
    state: FlowState,
    /// A server's SYN-ACK was seen, with the sequence number after it.
    accepting: Option<u32>,
    /// The close was emitted.
    closed: bool,
}

impl View {
    pub(super) fn new(identity: Identity) -> Self {
        Self { identity, state: FlowState::zeroed(), accepting: None, closed: false }
    }

    pub(super) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Whether the hooks would leave the flow's exchanges to who reads its frames.
    pub(super) fn is_framed(&self) -> bool {
        self.state.is_framed()
    }

    /// One of [`role`].
    pub(super) fn role(&self) -> u8 {
        self.state.record.role
    }

    /// Follows one segment.
    pub(super) fn segment(
        &mut self,
        tcp: &Tcp<'_>,
        direction: Direction,
        time: u64,
        emit: &mut dyn FnMut(Record<'_>),
    ) {
        let segment = Segment {
            time,
            sequence: tcp.sequence,
            acknowledgment: tcp.acknowledgment,
            length: tcp.length,
            window: tcp.window,
            flags: tcp.flags,
            direction,
        };
        if self.handshake(&segment, emit) {
            return;
        }
        self.identify();
        let plan = self.state.plan(&segment);
        if plan.silence != 0 {
            self.emit(plan.silence, time, emit);
        }
        if plan.fresh != 0 || plan.emit_after || segment.has(tcp_flag::SYN | tcp_flag::FIN | tcp_flag::RST) {
            self.follow(&segment, &plan, tcp.payload, emit);
        }
        self.after(&segment, emit);
    }

    /// Nothing more is known of the flow: the capture ended. What its next packet would have brought comes now.
    pub(super) fn flush(&mut self, time: u64, emit: &mut dyn FnMut(Record<'_>)) {
        if !self.closed && self.state.is_due() {
            self.emit(kind::EXCHANGE, time, emit);
        }
        // A connect that is given up shows no packet.
        let record = &self.state.record;
        if !self.closed && record.role == role::CLIENT && record.opened != 0 && record.established == 0 {
            self.emit(kind::SILENT, time, emit);
        }
    }

    /// The flow is over at `time`.
    fn close(&mut self, time: u64, emit: &mut dyn FnMut(Record<'_>)) {
        if !self.closed && self.state.is_identified() {
            self.closed = true;
            let kind = self.state.closing_kind();
            self.emit(kind, time, emit);
        }
    }

    /// What `sock_ops` does at connect and accept. `true` when the segment ran on the listener's socket, or on a
    /// request socket, which have no state.
    fn handshake(&mut self, segment: &Segment, emit: &mut dyn FnMut(Record<'_>)) -> bool {
        let syn = segment.has(tcp_flag::SYN);
        let ack = segment.has(tcp_flag::ACK);
        let established = self.state.record.established != 0;
        match (segment.direction, syn, ack) {
            (Direction::Egress, true, false) if self.state.record.opened == 0 => {
                self.state.connecting(segment.time);
                false
            }
            (Direction::Ingress, true, false) if self.role() == role::UNKNOWN => true,
            (Direction::Egress, true, true) if self.role() == role::UNKNOWN => {
                self.accepting = Some(segment.sequence.wrapping_add(1));
                true
            }
            (Direction::Ingress, false, true) if self.accepting.is_some() && self.role() == role::UNKNOWN => {
                let next = self.accepting.take().unwrap_or_default();
                self.state.established(segment.time, role::SERVER, segment.sequence, next);
                true
            }
            (Direction::Ingress, true, true) if self.role() == role::CLIENT && !established => {
                self.identify();
                let next = segment.sequence.wrapping_add(1);
                self.state.established(segment.time, role::CLIENT, next, segment.acknowledgment);
                self.emit(kind::OPENED, segment.time, emit);
                true
            }
            _ => false,
        }
    }

    fn identify(&mut self) {
        if self.state.is_identified() {
            return;
        }
        let Identity { flow, cgroup, local, remote, family, metadata } = self.identity;
        let record = &mut self.state.record;
        (record.flow, record.cgroup, record.family) = (flow, cgroup, family);
        (record.local, record.local_port) = local;
        (record.remote, record.remote_port) = remote;
        if metadata {
            record.flags |= flow_flag::METADATA;
        }
        if record.role == role::UNKNOWN {
            self.state.join();
        }
    }

    fn follow(&mut self, segment: &Segment, plan: &Plan, payload: &[u8], emit: &mut dyn FnMut(Record<'_>)) {
        if plan.emit_before {
            self.emit(kind::EXCHANGE, segment.time, emit);
        }
        self.state.apply(segment, plan);
        if plan.fresh != 0 && plan.fresh <= segment.length {
            let skipped = segment.length.wrapping_sub(plan.fresh) as usize;
            let fresh = payload.get(skipped..).unwrap_or_default();
            if self.state.wants_prefix(plan) {
                self.prefix(plan, fresh);
            }
            if self.identity.metadata {
                self.metadata(segment.direction, plan, fresh, emit);
            }
        }
        if plan.emit_after {
            self.emit(kind::EXCHANGE, segment.time, emit);
        }
        if segment.direction == Direction::Egress && segment.has(tcp_flag::RST) {
            self.emit(kind::RESET, segment.time, emit);
        }
    }

    fn prefix(&mut self, plan: &Plan, fresh: &[u8]) {
        let record = &mut self.state.record;
        let (to, length) = if plan.response {
            (record.response_prefix.as_mut_slice(), &mut record.response_prefix_length)
        } else {
            (record.request_prefix.as_mut_slice(), &mut record.request_prefix_length)
        };
        let copied = to.len().min(fresh.len());
        for (to, from) in to.iter_mut().zip(fresh) {
            *to = *from;
        }
        *length = u8::try_from(copied).unwrap_or(u8::MAX);
        let first = std::array::from_fn(|at| to.get(at).copied().unwrap_or_default());
        self.state.understand(plan, first);
    }

    fn metadata(&self, direction: Direction, plan: &Plan, fresh: &[u8], emit: &mut dyn FnMut(Record<'_>)) {
        let record = &self.state.record;
        let bytes = if plan.response { record.response_bytes } else { record.request_bytes };
        let before = bytes.saturating_sub(u64::from(plan.fresh));
        let Some(offset) = u32::try_from(before).ok().filter(|before| *before < PAYLOAD_LIMIT) else {
            return;
        };
        let mut said = PayloadRecord::zeroed();
        said.kind = kind::PAYLOAD;
        said.direction = direction as u8;
        said.exchange = record.exchange;
        said.flow = record.flow;
        said.offset = offset;
        for (to, from) in said.payload.iter_mut().zip(fresh) {
            *to = *from;
        }
        said.payload_length = u32::try_from(fresh.len().min(PAYLOAD_PREFIX)).unwrap_or(u32::MAX);
        emit(Record::Payload(&said));
    }

    /// The state callback: `TCP_CLOSE` comes with a reset, and when both sides' FINs are acknowledged.
    fn after(&mut self, segment: &Segment, emit: &mut dyn FnMut(Record<'_>)) {
        let flags = self.state.record.flags;
        let both = flow_flag::FIN_IN | flow_flag::FIN_OUT;
        if flags & (flow_flag::RESET_IN | flow_flag::RESET_OUT) != 0 || flags & both == both {
            self.close(segment.time, emit);
        }
    }

    fn emit(&mut self, kind: u8, time: u64, emit: &mut dyn FnMut(Record<'_>)) {
        self.state.emitting(kind);
        let record = FlowRecord { kind, emitted: time, ..self.state.record };
        emit(Record::Flow(&record));
        self.state.emitted(kind, true);
    }
}
