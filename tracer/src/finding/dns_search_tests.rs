use super::*;
use crate::{
    finding::{
        Value,
        fixture::{self, Case},
        value::Field as _,
    },
    proto::lookup::Lookup,
};

fn call(wasted: u32, domains: &[&str]) -> Call {
    let lookup = Lookup {
        name: "elastic.example.com".to_owned(),
        queries: wasted + 2,
        wasted,
        search_domains: domains.iter().map(|&domain| domain.to_owned()).collect(),
        ..Lookup::default()
    };
    fixture::lookup(lookup, 100, 220)
}

#[test]
fn wasted_queries_and_search_domains_are_named() {
    let call = call(6, &["a.svc.cluster.local", "svc.cluster.local", "cluster.local"]);
    let flow = format!("{} → {} elastic.example.com", call.local, call.peer);
    let found = Case::<DnsSearch>::of(&[call.clone(), call]).expect("two expanded lookups");
    assert!(found.explanation.contains("6.0 wasted queries"), "{}", found.explanation);
    assert!(found.explanation.contains("about 90.00 ms"), "three of four rounds: {}", found.explanation);
    assert!(found.remedy.contains("ndots"));
    assert_eq!((found.since, found.evidence.lookups_expanded), (100 * fixture::MS, 2));
    assert_eq!(found.evidence.flows.value(), Value::List(vec![flow]));
}

#[test]
fn one_lookup_is_no_pattern() {
    assert!(Case::<DnsSearch>::of(&[call(6, &["a", "b", "c"])]).is_none());
}

#[test]
fn names_found_at_once_or_in_the_second_domain_are_fine() {
    assert!(Case::<DnsSearch>::of(&[call(0, &[]), call(0, &[])]).is_none());
    assert!(Case::<DnsSearch>::of(&[call(2, &["a"]), call(2, &["a"])]).is_none());
}

#[test]
fn only_an_expanded_lookup_is_evidence() {
    let mut case = Case::<DnsSearch>::new();
    assert_eq!(case.call(&call(0, &[]), Attribution::None), Proves::Nothing);
    assert_eq!(case.call(&call(2, &["a"]), Attribution::None), Proves::Pod);
}
