use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use super::*;
use crate::request::{Attribution, Call, CallKind, Thread, What};

/// A call of `kind` from `start` to `end`, shared by `requests` requests.
fn call(kind: CallKind, start: u64, end: u64, requests: u32) -> AttributedCall {
    let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 1);
    let call = Call {
        kind,
        start,
        end,
        flow: 1,
        number: 1,
        local: address,
        peer: address,
        peer_name: None,
        thread: Thread::default(),
        what: What::Opaque,
        messages: Messages::default(),
        answered: true,
    };
    AttributedCall { call: Arc::new(call), attribution: Attribution::Thread, requests }
}

/// Received from 100 to 110, answered from 210 to 230: a window of 100 ns between.
const MESSAGES: Messages = Messages {
    request_first: 100,
    request_last: 110,
    response_first: 210,
    response_last: 230,
    request_bytes: 1,
    response_bytes: 1,
};

#[track_caller]
fn check(calls: &[AttributedCall], expected: [u64; 7]) {
    let stages = Stages::of(&MESSAGES, calls);
    assert_eq!(stages.values(), expected, "{:?}", Stages::NAMES);
    assert_eq!(stages.total(), 130);
}

#[test]
fn without_calls_the_window_is_the_pods_own() {
    check(&[], [10, 0, 0, 0, 0, 100, 20]);
}

#[test]
fn each_kind_has_its_stage() {
    let calls = [
        call(CallKind::Dns, 120, 130, 1),
        call(CallKind::Connect, 130, 135, 1),
        call(CallKind::Metadata, 140, 160, 1),
        call(CallKind::Upstream, 160, 200, 1),
    ];
    check(&calls, [10, 10, 5, 20, 40, 25, 20]);
}

#[test]
fn overlapping_waits_of_one_kind_count_once() {
    let calls = [call(CallKind::Upstream, 120, 160, 1), call(CallKind::Upstream, 140, 180, 1)];
    check(&calls, [10, 0, 0, 0, 60, 40, 20]);
}

#[test]
fn an_instant_of_several_kinds_is_split_equally() {
    let calls = [call(CallKind::Dns, 120, 160, 1), call(CallKind::Upstream, 120, 160, 1)];
    check(&calls, [10, 20, 0, 0, 20, 60, 20]);
}

#[test]
fn a_shared_call_counts_its_share() {
    check(&[call(CallKind::Upstream, 120, 160, 4)], [10, 0, 0, 0, 10, 90, 20]);
}

#[test]
fn shares_never_exceed_the_instant() {
    let shared: Vec<_> = (0..8).map(|_| call(CallKind::Upstream, 120, 160, 4)).collect();
    check(&shared, [10, 0, 0, 0, 40, 60, 20]);
    let mixed = [call(CallKind::Metadata, 120, 160, 1), call(CallKind::Upstream, 120, 160, 3)];
    check(&mixed, [10, 0, 0, 30, 10, 60, 20]);
}

#[test]
fn calls_are_cut_to_the_window() {
    check(&[call(CallKind::Upstream, 0, u64::MAX, 1)], [10, 0, 0, 0, 100, 0, 20]);
    check(&[call(CallKind::Upstream, 100, 111, 1)], [10, 0, 0, 0, 1, 99, 20]);
    check(&[call(CallKind::Upstream, 220, 240, 1)], [10, 0, 0, 0, 0, 100, 20]);
}

#[test]
fn a_response_before_the_requests_end_leaves_no_window() {
    let messages = Messages { response_first: 105, ..MESSAGES };
    let stages = Stages::of(&messages, &[call(CallKind::Upstream, 100, 200, 1)]);
    assert_eq!(stages.values(), [5, 0, 0, 0, 0, 0, 125]);
}

#[test]
fn times_out_of_order_add_up_all_the_same() {
    let messages = Messages { request_last: 500, response_first: 50, response_last: 20, ..MESSAGES };
    assert_eq!(Stages::of(&messages, &[]).total(), 0);
}

/// Whatever the calls: the stages add up to the total, to the nanosecond.
#[test]
fn stages_always_add_up() {
    let mut seed = 1u64;
    let mut random = move |limit: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % limit
    };
    for _ in 0..2000 {
        let calls: Vec<_> = (0..random(12))
            .map(|_| {
                let kind = CallKind::ALL[usize::try_from(random(4)).unwrap()];
                let start = random(1_000_000_000);
                call(kind, start, start + random(700_000_000), u32::try_from(1 + random(5)).unwrap())
            })
            .collect();
        let messages = Messages {
            request_first: 1 + random(1000),
            request_last: random(1_000_000),
            response_first: 1 + random(1_000_000_000),
            response_last: random(1_500_000_000),
            ..MESSAGES
        };
        let stages = Stages::of(&messages, &calls);
        assert_eq!(
            stages.total(),
            messages.response_last.max(messages.request_first) - messages.request_first
        );
    }
}
