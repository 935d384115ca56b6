use std::net::{Ipv4Addr, SocketAddr};

use super::*;
use crate::{
    flow::{Messages, Transport},
    request::{CallKind, Marks, Stages, Thread},
};

const MS: u64 = 1_000_000;

/// A fetch of credentials that had `remaining` of their `lifetime` seconds left.
fn fetch(remaining: i64, lifetime: i64) -> Call {
    let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 80);
    let what = What::Metadata(MetadataCall {
        step: Step::Credentials,
        what: "GET /role".to_owned(),
        status: Some(200),
        remaining_seconds: Some(remaining),
        lifetime_seconds: Some(lifetime),
    });
    Call {
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
    }
}

/// A request of 100 ms with `metadata` ms of metadata.
fn request(pod: &Arc<Pod>, metadata: u64) -> Request {
    let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 80);
    Request {
        pod: Arc::clone(pod),
        flow: 2,
        number: 1,
        transport: Transport { local: address, peer: address, srtt_us: 0, retransmits: 0 },
        messages: Messages { request_first: MS, response_last: 101 * MS, ..Messages::default() },
        thread: Thread::default(),
        http: None,
        stages: Stages { metadata: metadata * MS, own: (100 - metadata) * MS, ..Stages::default() },
        calls: Vec::new(),
        marks: Marks::default(),
    }
}

/// What `requests` with so many ms of metadata each and `fetches` give.
fn judge(requests: &[u64], fetches: &[Call], attribution: Attribution) -> Option<Finding> {
    let pod = Arc::new(Pod { uid: "pod".to_owned(), name: None });
    let mut watcher = Watcher::new(Period::LastMinute);
    for metadata in requests {
        watcher.request(&request(&pod, *metadata));
    }
    for call in fetches {
        watcher.call(call, attribution);
    }
    watcher.finding(&pod, 1000 * MS)
}

/// As [`judge`], for requests that fetch credentials with so many seconds left, or nothing.
fn finding(requests: &[(u64, Option<i64>)]) -> Option<Finding> {
    let metadata: Vec<u64> = requests.iter().map(|(metadata, _)| *metadata).collect();
    let fetches: Vec<Call> = requests.iter().filter_map(|(_, life)| life.map(|l| fetch(l, l))).collect();
    judge(&metadata, &fetches, Attribution::Thread)
}

fn evidence(finding: &Finding, name: &str) -> Option<Value> {
    finding.evidence.iter().find(|(n, _)| *n == name).map(|(_, value)| value.clone())
}

#[test]
fn names_lifetime_threshold_and_remedy() {
    let finding = finding(&[(86, Some(899)); 10]).expect("every request fetches");
    assert_eq!(finding.severity, Severity::Critical);
    assert!(finding.explanation.contains("live 15 minutes"), "{}", finding.explanation);
    assert!(finding.explanation.contains("86 % of the time"), "{}", finding.explanation);
    assert!(finding.remedy.contains("--session-duration=60m"), "{}", finding.remedy);
    assert_eq!(evidence(&finding, "credentials_fetches"), Some(Value::Count(10)));
    assert_eq!(evidence(&finding, "sdk_refresh_threshold_seconds"), Some(Value::Seconds(900.0)));
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

#[test]
fn shared_calls_count_once() {
    let finding = judge(&[50; 16], &vec![fetch(600, 600); 32], Attribution::Shared);
    let finding = finding.expect("two fetches per request");
    assert_eq!(evidence(&finding, "metadata_calls_per_request"), Some(Value::Number(2.0)));
    assert!(finding.explanation.contains(" 2.0 calls "), "{}", finding.explanation);
}

#[test]
fn one_refresh_for_many_requests_is_fine() {
    assert_eq!(judge(&[50; 5], &[fetch(600, 600)], Attribution::Shared), None);
    assert_eq!(judge(&[50; 16], &vec![fetch(600, 600); 4], Attribution::Shared), None);
}

#[test]
fn a_refresh_that_no_request_waits_for_is_fine() {
    assert_eq!(judge(&[0; 10], &vec![fetch(600, 600); 10], Attribution::None), None);
}

#[test]
fn long_lived_credentials_near_their_end_are_named_so() {
    let finding = judge(&[50; 10], &vec![fetch(840, 3600); 10], Attribution::Thread).expect("a finding");
    let expected = "had at most 14 of their 60 minutes left";
    assert!(finding.explanation.contains(expected), "{}", finding.explanation);
    assert!(!finding.remedy.contains("--session-duration"), "{}", finding.remedy);
}

#[test]
fn flows_stay_when_the_newest_evidence_has_none() {
    let mut sum = Evidence { flows: vec!["a → b".to_owned()], ..Evidence::default() };
    sum.merge(&Evidence { requests: 1, ..Evidence::default() });
    assert_eq!(sum.flows, ["a → b"]);
}
