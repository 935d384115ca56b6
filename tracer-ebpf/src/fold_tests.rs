extern crate std;

use super::*;
use crate::{
    record::RESPONSE_PREFIX,
    segment::{Direction, Segment, tcp_flag},
};

const LIMITS: Limits = Limits { below: 50_000_000, calling_until: 0 };
const OK: &[u8; RESPONSE_PREFIX] = b"HTTP/1.1 200 OK\r";

/// A server's flow on which a request arrived from 1,000 to 2,000, and was answered from 5,000 to 5,500; then the next one
/// begins.
fn served() -> FlowState {
    let mut state = FlowState::zeroed();
    state.established(1, role::SERVER, 1000, 5000);
    state.record.protocol = protocol::HTTP1;
    let mut sequence = [1000, 5000];
    for (time, direction, length) in [
        (1_000, Direction::Ingress, 50),
        (2_000, Direction::Ingress, 50),
        (5_000, Direction::Egress, 300),
        (5_500, Direction::Egress, 300),
    ] {
        segment(&mut state, time, direction, length, &mut sequence);
    }
    read_status(&mut state);
    state
}

/// As the host reads the first bytes of a response.
fn read_status(state: &mut FlowState) {
    state.record.response_prefix = *OK;
    state.record.response_prefix_length = 16;
}

fn segment(state: &mut FlowState, time: u64, direction: Direction, length: u32, sequence: &mut [u32; 2]) {
    let [ingress, egress] = *sequence;
    let (own, other) = if direction == Direction::Ingress { (ingress, egress) } else { (egress, ingress) };
    let flags = tcp_flag::ACK | tcp_flag::PSH;
    let segment =
        Segment { time, sequence: own, acknowledgment: other, length, window: 500, flags, direction };
    let plan = state.plan(&segment);
    state.apply(&segment, &plan);
    sequence[direction as usize] += length;
}

#[test]
fn a_quick_answer_of_a_pod_that_calls_nobody_is_added_up() {
    let mut state = served();
    (state.record.thread, state.record.process) = (11, 10);
    assert!(state.is_foldable(&LIMITS) && state.is_due() && !state.has_sums());
    state.fold();
    assert!(!state.is_due() && state.has_sums());
    let expected = Sums {
        count: 1,
        longest: 4_500,
        first: 1_000,
        last: 5_500,
        receive: 1_000,
        own: 3_000,
        send: 500,
        thread: 11,
        process: 10,
        buckets: [1, 0, 0, 0, 0, 0, 0, 0, 0],
        exchange: 1,
    };
    assert_eq!(state.sums, expected);
    assert!(!state.is_foldable(&LIMITS), "once");
}

#[test]
fn sums_grow_until_they_are_told() {
    let mut state = served();
    let mut sequence = [1100, 5600];
    state.fold();
    segment(&mut state, 10_000, Direction::Ingress, 50, &mut sequence);
    segment(&mut state, 2_010_000, Direction::Egress, 50, &mut sequence);
    read_status(&mut state);
    assert!(state.is_foldable(&LIMITS));
    state.fold();
    let sums = state.sums;
    assert_eq!((sums.count, sums.longest, sums.first, sums.last), (2, 2_000_000, 1_000, 2_010_000));
    assert_eq!((sums.receive, sums.own, sums.send), (1_000, 2_003_000, 500));
    assert_eq!(sums.buckets, [1, 0, 1, 0, 0, 0, 0, 0, 0]);
    assert!(!state.are_sums_due(5_500 + KEEP - 1) && state.are_sums_due(5_500 + KEEP));
    state.keep_sums(6_000 + KEEP);
    assert!(state.has_sums() && !state.are_sums_due(6_000 + KEEP + 1), "the ring was full a moment ago");
    assert!(state.are_sums_due(6_000 + 2 * KEEP));
    state.clear_sums();
    assert!(!state.has_sums() && !state.are_sums_due(u64::MAX));
    assert_eq!(state.sums, Sums { exchange: 2, ..Sums::zeroed() }, "an exchange is not added up again");
}

/// What keeps an exchange from being folded.
type Change = fn(&mut FlowState);

#[test]
fn what_somebody_may_want_to_see_is_told_of() {
    let changes: [(&str, Change); 11] = [
        ("a call", |state| state.record.role = role::CLIENT),
        ("a record of it is out", |state| state.record.updates = 1),
        ("reset", |state| state.record.flags |= flow_flag::RESET_IN),
        ("the server spoke first", |state| state.record.flags |= flow_flag::UNSOLICITED),
        ("maybe cut", |state| state.record.flags |= flow_flag::JOINED),
        ("not answered", |state| (state.record.response_first, state.record.response_last) = (0, 0)),
        ("an early response", |state| state.record.response_first = 1_500),
        ("an error", |state| state.record.response_prefix = *b"HTTP/1.1 503 Ser"),
        ("no status line", |state| state.record.response_prefix_length = 5),
        ("a record has no room for more", |state| state.sums.count = MOST),
        ("has frames", |state| state.record.protocol = protocol::HTTP2),
    ];
    for (why, change) in changes {
        let mut state = served();
        change(&mut state);
        assert!(!state.is_foldable(&LIMITS), "{why}");
    }
    let state = served();
    assert!(!state.is_foldable(&Limits { below: 4_500, ..LIMITS }), "slow");
    assert!(!state.is_foldable(&Limits { calling_until: 1_000, ..LIMITS }), "the pod was calling");
    assert!(state.is_foldable(&Limits { calling_until: 999, ..LIMITS }));
}

#[test]
fn later_exchanges_of_joined_flows_and_unread_protocols_are_folded() {
    let mut joined = served();
    joined.record.flags |= flow_flag::JOINED;
    joined.record.exchange = 2;
    assert!(joined.is_foldable(&LIMITS));
    let mut unread = served();
    unread.record.protocol = protocol::OPAQUE;
    unread.record.response_prefix_length = 0;
    assert!(unread.is_foldable(&LIMITS));
}

#[test]
fn a_bound_belongs_to_the_bucket_that_it_ends() {
    let found = [0, 500_000, 500_001, 1_000_000, 75_000_001, 100_000_000].map(bucket);
    assert_eq!(found, [0, 0, 1, 1, 8, 8]);
    let mut state = served();
    state.record.response_last = state.record.request_first + 100_000_001;
    assert!(!state.is_foldable(&Limits { below: u64::MAX, ..LIMITS }), "no bucket has it");
}

#[test]
fn calls_keep_a_pod_calling_for_two_seconds() {
    assert_eq!(calling_until(0, 10), Some(10 + CALLING));
    assert_eq!(calling_until(10 + CALLING, 11), None, "written rarely");
    let later = 11 + CALLING - CALLING_AT_LEAST;
    assert_eq!(calling_until(10 + CALLING, later), Some(later + CALLING));
}
