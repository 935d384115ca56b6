use super::*;
use crate::{
    finding::fixture::{self, Case, address},
    proto::lookup::{self, Silence},
};

const DEAD: u8 = 9;
const ALIVE: u8 = 53;
const SECOND: u64 = fixture::SECOND;

/// A lookup that waited so many ms for its servers: last byte of the address, answered, unanswered.
fn waited(ms: u64, servers: &[(u8, u32, u32)]) -> Call {
    let nanoseconds = ms * fixture::MS;
    let servers = servers.iter().map(|&(last, answered, unanswered)| lookup::Server {
        address: address(last, 53),
        answered,
        unanswered,
    });
    let silence = Silence {
        waited: nanoseconds,
        longest: nanoseconds,
        servers: servers.collect(),
        ..Silence::default()
    };
    let lookup =
        Lookup { name: "db.example.com".to_owned(), queries: 2, timeouts: 1, silence, ..Lookup::default() };
    fixture::lookup(lookup, 100, 101 + ms)
}

fn lookup_mut(call: &mut Call) -> &mut Lookup {
    let What::Dns(lookup) = &mut call.what else { panic!("a lookup") };
    lookup
}

/// A lookup that was answered in 1 ms.
fn healthy() -> Call {
    fixture::lookup(Lookup { queries: 2, ..Lookup::default() }, 100, 101)
}

#[test]
fn a_server_that_never_answers_is_named() {
    let slow = waited(5000, &[(DEAD, 0, 2), (ALIVE, 2, 0)]);
    let found = Case::<DnsTimeout>::of(&[slow.clone(), slow, healthy()]).expect("two timeouts");
    assert_eq!(found.severity, Severity::Warning);
    assert!(found.explanation.starts_with("2 of 3 lookups"), "{}", found.explanation);
    assert!(found.explanation.contains("5.00 s each"), "{}", found.explanation);
    assert!(found.explanation.contains("10.0.0.9:53 answered nothing"), "{}", found.explanation);
    assert!(found.remedy.contains("resolv.conf"), "{}", found.remedy);
    let evidence = found.evidence;
    assert_eq!(
        (evidence.silent_servers.joined(), evidence.names.joined()),
        ("10.0.0.9:53".into(), "db.example.com".into())
    );
    assert_eq!((evidence.lookups, evidence.lookups_timed_out, evidence.timeouts), (3, 2, 2));
    assert_eq!((evidence.lost_seconds, evidence.longest_wait_seconds), (Seconds(10.0), Seconds(5.0)));
}

#[test]
fn the_race_of_a_and_aaaa_has_its_own_remedy() {
    let mut slow = waited(5000, &[(ALIVE, 2, 1)]);
    lookup_mut(&mut slow).silence.raced = 1;
    let found = Case::<DnsTimeout>::of(&[slow.clone(), slow]).expect("two timeouts");
    assert!(found.remedy.contains("single-request-reopen"), "{}", found.remedy);
    assert!(found.remedy.contains("NodeLocal DNSCache"), "{}", found.remedy);
    assert_eq!(found.evidence.lookups_raced, 2);
}

#[test]
fn a_type_that_is_never_answered_is_no_race() {
    let mut slow = waited(10_000, &[(ALIVE, 1, 2)]);
    slow.answered = false;
    lookup_mut(&mut slow).silence.one_sided = 1;
    let found = Case::<DnsTimeout>::of(&[slow.clone(), slow]).expect("two timeouts");
    assert!(found.remedy.contains("AAAA"), "{}", found.remedy);
    assert!(!found.remedy.contains("single-request"), "{}", found.remedy);
}

#[test]
fn lookups_that_nobody_ever_answers_are_critical() {
    let mut slow = waited(10_000, &[(DEAD, 0, 2)]);
    slow.answered = false;
    slow.end = slow.start + 15 * SECOND;
    let found = Case::<DnsTimeout>::of(&[slow.clone(), slow]).expect("two timeouts");
    assert_eq!(found.severity, Severity::Critical);
    assert!(found.remedy.contains("network policies"), "{}", found.remedy);
}

#[test]
fn losses_of_a_server_that_answers_are_called_so() {
    let slow = waited(5000, &[(ALIVE, 1, 1)]);
    let found = Case::<DnsTimeout>::of(&[slow.clone(), slow]).expect("two timeouts");
    assert!(found.explanation.contains("were lost"), "{}", found.explanation);
}

#[test]
fn one_timeout_is_no_pattern() {
    assert!(Case::<DnsTimeout>::of(&[waited(5000, &[(ALIVE, 1, 1)])]).is_none());
}

#[test]
fn a_slow_server_that_answers_is_no_timeout() {
    let slow = fixture::lookup(Lookup { queries: 2, ..Lookup::default() }, 100, 4900);
    assert!(Case::<DnsTimeout>::of(&vec![slow; 10]).is_none());
}

#[test]
fn a_client_that_asks_again_at_once_waits_for_no_timeout() {
    let mut case = Case::<DnsTimeout>::new();
    let again = waited(300, &[(ALIVE, 1, 1)]);
    assert_eq!(case.call(&again, Attribution::None), Proves::Nothing);
    case.call(&again, Attribution::None);
    assert!(case.verdicts().is_empty());
}

#[test]
fn rare_timeouts_count_by_the_time_that_they_take() {
    let many = |healthy_lookups: usize| {
        let mut calls = vec![waited(5000, &[(ALIVE, 1, 1)]); 2];
        calls.extend(vec![healthy(); healthy_lookups]);
        Case::<DnsTimeout>::of(&calls)
    };
    assert!(many(2_000).is_some(), "10 of 12 seconds");
    assert!(many(50_000).is_none(), "10 of 60 seconds");
}
