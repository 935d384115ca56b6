use super::*;
use crate::finding::fixture::{self, Case, MS, grpc, http, upstream};

const RANGE: &str = "/etcdserverpb.KV/Range";

/// Calls one after the other, each so many milliseconds.
fn calls(path: &str, milliseconds: impl IntoIterator<Item = u64>) -> Vec<Call> {
    let mut at = 0;
    let mut calls = Vec::new();
    for length in milliseconds {
        calls.push(grpc(path, at, at + length));
        at += length + 10;
    }
    calls
}

#[test]
fn a_few_calls_much_longer_than_the_others_are_expensive() {
    let found = Case::<ExpensiveRequest>::of(&calls(RANGE, [2, 2, 400, 2, 2, 500, 2, 2, 600, 2, 2]));
    let found = found.expect("three of eleven");
    assert_eq!((found.severity, found.since), (Severity::Warning, 24 * MS));
    assert_eq!(found.destination, Some(fixture::address(6, 443).into()));
    let evidence = found.evidence;
    assert_eq!((evidence.calls_slow, evidence.calls_quick), (3, 8));
    assert_eq!((evidence.seconds_per_slow_call, evidence.longest_seconds), (Seconds(0.5), Seconds(0.6)));
    assert_eq!((evidence.seconds_per_quick_call, evidence.times_the_others), (Seconds(0.002), Number(250.0)));
    assert!((evidence.share_of_time.0 - 1500.0 / 1516.0).abs() < 1e-9);
    assert!(
        found.explanation.contains("3 calls of /etcdserverpb.KV/Range took 500.00 ms"),
        "{}",
        found.explanation
    );
}

#[test]
fn of_several_names_the_dearest_comes_first() {
    let path = |path: &'static str, from, to| upstream(http("GET", path), from, to);
    let mut all = Vec::new();
    for n in 0..4 {
        let at = n * 10_000;
        let report = ["/reports/1", "/reports/2", "/reports/33", "/reports/4"][usize::try_from(n).unwrap()];
        all.extend([
            path("/a", at, at + 5),
            path("/list", at + 10, at + 410),
            path(report, at + 1000, at + 3000),
        ]);
    }
    let found = Case::<ExpensiveRequest>::of(&all).expect("two of three paths");
    assert_eq!(found.evidence.methods.joined(), "GET /reports/N, GET /list");
    assert_eq!((found.evidence.calls_slow, found.evidence.share_among_quick), (8, Share(0.5)));
}

#[test]
fn a_server_that_is_slow_at_everything_is_not_meant() {
    assert!(Case::<ExpensiveRequest>::of(&calls(RANGE, [400; 20])).is_none());
    let varied = (0..40).map(|n| 100 + 10 * n);
    assert!(Case::<ExpensiveRequest>::of(&calls(RANGE, varied)).is_none(), "between 100 and 490 ms");
}

#[test]
fn a_slow_call_now_and_then_is_no_pattern() {
    assert!(Case::<ExpensiveRequest>::of(&calls(RANGE, [2, 2, 400, 2, 2, 500, 2])).is_none());
    let rare = (0..2000).map(|n| if n % 500 == 0 { 310 } else { 7 });
    assert!(Case::<ExpensiveRequest>::of(&calls(RANGE, rare)).is_none(), "8 % of the time");
}

#[test]
fn a_server_that_stalls_holds_up_all_calls() {
    let mut all = Vec::new();
    for n in 1..9 {
        let end = n * 2000 + 400;
        all.extend((0..20).map(|k| grpc(RANGE, end - 900 + k * 10, end - 895 + k * 10)));
        let waiting = [RANGE, "/etcdserverpb.KV/Put", RANGE].into_iter().zip(0..);
        all.extend(waiting.map(|(path, at)| grpc(path, end - 400 + at, end + at)));
    }
    assert!(Case::<ExpensiveRequest>::of(&all).is_none());
}

#[test]
fn calls_that_wait_for_the_same_write_to_disk_are_one_moment() {
    const PUT: &str = "/etcdserverpb.KV/Put";
    // Meanwhile etcd answers reads from memory. As seen in an hour of healthy traffic on a busy disk.
    let reads = |from: u64| (0..20).map(move |n| grpc(RANGE, from + n * 10, from + n * 10 + 2));
    let stalls = |apart: &[u64]| {
        let waiting =
            apart.iter().zip(0..).map(|(&at, n)| grpc(PUT, at, at / 1000 * 1000 + 360 + n * 10 + 5));
        let mut all: Vec<_> = waiting.chain(reads(0)).chain(reads(300)).collect();
        all.sort_by_key(|call| call.end);
        Case::<ExpensiveRequest>::of(&all)
    };
    assert!(stalls(&[3, 23, 43]).is_none(), "3 slow calls, at one time");
    let found = stalls(&[3, 1003, 2003]).expect("one after the other");
    assert_eq!((found.evidence.calls_slow, found.evidence.methods.joined()), (3, PUT.to_owned()));
}

#[test]
fn a_server_that_is_overloaded_at_times_is_not_meant() {
    let quiet = (0..20).map(|n| grpc(RANGE, n * 20, n * 20 + 10));
    let busy = (0..60).map(|n| grpc(RANGE, 1000 + n * 200, 3000 + n * 200));
    let all: Vec<_> = quiet.chain(busy).collect();
    assert!(Case::<ExpensiveRequest>::of(&all).is_none(), "2 s with ten callers, 10 ms with one");
}

#[test]
fn watches_long_polls_and_transfers_are_not_slow() {
    let mut all = calls(RANGE, [2; 10]);
    for n in 0..5 {
        let mut watch = grpc("/etcdserverpb.Watch/Watch", n * 1000, n * 1000 + 9000);
        watch.messages.response_first = watch.start + MS;
        let poll = upstream(http("GET", "/v1/health/service/web"), n * 1000, n * 1000 + 30_000);
        let mut transfer = upstream(http("GET", "/file"), n * 1000, n * 1000 + 900);
        transfer.messages.response_first = transfer.start + 5 * MS;
        all.extend([watch, poll, transfer]);
    }
    assert!(Case::<ExpensiveRequest>::of(&all).is_none());
}

#[test]
fn only_slow_calls_are_evidence() {
    let mut case = Case::<ExpensiveRequest>::new();
    assert_eq!(case.call(&grpc(RANGE, 0, 299), Attribution::None), Proves::Nothing);
    let proves = Proves::Destination(fixture::address(6, 443).into());
    assert_eq!(case.call(&grpc(RANGE, 0, 300), Attribution::None), proves);
}
