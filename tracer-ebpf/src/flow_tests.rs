extern crate std;

use std::vec::Vec;

use super::*;
use crate::record::FlowRecord;

/// Feeds segments as a host does and collects what it would emit.
struct Host {
    state: FlowState,
    emitted: Vec<FlowRecord>,
    now: u64,
    window: u16,
}

impl Host {
    fn server() -> Self {
        let mut state = FlowState::zeroed();
        state.established(1, role::SERVER, 1000, 5000);
        Self { state, emitted: Vec::new(), now: 100, window: 500 }
    }

    fn client() -> Self {
        let mut state = FlowState::zeroed();
        state.connecting(1);
        state.established(2, role::CLIENT, 5000, 1000);
        Self { state, emitted: Vec::new(), now: 100, window: 500 }
    }

    /// Ten nanoseconds pass per segment.
    fn segment(&mut self, direction: Direction, sequence: u32, length: u32, ack: u32, flags: u8) -> Plan {
        self.now += 10;
        let segment = Segment {
            time: self.now,
            sequence,
            acknowledgment: ack,
            length,
            window: self.window,
            flags: flags | tcp_flag::ACK,
            direction,
        };
        let plan = self.state.plan(&segment);
        if plan.emit_before {
            self.emit();
        }
        self.state.apply(&segment, &plan);
        if plan.emit_after {
            self.emit();
        }
        plan
    }

    fn emit(&mut self) {
        self.state.emitting(kind::EXCHANGE);
        self.emitted.push(FlowRecord { emitted: self.now, ..self.state.record });
        self.state.emitted(kind::EXCHANGE, true);
    }
}

use Direction::{Egress, Ingress};
use tcp_flag::{FIN, PSH, RST};

#[test]
fn the_next_request_emits_the_last_exchange() {
    let mut host = Host::server();
    host.segment(Ingress, 1000, 50, 5000, PSH);
    host.segment(Egress, 5000, 300, 1050, PSH);
    assert!(host.emitted.is_empty());
    host.segment(Ingress, 1050, 50, 5300, PSH);
    let [record] = &host.emitted[..] else { panic!("{:?}", host.emitted) };
    assert_eq!((record.exchange, record.updates), (1, 0));
    assert_eq!((record.request_first, record.request_last), (110, 110));
    assert_eq!((record.response_first, record.response_last), (120, 120));
    assert_eq!((record.request_bytes, record.response_bytes), (50, 300));
    assert_eq!(host.state.record.exchange, 2);
}

#[test]
fn a_message_of_several_segments_has_a_first_and_a_last_byte() {
    let mut host = Host::server();
    host.segment(Ingress, 1000, 1000, 5000, 0);
    host.segment(Ingress, 2000, 500, 5000, PSH);
    host.segment(Egress, 5000, 1000, 2500, 0);
    host.segment(Egress, 6000, 1, 2500, PSH);
    let record = host.state.record;
    assert_eq!((record.request_first, record.request_last, record.request_bytes), (110, 120, 1500));
    assert_eq!((record.response_first, record.response_last, record.response_bytes), (130, 140, 1001));
}

#[test]
fn an_acknowledgment_of_the_whole_message_emits_it() {
    let mut host = Host::server();
    host.segment(Ingress, 1000, 50, 5000, PSH);
    host.segment(Egress, 5000, 0, 1050, 0);
    assert_eq!(host.emitted.len(), 1, "the request is in flight, and userspace must know");
    assert_eq!(host.emitted[0].response_first, 0);
    host.segment(Egress, 5000, 300, 1050, PSH);
    host.segment(Ingress, 1050, 0, 5100, 0);
    assert_eq!(host.emitted.len(), 1, "a part of the response is not the whole");
    host.segment(Ingress, 1050, 0, 5300, 0);
    assert_eq!(host.emitted.len(), 2);
    assert_eq!((host.emitted[1].updates, host.emitted[1].response_bytes), (1, 300));
    host.segment(Ingress, 1050, 0, 5300, 0);
    assert_eq!(host.emitted.len(), 2, "nothing new, nothing emitted");
}

