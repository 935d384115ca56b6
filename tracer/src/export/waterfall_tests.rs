use super::*;
use crate::{
    export::fixture::{self, T0},
    request::{Attribution, CallKind, Marks, Stages, What},
};

#[test]
fn shows_each_stage_and_call_in_the_order_of_time() {
    let clock = WallClock::new(T0, 1_760_000_000_123_456_789);
    let expected = "\
GET /v1/items/17 → 200, 105.23 ms
  pod shop/backend-0, 2025-10-09T08:53:20.123456Z, 10.0.0.1:50123 → 10.0.0.7:8080
  offset  duration  0          105.23 ms  stage    attributed what
    0.00      0.01 │▏                   │ receive
    0.01      0.83 │▏                   │ self
    0.40     43.05 │████████            │ metadata thread     role-list GET /lat…ty-credentials/ 200
   43.50     43.06 │        ████████    │ metadata thread     credentials GET /l…ls/backend-role 200
   86.60      0.15 │                ▏   │ dns      shared 1/3 elastic.example.co…queries, 6 NXDOMAIN
   86.80     18.20 │                ████│ upstream exclusive  GET /items/_search 200
  105.20      0.03 │                   ▏│ send
  receive 0.01 + dns 0.05 + metadata 86.11 + upstream 18.20 + self 0.83 + send 0.03 = 105.23 ms
";
    assert_eq!(waterfall(&fixture::request(), &clock), expected);
}

#[test]
fn no_row_is_wider_than_the_screen() {
    for line in waterfall(&fixture::request(), &WallClock::UNIX).lines() {
        assert!(line.chars().count() <= WIDTH, "{line}");
    }
}

#[test]
fn a_query_string_is_never_shown() {
    assert!(!waterfall(&fixture::request(), &WallClock::UNIX).contains("s3cr3t"));
}

#[test]
fn many_calls_are_counted() {
    let calls = (0..100)
        .map(|n| fixture::call(CallKind::Upstream, n * 1_000_000, 900_000, "10.0.1.9:9200", What::Opaque))
        .map(|call| fixture::attributed(call, Attribution::Exclusive, 1));
    let text = waterfall(&fixture::request_with(calls.collect()), &WallClock::UNIX);
    assert!(text.contains("  … and 60 more calls\n"), "{text}");
    assert!(text.lines().count() < 60);
}

#[test]
fn an_empty_or_unanswered_request_has_a_waterfall_too() {
    let mut request = fixture::request_with(Vec::new());
    request.stages = Stages::default();
    request.http = None;
    request.marks = Marks::UNANSWERED;
    let text = waterfall(&request, &WallClock::UNIX);
    assert!(text.starts_with("exchange 2 on port 8080 → no answer, 0.00 ms\n"), "{text}");
    assert!(text.contains(", unanswered\n"));
}

#[test]
fn hostile_times_do_not_panic() {
    for (start, end) in [(0, u64::MAX), (u64::MAX, 0), (u64::MAX, u64::MAX), (0, 0)] {
        let mut call = fixture::call(CallKind::Connect, 0, 0, "10.0.1.9:9200", What::Opaque);
        (call.start, call.end) = (start, end);
        let calls = vec![fixture::attributed(call, Attribution::Shared, 2)];
        assert!(!waterfall(&fixture::request_with(calls), &WallClock::UNIX).is_empty());
    }
}
