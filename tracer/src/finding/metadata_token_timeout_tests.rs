use super::*;
use crate::{
    finding::fixture::{self, Case},
    request::CallKind,
};

const SERVICE: u8 = 254;

fn call(step: Step, what: &str, from: u64, to: u64) -> Call {
    let what = MetadataCall {
        step,
        what: what.to_owned(),
        status: None,
        token: None,
        remaining_seconds: None,
        lifetime_seconds: None,
    };
    fixture::call(CallKind::Metadata, What::Metadata(what), fixture::address(SERVICE, 80), from, to)
}

/// A request for a token that is given up after so many ms.
fn unanswered(ms: u64) -> Call {
    Call { answered: false, ..call(Step::Token, "PUT /latest/api/token", 100, 100 + ms) }
}

fn token() -> Call {
    call(Step::Token, "PUT /latest/api/token", 100, 102)
}

/// A call without a token, answered with this status.
fn tokenless(status: u16) -> Call {
    let mut call = call(Step::RoleList, "GET /latest/meta-data/", 1200, 1203);
    if let What::Metadata(metadata) = &mut call.what {
        (metadata.token, metadata.status) = (Some(false), Some(status));
    }
    call
}

fn found(calls: &[Call]) -> Option<Verdict<Evidence>> {
    Case::<MetadataTokenTimeout>::of(calls)
}

#[test]
fn a_hop_limit_is_told_by_tokens_that_do_not_come_and_calls_that_work() {
    let connect = call(Step::Connect, "", 99, 100);
    let found = found(&[connect, unanswered(1000), unanswered(1000), tokenless(200)]).expect("two waits");
    assert_eq!(found.severity, Severity::Warning);
    assert_eq!(found.destination.map(|d| d.to_string()).as_deref(), Some("10.0.0.254:80"));
    assert!(found.explanation.contains("2.00 s lost"), "{}", found.explanation);
    assert!(found.explanation.contains("went without a token: 1."), "{}", found.explanation);
    assert!(found.remedy.contains("http-put-response-hop-limit to 2"), "{}", found.remedy);
    let evidence = found.evidence;
    assert_eq!((evidence.token_requests, evidence.token_requests_unanswered), (2, 2));
    assert_eq!((evidence.connect_seconds, evidence.longest_wait_seconds), (Seconds(0.001), Seconds(1.0)));
    assert_eq!(evidence.flows.joined(), "10.0.0.2:40000 → 10.0.0.254:80 PUT /latest/api/token");
}

#[test]
fn an_instance_that_wants_a_token_for_everything_is_critical() {
    let found = found(&[unanswered(1000), unanswered(1000), tokenless(401)]).expect("two waits");
    assert_eq!((found.severity, found.evidence.tokenless_refused), (Severity::Critical, 1));
}

#[test]
fn a_service_that_is_silent_to_everything_is_down() {
    let other = Call { answered: false, ..tokenless(0) };
    assert!(found(&[unanswered(1000), unanswered(1000), other]).is_none());
}

#[test]
fn one_wait_and_tokens_that_come_as_a_rule_are_fine() {
    assert!(found(&[unanswered(1000)]).is_none());
    assert!(found(&[token(), token(), token(), tokenless(200)]).is_none());
    assert!(found(&[unanswered(1000), unanswered(1000), token()]).is_none());
}

#[test]
fn a_connection_that_breaks_at_once_is_no_wait() {
    let mut case = Case::<MetadataTokenTimeout>::new();
    assert_eq!(case.call(&unanswered(20), Attribution::None), Proves::Nothing);
    assert_ne!(case.call(&unanswered(1000), Attribution::None), Proves::Nothing);
}