#[test]
fn an_acknowledgment_within_a_write_emits_nothing() {
    let mut host = Host::client();
    host.segment(Egress, 1000, 50, 5000, PSH);
    host.segment(Ingress, 5000, 1448, 1050, 0);
    host.segment(Egress, 1050, 0, 6448, 0);
    assert!(host.emitted.is_empty());
}

#[test]
fn retransmissions_duplicates_and_probes_change_nothing() {
    let mut host = Host::server();
    host.segment(Ingress, 1000, 50, 5000, PSH);
    host.segment(Egress, 5000, 300, 1050, PSH);
    let before = host.state;
    for (direction, sequence, length) in
        [(Ingress, 1000, 50), (Egress, 5000, 300), (Ingress, 1049, 1), (Egress, 5299, 0)]
    {
        let plan = host.segment(direction, sequence, length, 0, 0);
        assert_eq!(plan.fresh, 0);
    }
    assert_eq!(host.state, before);
}

#[test]
fn a_hole_is_counted_once() {
    let mut host = Host::server();
    host.segment(Ingress, 1000, 100, 5000, 0);
    host.segment(Ingress, 1200, 100, 5000, PSH);
    host.segment(Ingress, 1100, 100, 5000, 0);
    assert_eq!(host.state.record.request_bytes, 300);
    assert_eq!(host.state.record.request_last, 120);
}

#[test]
fn overlapping_segments_count_their_new_bytes() {
    let mut host = Host::server();
    host.segment(Ingress, 1000, 100, 5000, 0);
    let plan = host.segment(Ingress, 1050, 100, 5000, PSH);
    assert_eq!(plan.fresh, 50);
    assert_eq!(host.state.record.request_bytes, 150);
}

#[test]
fn sequence_numbers_wrap() {
    let mut host = Host::server();
    host.state.established(1, role::SERVER, u32::MAX - 9, 5000);
    assert_eq!(host.segment(Ingress, u32::MAX - 9, 20, 5000, PSH).fresh, 20);
    assert_eq!(host.segment(Ingress, 10, 5, 5000, PSH).fresh, 5);
    assert_eq!(host.segment(Ingress, u32::MAX - 9, 20, 5000, PSH).fresh, 0);
}

#[test]
fn the_end_of_the_flow_emits_what_is_left() {
    for flag in [FIN, RST] {
        let mut host = Host::server();
        host.segment(Ingress, 1000, 50, 5000, PSH);
        host.segment(Egress, 5000, 300, 1050, PSH);
        host.segment(Egress, 5300, 0, 1050, flag);
        assert_eq!(host.emitted.len(), 1);
        let expected = if flag == FIN { flow_flag::FIN_OUT } else { flow_flag::RESET_OUT };
        assert_eq!(host.state.record.flags & expected, expected);
    }
}

#[test]
fn a_response_that_ends_with_the_flow_is_emitted_at_once() {
    let mut host = Host::client();
    host.segment(Egress, 1000, 50, 5000, PSH);
    host.segment(Ingress, 5000, 300, 1050, PSH | FIN);
    assert_eq!(host.emitted.len(), 1);
    assert_eq!(host.emitted[0].response_bytes, 300);
}

#[test]
fn bytes_after_a_fin_are_counted_from_behind_it() {
    let mut host = Host::client();
    host.segment(Egress, 1000, 50, 5000, PSH | FIN);
    host.segment(Egress, 1000, 50, 5000, PSH | FIN);
    assert_eq!(host.state.record.request_bytes, 50);
}

#[test]
fn a_server_that_speaks_first_is_unsolicited() {
    let mut host = Host::client();
    host.segment(Ingress, 5000, 80, 1000, PSH);
    assert_eq!(host.state.record.flags & flow_flag::UNSOLICITED, flow_flag::UNSOLICITED);
    assert_eq!((host.state.record.exchange, host.state.record.request_first), (1, 0));
    host.segment(Egress, 1000, 10, 5080, PSH);
    assert_eq!(host.emitted.len(), 1);
    assert_eq!(host.state.record.flags & flow_flag::UNSOLICITED, 0);
    assert_eq!(host.state.record.exchange, 2);
}

