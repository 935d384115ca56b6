//! The segment → message state machine: one [`FlowState`] per socket, fed every segment of the flow in the
//! order in which the hook or the capture shows them.
//!
//! A message is the bytes one side sends before the other side answers; an exchange is a request message and
//! its response message. The host (BPF program or offline reader) asks for a [`Plan`], emits what it says,
//! and applies the segment. Duplicates and retransmissions move no time and no byte; a segment that fills a
//! hole was counted when the later one arrived.

use bytemuck::Zeroable as _;

pub use crate::{
    plan::Plan,
    state::{FlowState, turn},
};
use crate::{
    record::{flow_flag, kind, protocol, role},
    segment::{Direction, Segment, tcp_flag},
    state::{clear, seen},
};

impl FlowState {
    /// Whether it is known whose flow it is.
    #[must_use]
    #[inline(always)]
    pub fn is_identified(&self) -> bool {
        self.record.flow != 0
    }

    /// The pod's socket begins to connect.
    #[inline(always)]
    pub fn connecting(&mut self, time: u64) {
        // A socket can try again after a refusal: that is another flow.
        *self = Self::zeroed();
        self.record.role = role::CLIENT;
        self.record.opened = time;
    }

    /// The handshake is over. `role` is one of [`role`]; `receive_next` and `send_next` are the sequence
    /// numbers that the next byte of either side will have.
    #[inline(always)]
    pub fn established(&mut self, time: u64, role: u8, receive_next: u32, send_next: u32) {
        self.record.role = role;
        self.record.established = time;
        self.next_ingress = receive_next;
        self.next_egress = send_next;
        self.ingress.expect_first(receive_next);
        self.egress.expect_first(send_next);
        self.seen = seen::INGRESS | seen::EGRESS;
        if self.record.opened == 0 {
            self.record.opened = time;
        }
    }

    /// The flow was there before the hooks: its role is guessed from the ports (the client's is the ephemeral
    /// one, Linux's default range begins at 32768) and marked.
    #[inline(always)]
    pub fn join(&mut self) {
        self.record.flags |= flow_flag::JOINED;
        let client = self.record.local_port >= 32768 && self.record.remote_port < self.record.local_port;
        self.record.role = if client { role::CLIENT } else { role::SERVER };
    }

    /// The host is about to copy the record out as `kind`. Before the copy, so that what another CPU adds
    /// meanwhile is emitted again.
    #[inline(always)]
    pub fn emitting(&mut self, kind: u8) {
        if carries_exchange(kind) {
            self.dirty = 0;
        }
    }

    /// The record was copied out, or the ring did not take it: then it is due again.
    #[inline(always)]
    pub fn emitted(&mut self, kind: u8, taken: bool) {
        if !carries_exchange(kind) {
            return;
        }
        if taken {
            self.record.updates = self.record.updates.saturating_add(1);
        } else {
            self.dirty = 1;
        }
    }

