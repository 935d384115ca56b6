use std::net::{Ipv4Addr, SocketAddr};

use super::*;
use crate::{
    flow::{Messages, Transport},
    request::{AttributedCall, Attribution, Marks, Stages, Thread},
};

const MS: u64 = 1_000_000;

/// A request of 100 ms with `metadata` ms of metadata, which fetched credentials with `remaining` seconds left.
fn request(pod: &Arc<Pod>, metadata: u64, remaining: Option<i64>) -> Request {
    let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 80);
    let what = What::Metadata(MetadataCall {
        step: Step::Credentials,
        what: "GET /role".to_owned(),
        status: Some(200),
        remaining_seconds: remaining,
        lifetime_seconds: remaining,
    });
    let call = Call {
        kind: CallKind::Metadata,
        start: MS,
        end: 2 * MS,
        flow: 1,
        number: 1,
        local: address,
        peer: address,
        thread: Thread::default(),
        what,
        answered: true,
    };
    let call = AttributedCall { call: Arc::new(call), attribution: Attribution::Thread, requests: 1 };
    Request {
        pod: Arc::clone(pod),
        flow: 2,
        number: 1,
        transport: Transport { local: address, peer: address, srtt_us: 0, retransmits: 0 },
        messages: Messages { request_first: MS, response_last: 101 * MS, ..Messages::default() },
        thread: Thread::default(),
        http: None,
        stages: Stages { metadata: metadata * MS, own: (100 - metadata) * MS, ..Stages::default() },
        calls: if remaining.is_some() { vec![call] } else { Vec::new() },
        marks: Marks::default(),
    }
}

fn finding(requests: &[(u64, Option<i64>)]) -> Option<Finding> {
    let pod = Arc::new(Pod { uid: "pod".to_owned(), name: None });
    let mut watcher = Watcher::default();
    for &(metadata, remaining) in requests {
        watcher.request(&request(&pod, metadata, remaining));
    }
    watcher.finding(&pod, 1000 * MS)
}

#[test]
fn names_lifetime_threshold_and_remedy() {
    let finding = finding(&[(86, Some(899)); 10]).expect("every request fetches");
    assert_eq!(finding.severity, Severity::Critical);
    assert!(finding.explanation.contains("live 15 minutes"), "{}", finding.explanation);
    assert!(finding.explanation.contains("86 % of the time"), "{}", finding.explanation);
    let evidence = |name| finding.evidence.iter().find(|(n, _)| *n == name).map(|(_, value)| value.clone());
    assert_eq!(evidence("requests_fetching_credentials"), Some(Value::Count(10)));
    assert_eq!(evidence("sdk_refresh_threshold_seconds"), Some(Value::Seconds(900.0)));
}

#[test]
fn a_small_share_is_a_warning() {
    assert_eq!(finding(&[(10, Some(600)); 10]).map(|finding| finding.severity), Some(Severity::Warning));
}

#[test]
fn long_lived_credentials_rare_fetches_and_few_requests_are_fine() {
    assert_eq!(finding(&[(86, Some(901)); 10]), None);
    assert_eq!(finding(&[(86, Some(600)); 4]), None);
    let rare: Vec<_> = (0..10).map(|n| (86, (n < 4).then_some(600))).collect();
    assert_eq!(finding(&rare), None);
}

#[test]
fn the_longest_life_counts() {
    let mut mixed = [(86, Some(600)); 10];
    mixed[3].1 = Some(3600);
    assert_eq!(finding(&mixed), None);
}