#[test]
fn a_request_in_the_segment_that_ends_the_handshake_is_known_from_the_response() {
    let mut host = Host::server();
    host.segment(Egress, 5000, 300, 1050, PSH);
    let record = host.state.record;
    assert_eq!((record.request_first, record.request_last, record.request_bytes), (1, 1, 50));
    assert_eq!(record.flags & flow_flag::UNSOLICITED, 0);
    assert_eq!(host.segment(Ingress, 1050, 20, 5300, PSH).fresh, 20);
}

#[test]
fn a_bare_fin_says_nothing_of_the_bytes_before_it() {
    let mut host = Host::client();
    host.segment(Egress, 1000, 50, 5000, PSH);
    host.segment(Ingress, 5300, 0, 1050, FIN);
    host.segment(Ingress, 5000, 300, 1050, PSH | FIN);
    assert_eq!(host.state.record.response_bytes, 300);
    assert_eq!(host.emitted.last().map(|record| record.response_bytes), Some(300));
}

#[test]
fn an_acknowledgment_ahead_of_a_lost_request_does_not_hide_it() {
    let mut host = Host::server();
    host.segment(Ingress, 1050, 0, 5000, 0);
    host.segment(Ingress, 1000, 50, 5000, PSH);
    assert_eq!(host.state.record.request_bytes, 50);
}

#[test]
fn filling_a_hole_moves_the_end_of_the_message() {
    let mut host = Host::client();
    host.segment(Egress, 1000, 50, 5000, PSH);
    host.segment(Ingress, 5000, 100, 1050, 0);
    host.segment(Ingress, 5200, 100, 1050, PSH);
    let late = Segment {
        time: 500,
        sequence: 5100,
        acknowledgment: 1050,
        length: 100,
        window: 1,
        flags: tcp_flag::ACK,
        direction: Ingress,
    };
    assert!(host.state.plan(&late).again);
    host.state.fill(&late);
    assert_eq!((host.state.record.response_last, host.state.record.response_bytes), (500, 300));
}

#[test]
fn the_wait_for_a_response_ends_with_the_flow() {
    let mut host = Host::client();
    host.segment(Egress, 1000, 50, 5000, PSH);
    host.segment(Ingress, 5000, 0, 1050, 0);
    assert_eq!(host.emitted.len(), 1, "in flight");
    host.segment(Egress, 1050, 0, 5000, FIN);
    assert_eq!(host.emitted.len(), 2, "given up");
    assert_eq!(host.emitted[1].flags & flow_flag::FIN_OUT, flow_flag::FIN_OUT);
}

#[test]
fn an_interim_response_does_not_end_the_request() {
    let mut host = Host::server();
    host.segment(Ingress, 1000, 50, 5000, PSH);
    host.segment(Egress, 5000, 25, 1050, PSH);
    host.state.interim();
    host.segment(Ingress, 1050, 1000, 5025, PSH);
    host.segment(Egress, 5025, 200, 2050, PSH);
    let record = host.state.record;
    assert_eq!((record.exchange, record.request_bytes, record.response_bytes), (1, 1050, 200));
    assert_eq!((record.request_first, record.request_last, record.response_first), (110, 130, 140));
}

#[test]
fn a_record_that_the_ring_did_not_take_is_due_again() {
    let mut host = Host::server();
    host.segment(Ingress, 1000, 50, 5000, PSH);
    host.state.emitting(kind::EXCHANGE);
    host.state.emitted(kind::EXCHANGE, false);
    assert_eq!((host.state.dirty, host.state.record.updates), (1, 0));
    host.state.emitting(kind::OPENED);
    host.state.emitted(kind::OPENED, true);
    assert_eq!((host.state.dirty, host.state.record.updates), (1, 0), "it only carries the exchange along");
}

