//! A peer that says nothing: bytes that the pod sends again and again.
//!
//! A peer that is gone without a FIN or a reset shows only in the retransmissions of the pod's kernel, which goes on for a
//! quarter of an hour.

use crate::{
    flow::FlowState,
    record::{kind, role},
    segment::{Direction, Segment, tcp_flag},
};

impl FlowState {
    /// What a segment says about that: [`kind::SILENT`], [`kind::HEARD`], or 0 for nothing new. `fresh` is the number of
    /// its bytes that have not been seen before.
    #[inline(always)]
    pub(crate) fn silence(&mut self, segment: &Segment, fresh: u32) -> u8 {
        if segment.direction == Direction::Ingress {
            if self.repeats == 0 { 0 } else { self.heard(segment) }
        } else if fresh == 0 {
            self.repeat(segment)
        } else {
            0
        }
    }

    /// Whether the peer is silent, as was told.
    #[must_use]
    #[inline(always)]
    pub fn is_silent(&self) -> bool {
        self.repeats > 1
    }

    /// The pod sent something again. Once is a lost packet, or a probe for one; only of a client's bytes is more told,
    /// because it is who waits.
    #[inline(always)]
    fn repeat(&mut self, segment: &Segment) -> u8 {
        if self.record.role != role::CLIENT {
            return 0;
        }
        if segment.has(tcp_flag::SYN) {
            return if self.record.syns != 0 { kind::SILENT } else { 0 };
        }
        if segment.length == 0 {
            return 0;
        }
        let behind = segment.sequence.wrapping_sub(self.repeated);
        if self.repeats == 0 || behind > u32::MAX / 2 {
            self.repeated = segment.sequence;
            self.repeats = self.repeats.max(1);
            return 0;
        }
        if behind != 0 {
            return 0;
        }
        self.repeats = self.repeats.saturating_add(1);
        kind::SILENT
    }

    /// The peer sent something: it may acknowledge what was repeated.
    #[inline(always)]
    fn heard(&mut self, segment: &Segment) -> u8 {
        let ahead = segment.acknowledgment.wrapping_sub(self.repeated);
        if ahead == 0 || ahead > u32::MAX / 2 {
            return 0;
        }
        let told = self.is_silent();
        self.repeats = 0;
        if told { kind::HEARD } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use bytemuck::Zeroable as _;

    use super::*;
    use Direction::{Egress, Ingress};

    const SEGMENT: Segment = Segment {
        time: 10,
        sequence: 1000,
        acknowledgment: 5000,
        length: 100,
        window: 500,
        flags: tcp_flag::ACK | tcp_flag::PSH,
        direction: Egress,
    };

    fn client() -> FlowState {
        let mut state = FlowState::zeroed();
        state.connecting(1);
        state.established(2, role::CLIENT, 5000, 1000);
        state
    }

    /// The kinds that a host emits for a client's segments: direction, sequence, length, acknowledgment.
    fn silences(segments: &[(Direction, u32, u32, u32)]) -> Vec<u8> {
        let mut state = client();
        let silence = |&(direction, sequence, length, acknowledgment): &(Direction, u32, u32, u32)| {
            state.plan(&Segment { sequence, acknowledgment, length, direction, ..SEGMENT }).silence
        };
        segments.iter().map(silence).collect()
    }

    #[test]
    fn bytes_that_leave_a_third_time_are_told_until_they_are_acknowledged() {
        let request = (Egress, 1000, 100, 5000);
        let acknowledged = (Ingress, 5000, 0, 1100);
        let told = silences(&[request, request, request, request, acknowledged, acknowledged]);
        assert_eq!(told, [0, 0, kind::SILENT, kind::SILENT, kind::HEARD, 0]);
    }

    #[test]
    fn one_lost_segment_is_not_told() {
        let request = (Egress, 1000, 100, 5000);
        assert_eq!(silences(&[request, request, (Ingress, 5000, 50, 1100), request]), [0; 4]);
    }

    /// The probe for a lost tail repeats the newest segment, the timer the oldest.
    #[test]
    fn the_oldest_bytes_that_are_repeated_count() {
        let (first, second) = ((Egress, 1000, 100, 5000), (Egress, 1100, 100, 5000));
        let told = silences(&[first, second, second, first, first, (Ingress, 5000, 0, 1000), second, first]);
        assert_eq!(told, [0, 0, 0, 0, kind::SILENT, 0, 0, kind::SILENT]);
    }

    #[test]
    fn keepalive_probes_and_servers_are_not_told() {
        let probe = (Egress, 999, 0, 5000);
        assert_eq!(silences(&[(Egress, 1000, 100, 5000), probe, probe, probe]), [0; 4]);
        let mut server = FlowState::zeroed();
        server.established(1, role::SERVER, 1000, 5000);
        let response = Segment { sequence: 5000, acknowledgment: 1000, ..SEGMENT };
        let mut respond = || server.plan(&response).silence;
        assert_eq!([respond(), respond(), respond()], [0; 3]);
    }

    #[test]
    fn a_syn_that_leaves_again_is_told() {
        let mut state = FlowState::zeroed();
        state.connecting(1);
        let syn = Segment { sequence: 999, length: 0, flags: tcp_flag::SYN, ..SEGMENT };
        let mut send = || {
            let plan = state.plan(&syn);
            state.apply(&syn, &plan);
            plan.silence
        };
        assert_eq!([send(), send(), send()], [0, kind::SILENT, kind::SILENT]);
    }
}