    /// Whether the record holds something that was not emitted.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.dirty == 1
    }

    /// Whether something is left to emit when the flow ends: any flow that was established or tried to be.
    #[must_use]
    #[inline(always)]
    pub fn closing_kind(&self) -> u8 {
        if self.record.established == 0 && self.record.flags & flow_flag::JOINED == 0 {
            kind::CONNECT_FAILED
        } else {
            kind::CLOSED
        }
    }

    /// Accounts the segment's sequence numbers and says what to do with it.
    #[inline(always)]
    pub fn plan(&mut self, segment: &Segment) -> Plan {
        let fresh = self.advance(segment);
        let mut plan = Plan { fresh, response: self.is_response(segment.direction), ..Plan::default() };
        plan.silence = self.silence(segment, fresh);
        if fresh == 0 {
            plan.stalls = self.stalls(segment);
            plan.emit_after = (plan.stalls || self.ends(segment)) && !self.is_framed();
            plan.again = segment.length != 0 && segment.direction == Direction::Ingress;
            return plan;
        }
        let turn = if plan.response { turn::RESPONSE } else { turn::REQUEST };
        plan.begins = self.turn != turn;
        if self.is_framed() {
            return plan;
        }
        plan.emit_before = self.dirty == 1 && plan.begins && !plan.response;
        if plan.emit_before {
            self.record.flags |= flow_flag::FINAL;
        }
        plan.emit_after = segment.has(tcp_flag::FIN | tcp_flag::RST);
        plan
    }

    /// Moves times and bytes of the current exchange.
    #[inline(always)]
    pub fn apply(&mut self, segment: &Segment, plan: &Plan) {
        self.mark(segment);
        if plan.fresh == 0 {
            if plan.stalls {
                self.stall(true);
            }
            return;
        }
        self.dirty = 1;
        if self.seen & seen::STALLED != 0 {
            self.stall(false);
        }
        self.pushed = u8::from(segment.has(tcp_flag::PSH));
        if plan.begins && (!plan.response || self.turn == turn::NONE) {
            self.begin_exchange(plan.response);
            self.adopt_unseen_request(segment);
        }
        self.turn = if plan.response { turn::RESPONSE } else { turn::REQUEST };
        let bytes = u64::from(plan.fresh);
        if plan.response {
            if self.record.response_first == 0 {
                self.record.response_first = segment.time;
            }
            self.record.response_last = segment.time;
            self.record.response_bytes = self.record.response_bytes.wrapping_add(bytes);
        } else {
            if self.record.request_first == 0 {
                self.record.request_first = segment.time;
            }
            self.record.request_last = segment.time;
            self.record.request_bytes = self.record.request_bytes.wrapping_add(bytes);
        }
    }

    /// A segment brought bytes that had been missing: only now does the receiver have the newest message.
    #[inline(always)]
    pub fn fill(&mut self, segment: &Segment) {
        if !self.is_newest(segment.direction) {
            return;
        }
        self.dirty = 1;
        if self.turn == turn::RESPONSE {
            self.record.response_last = segment.time;
        } else {
            self.record.request_last = segment.time;
        }
    }

    /// The response turned out to be an interim one (RFC 9110, section 15.2): the request goes on.
    #[inline(always)]
    pub fn interim(&mut self) {
        self.turn = turn::REQUEST;
        self.record.response_first = 0;
        self.record.response_last = 0;
        self.record.response_bytes = 0;
        self.record.response_prefix_length = 0;
    }

    /// The first message of a joined flow shows that its role was guessed wrong.
    #[inline(always)]
    pub fn reverse(&mut self) {
        let record = &mut self.record;
        record.role = if record.role == role::SERVER { role::CLIENT } else { role::SERVER };
        core::mem::swap(&mut record.request_first, &mut record.response_first);
        core::mem::swap(&mut record.request_last, &mut record.response_last);
        core::mem::swap(&mut record.request_bytes, &mut record.response_bytes);
        record.request_prefix_length = 0;
        record.response_prefix_length = 0;
        record.flags ^= flow_flag::UNSOLICITED;
        self.turn = if self.turn == turn::REQUEST { turn::RESPONSE } else { turn::REQUEST };
    }

    /// Whether the host should read the first bytes of the message that `plan` begins.
    #[must_use]
    #[inline(always)]
    pub fn wants_prefix(&self, plan: &Plan) -> bool {
        plan.begins && self.record.protocol < protocol::OPAQUE
    }

    /// Whether the receiver of the newest message takes no more. That it does is the rule, and known without a look at the
    /// record's line.
    #[inline(always)]
    fn stall(&mut self, stalled: bool) {
        self.record.stalled = u32::from(stalled);
        self.seen = if stalled { self.seen | seen::STALLED } else { self.seen & !seen::STALLED };
    }

    #[inline(always)]
    fn begin_exchange(&mut self, response: bool) {
        let record = &mut self.record;
        record.exchange = record.exchange.wrapping_add(1);
        for field in [
            &mut record.request_first,
            &mut record.request_last,
            &mut record.response_first,
            &mut record.response_last,
            &mut record.request_bytes,
            &mut record.response_bytes,
        ] {
            clear(field);
        }
        record.request_prefix_length = 0;
        record.response_prefix_length = 0;
        record.thread = 0;
        record.process = 0;
        record.updates = 0;
        record.flags &= !(flow_flag::UNSOLICITED | flow_flag::FINAL);
        if response {
            record.flags |= flow_flag::UNSOLICITED;
        }
    }

    /// The segment that ends the handshake can carry the request; its hook runs on the listener's socket, so
    /// the flow learns of it only from the acknowledgment in the response. It arrived when the handshake ended.
    #[inline(always)]
    fn adopt_unseen_request(&mut self, segment: &Segment) {
        let record = &mut self.record;
        let bytes = segment.acknowledgment.wrapping_sub(self.next_ingress);
        let unseen = record.role == role::SERVER
            && record.flags & flow_flag::UNSOLICITED != 0
            && record.established != 0
            && self.seen & seen::INGRESS != 0
            && bytes != 0
            && bytes <= u32::MAX / 2;
        if unseen {
            record.flags &= !flow_flag::UNSOLICITED;
            record.request_first = record.established;
            record.request_last = record.established;
            record.request_bytes = u64::from(bytes);
            self.next_ingress = segment.acknowledgment;
        }
    }

    #[inline(always)]
    fn is_response(&self, direction: Direction) -> bool {
        (direction == Direction::Egress) == (self.record.role == role::SERVER)
    }

    /// New bytes of the segment (its last ones): how far it moves the newest byte of its direction (RFC 9293, section 3.4:
    /// sequence numbers compare modulo 2^32).
    #[inline(always)]
    fn advance(&mut self, segment: &Segment) -> u32 {
        let syn = u32::from(segment.has(tcp_flag::SYN));
        let fin = u32::from(segment.has(tcp_flag::FIN));
        let end = segment.sequence.wrapping_add(segment.length).wrapping_add(syn);
        let (next, seen) = match segment.direction {
            Direction::Ingress => (&mut self.next_ingress, seen::INGRESS),
            Direction::Egress => (&mut self.next_egress, seen::EGRESS),
        };
        if self.seen & seen == 0 {
            self.seen |= seen;
            *next = end.wrapping_add(fin);
            return segment.length;
        }
        let ahead = end.wrapping_sub(*next);
        if ahead == 0 && fin == 1 {
            *next = end.wrapping_add(fin);
        }
        // A distance in the upper half of the space is behind: a duplicate or a keep-alive probe. A segment
        // without payload says nothing of the bytes before it, which may still be missing.
        if segment.length == 0 || ahead == 0 || ahead > u32::MAX / 2 {
            return 0;
        }
        *next = end.wrapping_add(fin);
        ahead
    }

    /// Whether this segment without new bytes says that the exchange's newest message may have ended: the
    /// receiver has it all, and the sender's last segment was the end of a write; or one side ends the flow,
    /// which ends the wait for a response too.
    #[inline(always)]
    fn ends(&self, segment: &Segment) -> bool {
        if segment.flags & (tcp_flag::FIN | tcp_flag::RST) != 0 {
            return self.dirty == 1 || self.turn == turn::REQUEST;
        }
        self.dirty == 1
            && self.pushed == 1
            && self.is_newest(segment.direction.opposite())
            && self.covers(segment)
    }

    /// Whether the receiver of the newest message has all of it so far and cannot take more.
    #[inline(always)]
    fn stalls(&self, segment: &Segment) -> bool {
        segment.window == 0
            && self.record.stalled == 0
            && segment.flags & (tcp_flag::RST | tcp_flag::SYN) == 0
            && self.turn != turn::NONE
            && self.is_newest(segment.direction.opposite())
            && self.covers(segment)
    }

    /// Whether the segment acknowledges everything that came from the other side.
    #[inline(always)]
    fn covers(&self, segment: &Segment) -> bool {
        let next = match segment.direction {
            Direction::Ingress => self.next_egress,
            Direction::Egress => self.next_ingress,
        };
        segment.acknowledgment.wrapping_sub(next) <= u32::MAX / 2
    }

    /// Whether the newest message went in `direction`.
    #[inline(always)]
    fn is_newest(&self, direction: Direction) -> bool {
        let turn = if self.is_response(direction) { turn::RESPONSE } else { turn::REQUEST };
        self.turn == turn
    }

    #[inline(always)]
    fn mark(&mut self, segment: &Segment) {
        let ingress = segment.direction == Direction::Ingress;
        if segment.has(tcp_flag::SYN) && !ingress {
            self.record.syns = self.record.syns.saturating_add(1);
        }
        if segment.has(tcp_flag::FIN) {
            self.record.flags |= if ingress { flow_flag::FIN_IN } else { flow_flag::FIN_OUT };
        }
        if segment.has(tcp_flag::RST) {
            self.record.flags |= if ingress { flow_flag::RESET_IN } else { flow_flag::RESET_OUT };
        }
    }
}

/// Whether a record of this kind stands for its exchange; the others only carry it along.
#[inline(always)]
const fn carries_exchange(kind: u8) -> bool {
    kind == kind::EXCHANGE || kind == kind::CLOSED
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "a test may panic")]
#[path = "flow_tests.rs"]
mod tests;
