use tracer_ebpf::segment::tcp_flag::{ACK, FIN};

use super::super::{
    Opening, WAITING_LIMIT,
    fixture::{BUDGET, Said, Talk, byte, segment},
};
use crate::{
    packet::Tcp,
    proto::stream::{
        End,
        Side::{Client, Server},
    },
};

#[test]
fn bytes_in_order_go_through() {
    let mut talk = Talk::opened();
    talk.say(Client, 101, 501, 50);
    talk.say(Client, 151, 501, 50);
    assert_eq!(talk.said, [Said::Bytes(Client, 50, 4), Said::Bytes(Client, 50, 5)]);
    assert!(talk.bytes[0].iter().copied().eq((101..201).map(byte)));
}

#[test]
fn who_fills_the_hole_makes_the_rest_readable() {
    let mut talk = Talk::opened();
    talk.say(Client, 201, 501, 50);
    talk.say(Client, 151, 501, 50);
    assert_eq!(talk.said, []);
    talk.say(Client, 101, 501, 50);
    assert_eq!(talk.said, [6; 3].map(|packet| Said::Bytes(Client, 50, packet)));
    assert!(talk.bytes[0].iter().copied().eq((101..251).map(byte)));
    assert_eq!(talk.budget.left(), BUDGET);
}

#[test]
fn the_first_of_overlapping_bytes_count() {
    let mut talk = Talk::opened();
    let junk = [0xff; 200];
    talk.say(Client, 121, 501, 20);
    talk.say(Client, 161, 501, 20);
    talk.hear(Client, &Tcp { length: 100, payload: &junk[..100], ..segment(Client, 101, 501, 0) });
    talk.hear(Client, &Tcp { length: 200, payload: &junk, ..segment(Client, 51, 501, 0) });
    let expected = (101..251).map(|at| match at {
        121..141 | 161..181 => byte(at),
        _ => 0xff,
    });
    assert!(talk.bytes[0].iter().copied().eq(expected));
    assert_eq!(talk.connection.totals(Client).unique, 150);
}

#[test]
fn a_segment_seen_twice_is_handed_out_once() {
    let mut talk = Talk::opened();
    for sequence in [101, 101, 201, 201, 151, 151, 101, 201] {
        talk.say(Client, sequence, 501, 50);
    }
    assert!(talk.bytes[0].iter().copied().eq((101..251).map(byte)));
}

#[test]
fn sequence_numbers_wrap() {
    let mut talk = Talk::new(Opening::Joined);
    let start = u32::MAX - 99;
    talk.say(Client, start, 1, 50);
    talk.say(Client, 0, 1, 50);
    talk.say(Client, start + 50, 1, 50);
    talk.say(Client, 50, 1, 50);
    let expected = (0..200).map(|at| byte(start.wrapping_add(at)));
    assert!(talk.bytes[0].iter().copied().eq(expected));
}

#[test]
fn a_fin_waits_for_the_bytes_before_it() {
    let mut talk = Talk::opened();
    talk.hear(Client, &Tcp { flags: FIN | ACK, ..segment(Client, 151, 501, 50) });
    talk.hear(Client, &Tcp { flags: FIN | ACK, ..segment(Client, 201, 501, 0) });
    talk.say(Client, 101, 501, 50);
    let bytes = Said::Bytes(Client, 50, 6);
    assert_eq!(talk.said, [bytes.clone(), bytes, Said::End(Client, End::Fin, 6)]);
    talk.say(Client, 201, 501, 50);
    assert_eq!(talk.said.len(), 3, "nothing follows a FIN");
}

#[test]
fn of_two_fins_the_first_that_is_reached_counts() {
    let mut talk = Talk::opened();
    let fin = |sequence, length| Tcp { flags: FIN | ACK, ..segment(Client, sequence, 501, length) };
    talk.hear(Client, &fin(151, 0));
    talk.hear(Client, &fin(101, 100));
    let expected = [Said::Bytes(Client, 100, 5), Said::End(Client, End::Fin, 5)];
    assert_eq!(talk.said, expected);
    talk.say(Server, 501, 202, 10);
    assert_eq!(talk.said.len(), 3, "only the server goes on");
}

