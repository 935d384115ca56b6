use super::*;
use crate::{
    finding::fixture::{self, Case, MS, grpc, http, upstream},
    request::What,
};

const RANGE: &str = "/etcdserverpb.KV/Range";

/// A call of 20 ms whose response, of so many bytes, takes half of it.
fn sized(call: Call, bytes: u64) -> Call {
    let mut call = call;
    call.messages.response_first = call.start + 10 * MS;
    call.messages.response_bytes = bytes;
    call
}

fn reads(count: u64, bytes: u64) -> Vec<Call> {
    (0..count).map(|n| sized(grpc(RANGE, n * 30, n * 30 + 20), bytes)).collect()
}

#[test]
fn megabytes_again_and_again_are_named() {
    let mut calls = reads(3, 1_000_070);
    calls.extend(reads(12, 300));
    let found = Case::<LargeResponse>::of(&calls).expect("three large ones");
    assert_eq!(found.severity, Severity::Info);
    assert_eq!(found.destination, Some(Destination::Address(fixture::address(6, 443))));
    let evidence = found.evidence;
    assert_eq!((evidence.responses, evidence.calls), (3, 15));
    assert_eq!((evidence.bytes_mean, evidence.bytes_max), (1_000_070, 1_000_070));
    assert_eq!(evidence.share_of_time, Share(0.2));
    assert!(evidence.share_of_bytes.0 > 0.99);
    assert_eq!(
        (evidence.seconds_per_call, evidence.transfer_seconds_per_call),
        (Seconds(0.02), Seconds(0.01))
    );
    let expected = format!("to {RANGE} had 1.00 MB on average");
    assert!(found.explanation.contains(&expected), "{}", found.explanation);
}

#[test]
fn most_of_the_time_is_a_warning() {
    let found = Case::<LargeResponse>::of(&reads(5, 2_000_000)).expect("all are large");
    assert_eq!(found.severity, Severity::Warning);
}

#[test]
fn a_download_or_two_are_no_pattern() {
    assert!(Case::<LargeResponse>::of(&reads(2, 500_000_000)).is_none());
    let files: Vec<_> = ["/app.tar", "/model.bin", "/words.txt", "/map.png"]
        .into_iter()
        .map(|path| sized(upstream(http("GET", path), 0, 20), 50_000_000))
        .collect();
    assert!(Case::<LargeResponse>::of(&files).is_none(), "each once");
}

#[test]
fn parts_that_the_client_asked_for_are_not_meant() {
    let mut parts = reads(10, 8_000_000);
    for part in &mut parts {
        let What::Http(crate::proto::http::Http::Head(_, head)) = &mut part.what else { panic!("{part:?}") };
        head.status = Some(PARTIAL_CONTENT);
    }
    assert!(Case::<LargeResponse>::of(&parts).is_none());
}

#[test]
fn a_watch_that_brought_megabytes_in_an_hour_is_a_stream() {
    let hour = 3_600_000;
    let watches: Vec<_> =
        (0..5).map(|n| sized(upstream(http("GET", "/api/v1/pods"), n, n + hour), 5_000_000)).collect();
    assert!(Case::<LargeResponse>::of(&watches).is_none());
}

#[test]
fn a_subscription_with_some_hundred_messages_per_second_is_a_stream() {
    let subscriptions = |seconds: u64| -> Vec<_> {
        let begin = |n: u64| n * seconds * 1000;
        (0..5).map(|n| sized(grpc("/feed.Feed/Subscribe", begin(n), begin(n + 1)), 3_800_000)).collect()
    };
    assert!(Case::<LargeResponse>::of(&subscriptions(12)).is_none());
    assert!(Case::<LargeResponse>::of(&subscriptions(6)).is_some(), "6 s for 3.8 MB is a slow transfer");
}

#[test]
fn a_few_among_many_that_are_nearly_as_large_are_not_the_point() {
    let mut calls = reads(3, 1_000_000);
    calls.extend(reads(20, 900_000));
    assert!(Case::<LargeResponse>::of(&calls).is_none(), "3 of 21 MB");
}
