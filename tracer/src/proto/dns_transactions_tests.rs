use super::*;

const SECOND: u64 = 1_000_000_000;

fn here() -> Conversation {
    Conversation::datagrams("192.0.2.1:4000".parse().unwrap(), "192.0.2.53:53".parse().unwrap())
}

/// A message of the conversation `here` that asks for an address.
fn message(id: u16, packet: u64, time: u64) -> Message {
    Message { id, transfer: Some(false), seen: Seen { time, packet } }
}

fn answered(query: u64, time: u64, retransmitted: u32) -> Answer {
    Answer::Answered(Answered { query: Seen { time, packet: query }, retransmitted, further: false })
}

#[test]
fn the_ends_are_one_conversation_in_both_directions() {
    let (one, other) = ("192.0.2.1:4000".parse().unwrap(), "192.0.2.53:53".parse().unwrap());
    assert_eq!(Conversation::datagrams(one, other), Conversation::datagrams(other, one));
}

#[test]
fn an_answer_belongs_to_the_first_transmission_of_its_query() {
    let mut known = Transactions::default();
    assert_eq!(known.query(here(), message(7, 1, SECOND)), Query::New);
    let original = Seen { time: SECOND, packet: 1 };
    let again = known.query(here(), message(7, 2, 3 * SECOND));
    assert_eq!(again, Query::Retransmitted { original, times: 1 });
    assert_eq!(known.answer(here(), message(8, 3, 4 * SECOND)), Answer::Unsolicited);
    assert_eq!(known.answer(here(), message(7, 4, 4 * SECOND)), answered(1, SECOND, 1));
    let first = Seen { time: 4 * SECOND, packet: 4 };
    assert_eq!(known.answer(here(), message(7, 5, 5 * SECOND)), Answer::Duplicate { original: first });
}

#[test]
fn after_five_seconds_or_an_answer_an_id_is_a_new_query() {
    let mut known = Transactions::default();
    known.query(here(), message(7, 1, 0));
    assert_eq!(known.query(here(), message(7, 2, 5 * SECOND)), Query::New);
    assert_eq!(known.answer(here(), message(7, 3, 6 * SECOND)), answered(2, 5 * SECOND, 0));
    assert_eq!(known.query(here(), message(7, 4, 6 * SECOND)), Query::New);
    assert_eq!(known.answer(here(), message(7, 5, 7 * SECOND)), answered(4, 6 * SECOND, 0));
}

#[test]
fn a_zone_transfer_takes_several_answers() {
    let mut known = Transactions::default();
    known.query(here(), Message { transfer: Some(is_transfer(252)), ..message(7, 1, 0) });
    assert_eq!(known.answer(here(), Message { transfer: Some(true), ..message(7, 2, 1) }), answered(1, 0, 0));
    let further = known.answer(here(), Message { transfer: None, ..message(7, 3, 2) });
    assert!(matches!(further, Answer::Answered(Answered { further: true, .. })), "{further:?}");
}

#[test]
fn conversations_do_not_mix() {
    let mut known = Transactions::default();
    known.query(Conversation::Flow(1), message(7, 1, 0));
    assert_eq!(known.answer(Conversation::Flow(2), message(7, 2, 1)), Answer::Unsolicited);
    assert_eq!(known.answer(here(), message(7, 3, 1)), Answer::Unsolicited);
    assert_eq!(known.answer(Conversation::Flow(1), message(7, 4, 1)), answered(1, 0, 0));
}

#[test]
fn the_oldest_queries_are_forgotten() {
    let mut known = Transactions::default();
    for flow in 0..QUERY_LIMIT as u64 + 3 {
        known.query(Conversation::Flow(flow), message(7, flow, 0));
        known.answer(Conversation::Flow(0), message(7, flow, 0));
    }
    assert_eq!((known.known.len(), known.order.len()), (QUERY_LIMIT, QUERY_LIMIT));
    assert_eq!(known.forgotten, 2, "the first one had its answer");
    assert_eq!(known.answer(Conversation::Flow(2), message(7, 9, 0)), Answer::Unsolicited);
    assert_eq!(known.answer(Conversation::Flow(3), message(7, 9, 0)), answered(3, 0, 0));
}

#[test]
fn the_same_id_over_and_over_pushes_out_only_itself() {
    let mut known = Transactions::default();
    for packet in 0..2 * QUERY_LIMIT as u64 {
        known.query(here(), message(7, packet, packet * 5 * SECOND));
    }
    assert_eq!((known.known.len(), known.order.len(), known.forgotten), (1, QUERY_LIMIT, 0));
}
