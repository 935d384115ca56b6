use std::net::{Ipv4Addr, SocketAddr};

use super::*;
use crate::{
    proto::lookup::Lookup,
    request::{CallKind, Thread},
};

const MS: u64 = 1_000_000;

fn call(wasted: u32, domains: &[&str]) -> Call {
    let lookup = Lookup {
        name: "elastic.example.com".to_owned(),
        queries: wasted + 2,
        wasted,
        search_domains: domains.iter().map(|&domain| domain.to_owned()).collect(),
        ..Lookup::default()
    };
    let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 53);
    Call {
        kind: CallKind::Dns,
        start: 100 * MS,
        end: 220 * MS,
        flow: 0,
        number: 0,
        local: address,
        peer: address,
        thread: Thread::default(),
        what: What::Dns(lookup),
        answered: true,
    }
}

fn finding(calls: &[Call]) -> Option<Finding> {
    let mut watcher = Watcher::new(Period::LastMinute);
    for call in calls {
        watcher.call(call, Attribution::Thread);
    }
    watcher.finding(&Arc::new(Pod { uid: "pod".to_owned(), name: None }), 1000 * MS)
}

#[test]
fn wasted_queries_and_search_domains_are_named() {
    let call = call(6, &["a.svc.cluster.local", "svc.cluster.local", "cluster.local"]);
    let finding = finding(&[call.clone(), call]).expect("two expanded lookups");
    assert!(finding.explanation.contains("6.0 wasted queries"), "{}", finding.explanation);
    assert!(finding.explanation.contains("about 90.00 ms"), "three of four rounds: {}", finding.explanation);
    assert!(finding.remedy.contains("ndots"));
}

#[test]
fn one_lookup_is_no_pattern() {
    assert_eq!(finding(&[call(6, &["a", "b", "c"])]), None);
}

#[test]
fn names_found_at_once_or_in_the_second_domain_are_fine() {
    assert_eq!(finding(&[call(0, &[]), call(0, &[])]), None);
    assert_eq!(finding(&[call(2, &["a"]), call(2, &["a"])]), None);
}
