use tracer_ebpf::segment::tcp_flag::{ACK, FIN, RST, SYN};

use super::super::{
    Flag, Opening,
    fixture::{BUDGET, Talk, segment},
};
use crate::{
    packet::Tcp,
    proto::stream::Side::{self, Client, Server},
};

/// Milliseconds.
const MS: u64 = 1_000_000;

#[test]
fn an_ordinary_exchange_has_no_flags_but_round_trip_times() {
    let mut talk = Talk::opened();
    assert_eq!(talk.connection.initial_rtt(), Some(2 * MS));
    assert_eq!(talk.say(Client, 101, 501, 50), []);
    let answer = talk.hear(Server, &segment(Server, 501, 151, 400));
    assert!(answer.flags.is_empty());
    assert_eq!(answer.round_trip, Some(MS));
    assert_eq!(talk.hear(Client, &segment(Client, 151, 901, 0)).round_trip, Some(MS));
    assert_eq!(talk.hear(Client, &segment(Client, 151, 901, 10)).round_trip, None);
}

#[test]
fn the_initial_round_trip_begins_with_the_last_syn() {
    let mut talk = Talk::new(Opening::Syn);
    let syn = Tcp { flags: SYN, ..segment(Client, 100, 0, 0) };
    talk.hear(Client, &syn);
    let again = talk.hear(Client, &syn);
    assert_eq!(again.flags.iter().collect::<Vec<_>>(), [Flag::Retransmission]);
    talk.hear(Server, &Tcp { flags: SYN | ACK, ..segment(Server, 500, 101, 0) });
    assert_eq!(talk.connection.initial_rtt(), None);
    talk.say(Client, 101, 501, 0);
    assert_eq!(talk.connection.initial_rtt(), Some(2 * MS));
    assert_eq!(talk.connection.handshake().syn().map(|seen| seen.packet), Some(1));
}

#[test]
fn what_the_peer_did_not_acknowledge_is_retransmitted() {
    let mut talk = Talk::opened();
    talk.say(Client, 101, 501, 50);
    talk.now += 200 * MS;
    assert_eq!(talk.say(Client, 101, 501, 50), [Flag::Retransmission]);
}

#[test]
fn what_the_peer_acknowledged_is_retransmitted_for_nothing() {
    let mut talk = Talk::opened();
    talk.say(Client, 101, 501, 50);
    talk.say(Server, 501, 151, 0);
    assert_eq!(talk.say(Client, 101, 501, 50), [Flag::SpuriousRetransmission]);
}

#[test]
fn duplicate_acknowledgments_ask_for_a_fast_retransmission() {
    let mut talk = Talk::opened();
    talk.say(Client, 101, 501, 50);
    assert_eq!(talk.say(Client, 201, 501, 50), [Flag::LostSegment]);
    talk.say(Server, 501, 151, 0);
    for number in 1..=3 {
        let duplicate = talk.hear(Server, &segment(Server, 501, 151, 0));
        assert_eq!(duplicate.flags.iter().collect::<Vec<_>>(), [Flag::DuplicateAck]);
        assert_eq!(duplicate.duplicate, number);
    }
    assert_eq!(talk.say(Client, 151, 501, 50), [Flag::FastRetransmission]);
    assert_eq!(talk.connection.totals(Client).retransmissions(), 1);
    assert_eq!(talk.connection.totals(Server).flagged(Flag::DuplicateAck), 3);
}

#[test]
fn what_comes_soon_after_its_successor_is_out_of_order() {
    let mut talk = Talk::opened();
    talk.say(Client, 101, 501, 50);
    assert_eq!(talk.say(Client, 201, 501, 50), [Flag::LostSegment]);
    assert_eq!(talk.say(Client, 151, 501, 50), [Flag::OutOfOrder]);
    // Later than a round trip.
    talk.say(Client, 301, 501, 50);
    talk.now += MS;
    assert_eq!(talk.say(Client, 251, 501, 50), [Flag::Retransmission]);
}