#[test]
fn what_comes_during_the_copy_is_emitted_again() {
    let mut host = Host::client();
    host.segment(Egress, 1000, 50, 5000, PSH);
    host.segment(Ingress, 5000, 100, 1050, PSH);
    host.state.emitting(kind::EXCHANGE);
    host.segment(Ingress, 5100, 100, 1050, PSH);
    host.state.emitted(kind::EXCHANGE, true);
    host.segment(Egress, 1050, 0, 5200, 0);
    assert_eq!(host.emitted.last().map(|record| record.response_bytes), Some(200));
}

#[test]
fn a_wrong_guess_of_the_role_is_corrected() {
    let mut host = Host::server();
    host.state.record.flags |= flow_flag::JOINED;
    host.segment(Ingress, 1000, 80, 5000, PSH);
    host.state.reverse();
    let record = host.state.record;
    assert_eq!((record.role, record.response_first, record.response_bytes), (role::CLIENT, 110, 80));
    assert_eq!((record.request_first, record.flags & flow_flag::UNSOLICITED), (0, flow_flag::UNSOLICITED));
    host.segment(Egress, 5000, 50, 1080, PSH);
    assert_eq!((host.state.record.exchange, host.state.record.request_bytes), (2, 50));
}

#[test]
fn a_second_connect_on_a_socket_is_another_flow() {
    let mut host = Host::client();
    host.state.record.flow = 17;
    host.state.record.flags |= flow_flag::RESET_IN;
    host.state.connecting(900);
    assert!(!host.state.is_identified());
    assert_eq!((host.state.record.flags, host.state.record.opened), (0, 900));
}

#[test]
fn a_closed_window_says_that_more_will_come() {
    let mut host = Host::server();
    host.segment(Ingress, 1000, 50, 5000, PSH);
    host.segment(Egress, 5000, 9000, 1050, PSH);
    host.window = 0;
    host.segment(Ingress, 1050, 0, 14000, 0);
    host.segment(Ingress, 1050, 0, 14000, 0);
    assert_eq!(host.emitted.iter().map(|record| record.stalled).collect::<Vec<_>>(), [1]);
    host.window = 500;
    host.segment(Egress, 14000, 9000, 1050, PSH);
    host.segment(Ingress, 1050, 0, 23000, 0);
    assert_eq!(host.emitted.last().map(|record| (record.stalled, record.response_bytes)), Some((0, 18000)));
}

#[test]
fn a_flow_joined_in_the_middle_is_marked_and_its_role_guessed() {
    for (local, remote, expected) in
        [(40000, 80, role::CLIENT), (80, 40000, role::SERVER), (9200, 80, role::SERVER)]
    {
        let mut state = FlowState::zeroed();
        state.record.local_port = local;
        state.record.remote_port = remote;
        state.join();
        assert_eq!((state.record.role, state.record.flags), (expected, flow_flag::JOINED));
        assert_eq!(state.closing_kind(), kind::CLOSED);
    }
}

#[test]
fn a_flow_that_was_never_established_failed() {
    let mut state = FlowState::zeroed();
    state.connecting(1);
    assert_eq!(state.closing_kind(), kind::CONNECT_FAILED);
}

/// Whatever the segments are: no panic, times in order, no byte counted twice.
#[test]
fn any_segments_keep_the_record_in_order() {
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        u32::try_from(seed >> 33).expect("31 bits")
    };
    for round in 0..200 {
        let mut host = if round % 2 == 0 { Host::server() } else { Host::client() };
        for _ in 0..200 {
            let direction = if random() % 2 == 0 { Ingress } else { Egress };
            let base = if (direction == Ingress) == (round % 2 == 0) { 1000 } else { 5000 };
            let sequence = (base + random() % 4096).wrapping_sub(random() % 64);
            host.segment(direction, sequence, random() % 3000, random() % 8192, (random() % 32) as u8);
            let record = &host.state.record;
            assert!(record.request_first <= record.request_last);
            assert!(record.response_first <= record.response_last);
            assert!(record.request_bytes < 8192 && record.response_bytes < 8192, "{record:?}");
        }
    }
}
