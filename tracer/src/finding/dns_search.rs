//! `dns-search`: a name costs several NXDOMAIN queries before the one that answers, because `ndots` makes the
//! resolver try every search domain first.

use super::{
    Flows, Names, Number, Seconds, Severity,
    kind::{Proves, Rule, Verdict},
    threshold::thresholds,
    value::{evidence, ratio},
    window::{Merge, Window},
};
use crate::request::{Attribution, Call, What};

thresholds! {
    /// When wasted queries are a pattern.
    pub(super) struct Thresholds {
        /// Lookups with wasted queries that must have been seen.
        bar lookups: u64 = 2, 1..=1_000_000;
        /// Wasted queries per such lookup. A round of A and AAAA, 2, is what a name inside the cluster may cost.
        bar wasted_queries_per_lookup: f64 = 3.0, 0.5..=64;
    }
}

evidence! {
    /// Search domains that were tried in vain.
    pub(super) struct Evidence {
        /// Lookups of the pod.
        lookups: u64,
        /// Of them, those that tried search domains in vain.
        lookups_expanded: u64,
        /// Queries answered NXDOMAIN before the name itself was asked for, per such lookup.
        wasted_queries_per_lookup: Number,
        /// Queries of all lookups, per lookup.
        queries_per_lookup: Number,
        /// How long a lookup that tried search domains took, on average.
        seconds_per_lookup: Seconds,
        /// The domains.
        search_domains: Names,
        /// The names that were looked up.
        names: Names,
        /// Some of the lookups: from, to, name.
        flows: Flows,
    }
}

/// Lookups, and what search domains cost them.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    lookups: u64,
    expanded: u64,
    queries: u64,
    wasted: u64,
    nanoseconds: u64,
    wasted_nanoseconds: u64,
    first: Option<u64>,
    names: Names,
    domains: Names,
    flows: Flows,
}

impl Merge for Tally {
    fn merge(&mut self, other: &Self) {
        self.lookups += other.lookups;
        self.expanded += other.expanded;
        self.queries += other.queries;
        self.wasted += other.wasted;
        self.nanoseconds += other.nanoseconds;
        self.wasted_nanoseconds += other.wasted_nanoseconds;
        self.first = self.first.or(other.first);
        self.names.merge(&other.names);
        self.domains.merge(&other.domains);
        self.flows.merge(&other.flows);
    }
}

/// The rule.
pub(super) struct DnsSearch;

impl Rule for DnsSearch {
    const ID: &'static str = "dns-search";
    type Thresholds = Thresholds;
    type Evidence = Evidence;
    type Tally = Tally;

    fn call(window: &mut Window<Tally>, call: &Call, _: Attribution, _: &Thresholds) -> Proves {
        let What::Dns(lookup) = &call.what else { return Proves::Nothing };
        let tally = window.at(call.start);
        let nanoseconds = call.end.saturating_sub(call.start);
        tally.lookups += 1;
        tally.queries += u64::from(lookup.queries);
        if lookup.search_domains.is_empty() {
            return Proves::Nothing;
        }
        tally.expanded += 1;
        tally.wasted += u64::from(lookup.wasted);
        tally.nanoseconds += nanoseconds;
        // Expansions run one after the other, and each round costs about the same.
        let rounds = lookup.search_domains.len() as u64;
        tally.wasted_nanoseconds += nanoseconds.saturating_mul(rounds) / (rounds + 1);
        tally.first = tally.first.or(Some(call.start));
        tally.names.add(&lookup.name);
        lookup.search_domains.iter().for_each(|domain| tally.domains.add(domain));
        tally.flows.add(call, &lookup.name);
        Proves::Pod
    }

    fn judge(tally: &Tally, thresholds: &Thresholds) -> Vec<Verdict<Evidence>> {
        let wasted = ratio(tally.wasted, tally.expanded);
        if tally.expanded < thresholds.lookups || wasted < thresholds.wasted_queries_per_lookup {
            return Vec::new();
        }
        vec![Verdict {
            severity: Severity::Warning,
            destination: None,
            since: tally.first.unwrap_or_default(),
            explanation: format!(
                "{} of {} lookups tried the search domains {} in vain before the name itself: {wasted:.1} wasted \
                 queries and about {:.2} ms per lookup.",
                tally.expanded,
                tally.lookups,
                tally.domains.joined(),
                ratio(tally.wasted_nanoseconds, tally.expanded) / 1e6,
            ),
            remedy: "Set dnsConfig.options ndots to 1 (or 2) in the pod's spec, or end the name with a dot in the \
                     client's configuration, so that the resolver asks for the full name first."
                .to_owned(),
            evidence: Evidence {
                lookups: tally.lookups,
                lookups_expanded: tally.expanded,
                wasted_queries_per_lookup: Number(wasted),
                queries_per_lookup: Number(ratio(tally.queries, tally.lookups)),
                seconds_per_lookup: Seconds(ratio(tally.nanoseconds, tally.expanded) / 1e9),
                search_domains: tally.domains.clone(),
                names: tally.names.clone(),
                flows: tally.flows.clone(),
            },
        }]
    }
}

#[cfg(test)]
#[path = "dns_search_tests.rs"]
mod tests;