#[test]
fn what_was_not_captured_is_acknowledged() {
    let mut talk = Talk::opened();
    assert_eq!(talk.say(Server, 501, 151, 0), [Flag::AckedUnseen]);
    assert_eq!(talk.say(Server, 501, 151, 0), [Flag::DuplicateAck], "which is said once");
    assert_eq!(talk.say(Client, 151, 501, 50), [Flag::LostSegment]);
}

#[test]
fn a_keep_alive_repeats_at_most_a_byte() {
    let mut talk = Talk::opened();
    talk.say(Client, 101, 501, 50);
    talk.say(Server, 501, 151, 0);
    for length in [0, 1] {
        assert_eq!(talk.say(Client, 150, 501, length), [Flag::KeepAlive]);
        assert_eq!(talk.say(Server, 501, 151, 0), [Flag::KeepAliveAck]);
    }
    assert_eq!(talk.say(Server, 501, 151, 0), [Flag::KeepAliveAck], "it still answers the last one");
}

#[test]
fn a_receiver_without_room_is_probed() {
    let mut talk = Talk::opened();
    talk.say(Client, 101, 501, 50);
    let full = Tcp { window: 0, ..segment(Server, 501, 151, 0) };
    assert!(talk.hear(Server, &full).flags.has(Flag::ZeroWindow));
    assert_eq!(talk.say(Client, 151, 501, 1), [Flag::ZeroWindowProbe]);
    let answer: Vec<_> = talk.hear(Server, &full).flags.iter().collect();
    assert_eq!(answer, [Flag::ZeroWindow, Flag::ZeroWindowProbeAck]);
    assert_eq!(talk.say(Server, 501, 151, 0), [Flag::WindowUpdate]);
    assert_eq!(talk.connection.totals(Server).zero_window, 3 * MS);
}

#[test]
fn a_window_is_full_to_its_last_byte() {
    let mut talk = Talk::opened();
    talk.say(Server, 501, 101, 0);
    assert_eq!(talk.say(Client, 101, 501, 999), []);
    assert_eq!(talk.say(Client, 1100, 501, 1), [Flag::WindowFull]);
}

#[test]
fn windows_are_scaled_when_both_sides_offer_it() {
    let open = |server: Option<u8>| {
        let mut talk = Talk::new(Opening::Syn);
        let scaled = |tcp, window_scale| Tcp { window_scale, ..tcp };
        talk.hear(Client, &Tcp { flags: SYN, ..scaled(segment(Client, 100, 0, 0), Some(2)) });
        talk.hear(Server, &Tcp { flags: SYN | ACK, ..scaled(segment(Server, 500, 101, 0), server) });
        talk.say(Client, 101, 501, 0);
        talk.say(Server, 501, 101, 0);
        talk
    };
    assert_eq!(open(Some(3)).say(Client, 101, 501, 8000), [Flag::WindowFull]);
    assert_eq!(open(Some(3)).say(Client, 101, 501, 1000), []);
    assert_eq!(open(None).say(Client, 101, 501, 1000), [Flag::WindowFull]);
    // Joined in the middle, nobody knows.
    let mut talk = Talk::new(Opening::Joined);
    talk.say(Server, 501, 101, 0);
    assert_eq!(talk.say(Client, 101, 501, 1000), []);
}

#[test]
fn another_syn_begins_another_connection() {
    let talk = Talk::opened();
    let syn = |from, sequence| Tcp { flags: SYN, ..segment(from, sequence, 0, 0) };
    assert!(!talk.connection.begins_new(Client, &syn(Client, 100)), "a retransmission");
    assert!(talk.connection.begins_new(Client, &syn(Client, 900)));
    assert!(talk.connection.begins_new(Server, &syn(Server, 900)), "the other way round");
    assert!(!talk.connection.begins_new(Client, &Tcp { flags: SYN | ACK, ..syn(Client, 900) }));
    assert!(!talk.connection.begins_new(Client, &Tcp { flags: ACK, ..syn(Client, 900) }));
    let mut next = Talk::new(Opening::Syn);
    next.connection = super::super::Connection::new(Opening::Syn, true);
    let first = next.hear(Client, &syn(Client, 900));
    assert_eq!(first.flags.iter().collect::<Vec<_>>(), [Flag::PortReused]);
    assert_eq!(next.say(Client, 901, 501, 0), []);
}

