//! DNS lookups of a pod.

use prometheus::{HistogramVec, IntCounter, IntCounterVec, Result, local::LocalHistogram};

use super::maker::{Buckets, Maker, PodLabels, seconds};
use crate::proto::{dns::rcode_name, lookup::Lookup};

/// Label of a query without an answer: no response code says that.
const TIMEOUT: &str = "TIMEOUT";
/// The first response code that is counted as a rare one.
const RARE: u8 = 6;

pub(super) struct Families {
    lookup: HistogramVec,
    queries: IntCounterVec,
    wasted: IntCounterVec,
    truncated: IntCounterVec,
}

impl Families {
    pub(super) fn new(make: &Maker<'_>) -> Result<Self> {
        Ok(Self {
            lookup: make.pod_histogram(
                "tracer_dns_lookup_duration_seconds",
                "From the first query of a lookup to the answer that ended it, or to the timeout.",
                &[],
                Buckets::Call,
            )?,
            queries: make.pod_counter(
                "tracer_dns_queries_total",
                "DNS queries by response code; TIMEOUT: no answer came.",
                &["rcode"],
            )?,
            wasted: make.pod_counter(
                "tracer_dns_wasted_queries_total",
                "DNS queries for a name with a search domain that does not exist.",
                &[],
            )?,
            truncated: make.pod_counter(
                "tracer_dns_truncated_answers_total",
                "DNS answers that were cut to fit the datagram: the query is asked again over TCP.",
                &[],
            )?,
        })
    }
}

/// The series of one pod.
pub(super) struct Series {
    lookup: LocalHistogram,
    /// By response code; the rare ones are one.
    answered: [IntCounter; RARE as usize + 1],
    timeout: IntCounter,
    wasted: IntCounter,
    truncated: IntCounter,
}

impl Series {
    pub(super) fn new(families: &Families, labels: &PodLabels) -> Self {
        let queries = |rcode: &str| families.queries.with_label_values(&labels.with(rcode));
        Self {
            lookup: families.lookup.with_label_values(&labels.plain()).local(),
            answered: rcodes().map(queries),
            timeout: queries(TIMEOUT),
            wasted: families.wasted.with_label_values(&labels.plain()),
            truncated: families.truncated.with_label_values(&labels.plain()),
        }
    }

    pub(super) fn ended(&self, lookup: &Lookup, nanoseconds: u64) {
        self.lookup.observe(seconds(nanoseconds));
        for rcode in &lookup.rcodes {
            self.answered[usize::from((*rcode).min(RARE))].inc();
        }
        self.timeout.inc_by(lookup.timeouts.into());
        self.wasted.inc_by(lookup.wasted.into());
        self.truncated.inc_by(lookup.truncated.into());
    }

    pub(super) fn flush(&self) {
        self.lookup.flush();
    }
}

fn rcodes() -> [&'static str; RARE as usize + 1] {
    [0, 1, 2, 3, 4, 5, RARE].map(rcode_name)
}

/// Removes a pod's series; those that it never had are no error.
pub(super) fn remove(families: &Families, labels: &PodLabels) {
    let _ = families.lookup.remove_label_values(&labels.plain());
    let _ = families.wasted.remove_label_values(&labels.plain());
    let _ = families.truncated.remove_label_values(&labels.plain());
    for rcode in rcodes().into_iter().chain([TIMEOUT]) {
        let _ = families.queries.remove_label_values(&labels.with(rcode));
    }
}
