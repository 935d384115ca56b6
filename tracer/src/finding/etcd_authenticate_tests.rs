use super::*;
use crate::{
    finding::fixture::{self, Case, MS, SECOND, grpc},
    proto::{http::Http, stream::Head},
    request::What,
};

/// A client that authenticates before every `reads`th read: 60 ms against 1 ms.
fn calls(authentications: u64, reads: u64) -> Vec<Call> {
    let mut at = 0;
    let mut calls = Vec::new();
    for _ in 0..authentications {
        calls.push(grpc(AUTHENTICATE, at, at + 60));
        at += 100;
        for _ in 0..reads {
            calls.push(grpc(RANGE, at, at + 1));
            at += 2;
        }
    }
    calls
}

#[test]
fn an_authentication_per_read_is_most_of_the_time() {
    let found = Case::<EtcdAuthenticate>::of(&calls(10, 2)).expect("it does so all the time");
    assert_eq!(found.severity, Severity::Critical);
    assert_eq!(found.destination, Some(Destination::Address(fixture::address(6, 443))));
    let evidence = found.evidence;
    assert_eq!((evidence.authentications, evidence.other_calls), (10, 20));
    assert_eq!(evidence.calls_per_authentication, Number(2.0));
    assert_eq!(evidence.seconds_per_authentication, Seconds(0.06));
    assert_eq!(evidence.seconds_between, Seconds(0.104));
    assert!((evidence.ranges_per_authentication.0 - 60.0).abs() < 1e-9);
    assert!((evidence.share_of_time.0 - 600.0 / 620.0).abs() < 1e-9);
    assert!(found.explanation.contains("as much as 60 usual Ranges of 1.00 ms"), "{}", found.explanation);
}

#[test]
fn a_few_expensive_ranges_do_not_make_authentication_look_cheap() {
    let mut calls = calls(10, 2);
    calls.extend((0..3).map(|n| grpc(RANGE, n * 1000, n * 1000 + 400)));
    let found = Case::<EtcdAuthenticate>::of(&calls).expect("it does so all the time");
    assert!((found.evidence.ranges_per_authentication.0 - 60.0).abs() < 1e-9, "{found:?}");
}

#[test]
fn without_a_range_nothing_is_compared() {
    let found = Case::<EtcdAuthenticate>::of(&calls(10, 0)).expect("only authentications");
    assert_eq!(found.evidence.ranges_per_authentication, Number(0.0));
    assert!(!found.explanation.contains("Ranges"), "{}", found.explanation);
}

#[test]
fn one_authentication_per_process_is_as_it_should_be() {
    assert!(Case::<EtcdAuthenticate>::of(&calls(4, 1)).is_none(), "four processes that start");
    assert!(Case::<EtcdAuthenticate>::of(&calls(6, 24)).is_none(), "71 % of the time, and six processes");
    let mut slow = calls(10, 0);
    slow.extend((0..10).map(|n| grpc(RANGE, n * 300, n * 300 + 290)));
    assert!(Case::<EtcdAuthenticate>::of(&slow).is_none(), "17 % of the time");
}

#[test]
fn a_token_per_life_is_as_it_should_be() {
    let idle: Vec<_> = (0..6).map(|n| grpc(AUTHENTICATE, n * 301_000, n * 301_000 + 60)).collect();
    let mut tally = Tally::default();
    for call in idle {
        let etcd = tally.at(call.peer).expect("room");
        etcd.authentications.add(1, 60 * MS);
        etcd.first = etcd.first.or(Some(call.start));
        etcd.last = call.start;
    }
    let thresholds = <Thresholds as crate::finding::threshold::Thresholds>::of(&[]);
    assert!(EtcdAuthenticate::judge(&tally, &thresholds).is_empty());
}

#[test]
fn a_refused_password_and_a_watch_are_not_counted() {
    let mut refused = calls(10, 0);
    for call in &mut refused {
        let What::Http(Http::Head(_, Head { grpc_status, .. })) = &mut call.what else { panic!("{call:?}") };
        *grpc_status = Some(3);
    }
    assert!(Case::<EtcdAuthenticate>::of(&refused).is_none());
    let mut watch = grpc("/etcdserverpb.Watch/Watch", 0, 50_000);
    watch.messages.response_first = MS;
    let mut calls = calls(10, 0);
    calls.push(watch);
    let found = Case::<EtcdAuthenticate>::of(&calls).expect("authentications");
    assert_eq!((found.evidence.share_of_time, found.evidence.other_calls), (Share(1.0), 0));
}

#[test]
fn only_authentications_are_evidence() {
    let mut case = Case::<EtcdAuthenticate>::new();
    assert_eq!(case.call(&grpc(RANGE, 0, 1), Attribution::None), Proves::Nothing);
    let peer = Destination::Address(fixture::address(6, 443));
    assert_eq!(case.call(&grpc(AUTHENTICATE, 1, 60), Attribution::None), Proves::Destination(peer));
    let elsewhere = grpc("/shop.Auth/Authenticate", 60, SECOND / MS);
    assert_eq!(case.call(&elsewhere, Attribution::None), Proves::Nothing);
}