#[test]
fn what_the_snap_length_cut_is_a_gap() {
    let mut talk = Talk::opened();
    let cut = |sequence, length, captured: usize| {
        let tcp = segment(Client, sequence, 501, length);
        Tcp { payload: &tcp.payload[..captured], ..tcp }
    };
    talk.hear(Client, &cut(101, 100, 30));
    talk.hear(Client, &cut(301, 100, 30));
    talk.hear(Client, &cut(201, 150, 30));
    let expected = [
        Said::Bytes(Client, 30, 4),
        Said::Gap(Client, 70, 4),
        Said::Bytes(Client, 30, 6),
        Said::Gap(Client, 70, 6),
        Said::Bytes(Client, 30, 6),
        Said::Gap(Client, 70, 6),
    ];
    assert_eq!(talk.said, expected);
    assert_eq!(talk.connection.totals(Client).unique, 300);
}

#[test]
fn a_joined_stream_begins_with_its_first_bytes() {
    let mut talk = Talk::new(Opening::Joined);
    talk.say(Client, 1000, 1, 0);
    talk.say(Client, 999, 1, 1);
    assert_eq!(talk.said, [], "a keep-alive");
    talk.say(Client, 1000, 1, 50);
    talk.say(Client, 950, 1, 50);
    assert_eq!(talk.said, [Said::Bytes(Client, 50, 3)]);
}

#[test]
fn an_answer_says_that_the_hole_was_not_captured() {
    let mut talk = Talk::opened();
    talk.say(Client, 101, 501, 10);
    talk.say(Client, 151, 501, 50);
    talk.say(Server, 501, 201, 30);
    let expected = [
        Said::Bytes(Client, 10, 4),
        Said::Gap(Client, 40, 5),
        Said::Bytes(Client, 50, 5),
        Said::Bytes(Server, 30, 6),
    ];
    assert_eq!(talk.said, expected);
    // It comes too late.
    talk.say(Client, 111, 501, 40);
    assert_eq!(talk.said.len(), 4);
}

#[test]
fn a_mere_acknowledgment_says_so_after_a_while() {
    let mut talk = Talk::opened();
    talk.say(Client, 151, 501, 50);
    talk.now -= 900_000;
    talk.say(Server, 501, 201, 0);
    assert_eq!(talk.said, [], "the capture may be late");
    talk.say(Server, 501, 201, 0);
    assert_eq!(talk.said, [Said::Gap(Client, 50, 4), Said::Bytes(Client, 50, 4)]);
}

#[test]
fn an_acknowledgment_of_less_says_nothing() {
    let mut talk = Talk::opened();
    talk.say(Client, 101, 501, 10);
    talk.say(Client, 151, 501, 50);
    for _ in 0..9 {
        talk.say(Server, 501, 111, 30);
    }
    talk.say(Client, 111, 531, 40);
    assert!(talk.bytes[0].iter().copied().eq((101..201).map(byte)));
}

#[test]
fn the_end_hands_out_what_the_receiver_had() {
    let holed = |acknowledged: Option<u32>| {
        let mut talk = Talk::new(Opening::Joined);
        talk.say(Client, 101, 501, 10);
        talk.say(Client, 151, 501, 50);
        if let Some(acknowledged) = acknowledged {
            talk.now -= 999_999;
            talk.say(Server, 501, acknowledged, 0);
        }
        talk.finish();
        assert_eq!(talk.budget.left(), BUDGET);
        talk.said
    };
    let end = Said::End(Client, End::Unknown, 3);
    let rest = [Said::Gap(Client, 40, 2), Said::Bytes(Client, 50, 2)];
    assert_eq!(
        holed(Some(201)),
        [&[Said::Bytes(Client, 10, 1)], &rest[..], std::slice::from_ref(&end)].concat()
    );
    assert_eq!(holed(Some(111)), [Said::Bytes(Client, 10, 1), end]);
    assert_eq!(holed(None)[1..3], rest, "no acknowledgments were captured");
}

#[test]
fn times_do_not_go_back_behind_a_hole() {
    let mut talk = Talk::opened();
    talk.say(Client, 201, 501, 50);
    talk.say(Client, 101, 501, 50);
    talk.say(Server, 501, 251, 10);
    let packets = [
        Said::Bytes(Client, 50, 5),
        Said::Gap(Client, 50, 5),
        Said::Bytes(Client, 50, 5),
        Said::Bytes(Server, 10, 6),
    ];
    assert_eq!(talk.said, packets);
}

