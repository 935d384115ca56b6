use super::*;
use crate::{
    finding::fixture::{self, Case},
    request::CallKind,
};

/// A fetch of credentials that had `remaining` of their `lifetime` seconds left.
fn fetch(remaining: i64, lifetime: i64) -> Call {
    let what = What::Metadata(MetadataCall {
        step: Step::Credentials,
        what: "GET /role".to_owned(),
        status: Some(200),
        token: Some(true),
        remaining_seconds: Some(remaining),
        lifetime_seconds: Some(lifetime),
    });
    fixture::call(CallKind::Metadata, what, fixture::address(254, 80), 1, 2)
}

/// What `requests` with so many ms of metadata each and `fetches` give.
fn judge(requests: &[u64], fetches: &[Call], attribution: Attribution) -> Option<Verdict<Evidence>> {
    let mut case = Case::<MetadataCredentials>::new();
    for metadata in requests {
        case.request(&fixture::request(*metadata));
    }
    for call in fetches {
        case.call(call, attribution);
    }
    case.verdicts().pop()
}

/// As [`judge`], for requests that fetch credentials with so many seconds left, or nothing.
fn finding(requests: &[(u64, Option<i64>)]) -> Option<Verdict<Evidence>> {
    let metadata: Vec<u64> = requests.iter().map(|(metadata, _)| *metadata).collect();
    let fetches: Vec<Call> = requests.iter().filter_map(|(_, life)| life.map(|l| fetch(l, l))).collect();
    judge(&metadata, &fetches, Attribution::Thread)
}

#[test]
fn names_lifetime_threshold_and_remedy() {
    let finding = finding(&[(86, Some(899)); 10]).expect("every request fetches");
    assert_eq!(finding.severity, Severity::Critical);
    assert!(finding.explanation.contains("live 15 minutes"), "{}", finding.explanation);
    assert!(finding.explanation.contains("86 % of the time"), "{}", finding.explanation);
    assert!(finding.remedy.contains("--session-duration=60m"), "{}", finding.remedy);
    assert_eq!(finding.evidence.credentials_fetches, 10);
    assert_eq!(finding.evidence.sdk_refresh_threshold_seconds, Seconds(900.0));
}

#[test]
fn a_small_share_is_a_warning() {
    assert_eq!(finding(&[(10, Some(600)); 10]).map(|finding| finding.severity), Some(Severity::Warning));
}

#[test]
fn long_lived_credentials_rare_fetches_and_few_requests_are_fine() {
    assert!(finding(&[(86, Some(901)); 10]).is_none());
    assert!(finding(&[(86, Some(600)); 4]).is_none());
    let rare: Vec<_> = (0..10).map(|n| (86, (n < 4).then_some(600))).collect();
    assert!(finding(&rare).is_none());
}

#[test]
fn requests_that_the_kernel_added_up_fetch_nothing() {
    let mut case = Case::<MetadataCredentials>::new();
    for _ in 0..10 {
        case.request(&fixture::request(86));
        case.call(&fetch(600, 600), Attribution::Thread);
    }
    assert!(case.verdicts().pop().is_some());
    case.folded(&crate::export::fixture::folded());
    let found = case.verdicts().pop().expect("ten fetches of twelve requests");
    assert_eq!(found.evidence.requests, 12);
    (0..10).for_each(|_| case.folded(&crate::export::fixture::folded()));
    assert!(case.verdicts().is_empty(), "ten fetches of 32 requests");
}

#[test]
fn the_longest_life_counts() {
    let mut mixed = [(86, Some(600)); 10];
    mixed[3].1 = Some(3600);
    assert!(finding(&mixed).is_none());
}

#[test]
fn shared_calls_count_once() {
    let finding = judge(&[50; 16], &vec![fetch(600, 600); 32], Attribution::Shared);
    let finding = finding.expect("two fetches per request");
    assert_eq!(finding.evidence.metadata_calls_per_request, Number(2.0));
    assert!(finding.explanation.contains(" 2.0 calls "), "{}", finding.explanation);
}

#[test]
fn one_refresh_for_many_requests_is_fine() {
    assert!(judge(&[50; 5], &[fetch(600, 600)], Attribution::Shared).is_none());
    assert!(judge(&[50; 16], &vec![fetch(600, 600); 4], Attribution::Shared).is_none());
}

#[test]
fn a_refresh_that_no_request_waits_for_is_fine() {
    assert!(judge(&[0; 10], &vec![fetch(600, 600); 10], Attribution::None).is_none());
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
    let mut sum = Tally { flows: Flows(vec!["a → b".to_owned()]), ..Tally::default() };
    sum.merge(&Tally { requests: 1, ..Tally::default() });
    assert_eq!(sum.flows.0, ["a → b"]);
}
