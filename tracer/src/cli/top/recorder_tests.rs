use super::*;
use crate::{
    cli::top::fixture::{SECOND, request},
    export::fixture::{self, address, call},
    request::{Stages, Thread, What, folded::BUCKETS},
};

const UID: &str = "0b3f1c9e-5a7d-4c53-9d0e-2f4a6b8c0d1e";

fn totals(recorder: &Recorder) -> Vec<u64> {
    recorder.slow(UID).iter().map(|request| request.total()).collect()
}

#[test]
fn the_slowest_are_kept_slowest_first() {
    let mut recorder = Recorder::default();
    for number in 0..100 {
        recorder.request(&request(number, u64::from(number * 37 % 100)));
    }
    let expected: Vec<u64> = (80..100).rev().collect();
    assert_eq!(totals(&recorder), expected);
    assert_eq!(recorder.slow("another pod").len(), 0);
}

#[test]
fn a_request_without_an_answer_is_none_of_them() {
    let mut recorder = Recorder::default();
    recorder.request(&Request { marks: Marks::UNANSWERED, ..request(1, 5) });
    assert!(totals(&recorder).is_empty());
}

#[test]
fn the_longest_of_those_that_were_added_up_is_kept_for_a_minute() {
    let mut recorder = Recorder::default();
    let pod = Arc::clone(&request(1, 5).pod);
    let folded = |longest| Folded {
        count: 2,
        first: 1,
        last: 9,
        longest,
        stages: Stages::default(),
        thread: Thread::default(),
        buckets: [0; BUCKETS],
    };
    recorder.folded(&pod, &folded(7));
    recorder.folded(&pod, &folded(6));
    assert_eq!((recorder.longest_folded(UID), recorder.longest_folded("another pod")), (7, 0));
    recorder.advance(30 * SECOND);
    recorder.folded(&pod, &folded(3));
    assert_eq!(recorder.longest_folded(UID), 7);
    recorder.advance(60 * SECOND);
    assert_eq!(recorder.longest_folded(UID), 3);
    recorder.advance(90 * SECOND);
    assert_eq!((recorder.longest_folded(UID), recorder.pods.len()), (0, 0));
}

#[test]
fn what_is_older_than_a_minute_is_forgotten() {
    let mut recorder = Recorder::default();
    recorder.advance(60 * SECOND);
    recorder.request(&request(1, 5));
    recorder.advance(89 * SECOND);
    recorder.request(&request(2, 4));
    recorder.advance(90 * SECOND);
    recorder.request(&request(3, 3));
    assert_eq!(totals(&recorder), [5, 4, 3]);
    recorder.advance(120 * SECOND);
    assert_eq!(totals(&recorder), [3]);
    recorder.advance(150 * SECOND);
    assert!(totals(&recorder).is_empty());
    assert_eq!((recorder.budget, recorder.pods.len()), (BUDGET, 0));
}

#[test]
fn without_room_no_further_requests_are_kept_and_they_are_counted() {
    // With its four calls, one needs five.
    let mut recorder = Recorder { budget: 12, ..Recorder::default() };
    let with_calls = fixture::request();
    for _ in 0..4 {
        recorder.request(&with_calls);
    }
    assert_eq!((recorder.slow(UID).len(), recorder.refused(), recorder.budget), (2, 2, 2));
    // One without calls fits.
    recorder.request(&request(1, 5));
    assert_eq!((recorder.slow(UID).len(), recorder.refused(), recorder.budget), (3, 2, 1));
    recorder.advance(HALF);
    recorder.advance(2 * HALF);
    assert_eq!(recorder.budget, 12);
}

#[test]
fn a_request_that_gives_way_makes_room() {
    let mut recorder = Recorder::default();
    for number in 0..20 {
        recorder.request(&request(number, 1));
    }
    recorder.budget = 0;
    recorder.request(&request(20, 2));
    assert_eq!(totals(&recorder)[..2], [2, 1]);
    assert_eq!((recorder.budget, recorder.refused()), (0, 0));
}

#[test]
fn calls_add_up_by_kind_and_server_over_both_halves() {
    let (mut recorder, pod) = (Recorder::default(), fixture::pod());
    let server = "10.0.1.9:9200";
    recorder.call(&pod, &call(CallKind::Upstream, 0, 10, server, What::Opaque), Attribution::None);
    recorder.call(&pod, &call(CallKind::Connect, 0, 1, server, What::Opaque), Attribution::None);
    recorder.advance(HALF);
    let unanswered = Call { answered: false, ..call(CallKind::Upstream, 0, 30, server, What::Opaque) };
    recorder.call(&pod, &unanswered, Attribution::None);
    let all = recorder.destinations(UID);
    let upstream = Calls { name: None, count: 2, nanoseconds: 40, longest: 30, unanswered: 1 };
    assert_eq!(all[&(CallKind::Upstream, Some(address(server)))], upstream);
    assert_eq!(all[&(CallKind::Connect, Some(address(server)))].count, 1);
}

#[test]
fn further_servers_are_one() {
    let (mut recorder, pod) = (Recorder::default(), fixture::pod());
    for port in 1..=1000 {
        let server = format!("10.0.1.9:{port}");
        recorder.call(&pod, &call(CallKind::Upstream, 0, 1, &server, What::Opaque), Attribution::None);
    }
    let all = recorder.destinations(UID);
    assert_eq!(all.len(), DESTINATION_LIMIT + 1);
    assert_eq!(all[&(CallKind::Upstream, None)].count, 1000 - DESTINATION_LIMIT as u64);
}