#[test]
fn a_syn_of_both_sides_is_one_connection() {
    let mut talk = Talk::new(Opening::Syn);
    talk.hear(Client, &Tcp { flags: SYN, ..segment(Client, 100, 0, 0) });
    let other = Tcp { flags: SYN, ..segment(Server, 500, 0, 0) };
    assert!(!talk.connection.begins_new(Server, &other));
    talk.hear(Server, &other);
    assert!(talk.connection.handshake().is_simultaneous());
}

#[test]
fn the_server_may_answer_with_other_numbers() {
    let mut talk = Talk::opened();
    let other = Tcp { flags: SYN | ACK, ..segment(Server, 70_000, 101, 0) };
    assert!(talk.hear(Server, &other).flags.has(Flag::PortReused));
}

#[test]
fn sequence_numbers_wrap() {
    let mut talk = Talk::new(Opening::Joined);
    talk.say(Client, u32::MAX - 49, 1, 100);
    assert_eq!(talk.say(Client, 50, 1, 100), []);
    assert_eq!(talk.hear(Server, &segment(Server, 1, 50, 0)).round_trip, Some(2 * MS));
    assert_eq!(talk.say(Client, u32::MAX - 49, 1, 100), [Flag::SpuriousRetransmission]);
    assert_eq!(talk.say(Client, 250, 1, 100), [Flag::LostSegment]);
}

#[test]
fn a_fin_takes_a_number_and_a_reset_none() {
    let mut talk = Talk::opened();
    let fin = |from: Side, sequence, acknowledgment| Tcp {
        flags: FIN | ACK,
        ..segment(from, sequence, acknowledgment, 0)
    };
    assert!(talk.hear(Client, &fin(Client, 101, 501)).flags.is_empty());
    assert_eq!(talk.hear(Server, &fin(Server, 501, 102)).round_trip, Some(MS));
    assert_eq!(talk.say(Client, 102, 502, 0), []);
    talk.now += 300 * MS;
    assert!(talk.hear(Client, &fin(Client, 101, 501)).flags.has(Flag::Retransmission));
    let reset = Tcp { flags: RST, ..segment(Client, 900, 0, 0) };
    assert!(talk.hear(Client, &reset).flags.is_empty(), "it may be anywhere");
}

#[test]
fn unacknowledged_segments_are_bounded_and_given_back() {
    let mut talk = Talk::opened();
    let mut sequence = 101_u32;
    for _ in 0..20_000 {
        talk.say(Client, sequence, 501, 10);
        sequence += 10;
    }
    assert_eq!(talk.budget.left(), BUDGET - (10_000 - 16) * 32);
    let last_listed = talk.hear(Server, &segment(Server, 501, 101 + 100_000, 0));
    assert_eq!(last_listed.round_trip, Some(10_001 * MS));
    assert_eq!(talk.budget.left(), BUDGET);
    talk.say(Client, sequence, 501, 10);
    talk.finish();
    assert_eq!(talk.budget.left(), BUDGET);
}

#[test]
fn the_first_of_two_transmissions_counts_for_the_round_trip() {
    let mut talk = Talk::opened();
    talk.say(Client, 101, 501, 50);
    talk.say(Client, 151, 501, 50);
    talk.say(Client, 101, 501, 50);
    talk.say(Client, 151, 501, 50);
    assert_eq!(talk.hear(Server, &segment(Server, 501, 201, 0)).round_trip, Some(3 * MS));
    // Acknowledged between two ends, none has a time.
    talk.say(Client, 201, 501, 50);
    assert_eq!(talk.hear(Server, &segment(Server, 501, 225, 0)).round_trip, None);
}
