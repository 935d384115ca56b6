//! `dns-search`: a name costs several NXDOMAIN queries before the one that answers, because `ndots` makes the
//! resolver try every search domain first.

use std::sync::Arc;

use super::{
    Detector, Finding, Severity, Value, ratio,
    window::{Merge, Period, Window},
};
use crate::{
    pod::Pod,
    request::{Attribution, Call, Request, What},
};

/// Identifier of the finding.
pub const ID: &str = "dns-search";
/// Lookups with wasted queries that must have been seen before anything is said.
const LOOKUPS: u64 = 2;
/// Wasted queries per lookup from which on it is worth saying: a round of A and AAAA is what a name inside the
/// cluster may cost.
const WASTED: f64 = 3.0;
/// Names and search domains kept in the evidence.
const LIST: usize = 8;

#[derive(Clone, Debug, Default)]
struct Evidence {
    lookups: u64,
    expanded: u64,
    queries: u64,
    wasted: u64,
    nanoseconds: u64,
    wasted_nanoseconds: u64,
    first: Option<u64>,
    names: Vec<String>,
    domains: Vec<String>,
}

impl Merge for Evidence {
    fn merge(&mut self, other: &Self) {
        self.lookups += other.lookups;
        self.expanded += other.expanded;
        self.queries += other.queries;
        self.wasted += other.wasted;
        self.nanoseconds += other.nanoseconds;
        self.wasted_nanoseconds += other.wasted_nanoseconds;
        self.first = self.first.or(other.first);
        add(&mut self.names, &other.names);
        add(&mut self.domains, &other.domains);
    }
}

/// Watches a pod's lookups.
#[derive(Debug)]
pub(super) struct Watcher {
    window: Window<Evidence>,
}

impl Watcher {
    pub(super) fn new(period: Period) -> Self {
        Self { window: Window::new(period) }
    }
}

impl Detector for Watcher {
    fn request(&mut self, _request: &Request) {}

    fn call(&mut self, call: &Call, _attribution: Attribution) {
        let What::Dns(lookup) = &call.what else { return };
        let evidence = self.window.at(call.start);
        let nanoseconds = call.end.saturating_sub(call.start);
        evidence.lookups += 1;
        evidence.queries += u64::from(lookup.queries);
        if lookup.search_domains.is_empty() {
            return;
        }
        evidence.expanded += 1;
        evidence.wasted += u64::from(lookup.wasted);
        evidence.nanoseconds += nanoseconds;
        // Expansions run one after the other, and each round costs about the same.
        let rounds = lookup.search_domains.len() as u64;
        evidence.wasted_nanoseconds += nanoseconds.saturating_mul(rounds) / (rounds + 1);
        evidence.first = evidence.first.or(Some(call.start));
        add(&mut evidence.names, std::slice::from_ref(&lookup.name));
        add(&mut evidence.domains, &lookup.search_domains);
    }

    fn finding(&self, subject: &Arc<Pod>, now: u64) -> Option<Finding> {
        let evidence = self.window.sum(now);
        let wasted = ratio(evidence.wasted, evidence.expanded);
        if evidence.expanded < LOOKUPS || wasted < WASTED {
            return None;
        }
        Some(Finding {
            id: ID,
            severity: Severity::Warning,
            subject: Arc::clone(subject),
            since: evidence.first.unwrap_or(now),
            explanation: format!(
                "{} of {} lookups tried the search domains {} in vain before the name itself: {wasted:.1} wasted \
                 queries and about {:.2} ms per lookup.",
                evidence.expanded,
                evidence.lookups,
                evidence.domains.join(", "),
                ratio(evidence.wasted_nanoseconds, evidence.expanded) / 1e6,
            ),
            remedy: "Set dnsConfig.options ndots to 1 (or 2) in the pod's spec, or end the name with a dot in the \
                     client's configuration, so that the resolver asks for the full name first."
                .to_owned(),
            evidence: vec![
                ("lookups", Value::Count(evidence.lookups)),
                ("lookups_expanded", Value::Count(evidence.expanded)),
                ("wasted_queries_per_lookup", Value::Number(wasted)),
                ("queries_per_lookup", Value::Number(ratio(evidence.queries, evidence.lookups))),
                ("seconds_per_lookup", Value::Seconds(ratio(evidence.nanoseconds, evidence.expanded) / 1e9)),
                ("search_domains", Value::List(evidence.domains)),
                ("names", Value::List(evidence.names)),
            ],
        })
    }
}

fn add(list: &mut Vec<String>, more: &[String]) {
    for text in more {
        if list.len() < LIST && !list.contains(text) {
            list.push(text.clone());
        }
    }
}

#[cfg(test)]
#[path = "dns_search_tests.rs"]
mod tests;