#[test]
fn a_hole_is_given_up_when_too_much_waits() {
    let mut talk = Talk::opened();
    let count = 70_u32;
    for at in 0..count {
        talk.say(Client, 201 + at * 65_000, 501, 65_000);
        assert!(BUDGET - talk.budget.left() <= WAITING_LIMIT + 64 * 1024);
    }
    assert_eq!(talk.said.first(), Some(&Said::Gap(Client, 100, 4)));
    assert_eq!(talk.bytes[0].len(), 70 * 65_000);
    let totals = talk.connection.totals(Client);
    assert_eq!((totals.forced, totals.unique), (1, 70 * 65_000));
    assert_eq!(talk.budget.left(), BUDGET - 54 * 32, "but for the list of unacknowledged segments");
}

#[test]
fn a_hole_is_given_up_when_the_budget_is_spent() {
    let mut talk = Talk::opened();
    talk.budget = super::super::Budget::new(1000);
    talk.say(Client, 201, 501, 500);
    assert_eq!(talk.said, []);
    talk.say(Client, 801, 501, 500);
    let expected = [Said::Gap(Client, 100, 4), Said::Bytes(Client, 500, 4)];
    assert_eq!(talk.said, expected);
    talk.say(Client, 2001, 501, 900);
    assert_eq!(talk.bytes[0].len(), 1900, "handed out at once");
    assert_eq!(talk.budget.left(), 1000);
}

#[test]
fn a_side_may_send_more_than_sequence_numbers_count() {
    let mut talk = Talk::opened();
    let mut sequence = 101_u32;
    let length = 0x4000_0000;
    for _ in 0..5 {
        talk.hear(Client, &Tcp { length, ..segment(Client, sequence, 501, 0) });
        sequence = sequence.wrapping_add(length);
    }
    assert_eq!(talk.connection.totals(Client).unique, 5 << 30);
    assert_eq!(talk.said.len(), 5);
}

/// A random number below `limit`.
fn below(state: &mut u64, limit: usize) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    usize::try_from(*state % limit as u64).unwrap()
}

#[test]
fn any_order_and_any_repetition_gives_the_same_bytes() {
    let mut state = 0x9e37_79b9_7f4a_7c15;
    for round in 0..400_u32 {
        let mut talk = Talk::new(Opening::Joined);
        let base = (u32::MAX - 3000).wrapping_add(round * 13);
        let total = 1 + u32::try_from(below(&mut state, 6000)).unwrap();
        // Overlapping segments that cover all, then shuffled, with repetitions.
        let mut segments = Vec::new();
        let mut at = 0;
        while at < total {
            let length = (1 + u32::try_from(below(&mut state, 400)).unwrap()).min(total - at);
            let back = u32::try_from(below(&mut state, 100)).unwrap().min(at);
            segments.push((at - back, length + back));
            at += length;
        }
        let (first, rest) = segments.split_first().unwrap();
        let mut rest = rest.to_vec();
        for _ in 0..rest.len() {
            rest.push(segments[below(&mut state, segments.len())]);
        }
        for index in (1..rest.len()).rev() {
            rest.swap(index, below(&mut state, index + 1));
        }
        for (at, length) in std::iter::once(first).chain(&rest) {
            let flags = if at + length == total { FIN | ACK } else { ACK };
            talk.hear(Client, &Tcp { flags, ..segment(Client, base.wrapping_add(*at), 1, *length) });
            // Nothing that a receiver truly acknowledges makes a gap of what comes later.
            if round % 2 == 0 {
                let read = u32::try_from(talk.bytes[0].len()).unwrap();
                talk.say(Server, 1, base.wrapping_add(read), u32::from(*at % 2 == 0));
            }
        }
        let expected = (0..total).map(|at| byte(base.wrapping_add(at)));
        assert!(talk.bytes[0].iter().copied().eq(expected), "round {round}");
        let is_end = |said: &Said| matches!(said, Said::End(Client, End::Fin, _));
        assert_eq!(talk.said.iter().filter(|said| is_end(said)).count(), 1, "round {round}");
        talk.finish();
        assert_eq!(talk.budget.left(), BUDGET);
    }
}
