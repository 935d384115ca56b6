//! Calls that a pod made, of every kind.

use prometheus::{HistogramVec, IntCounter, IntCounterVec, Result, local::LocalHistogram};

use super::maker::{Buckets, Maker, PodLabels, seconds};
use crate::request::{Attribution, Call, CallKind};

pub(super) struct Families {
    total: IntCounterVec,
    duration: HistogramVec,
}

impl Families {
    pub(super) fn new(make: &Maker<'_>) -> Result<Self> {
        Ok(Self {
            total: make.pod_counter(
                "tracer_calls_total",
                "Ended calls by how they were tied to a request; none: no request was in flight.",
                &["attribution"],
            )?,
            duration: make.pod_histogram(
                "tracer_call_duration_seconds",
                "Duration of ended calls by the stage that their time goes to.",
                &["kind"],
                Buckets::Call,
            )?,
        })
    }
}

/// The series of one pod.
pub(super) struct Series {
    total: [IntCounter; 4],
    /// Twenty series each: only for the kinds that the pod makes.
    duration: [Option<LocalHistogram>; 4],
}

impl Series {
    pub(super) fn new(families: &Families, labels: &PodLabels) -> Self {
        let total = |attribution: Attribution| labels.with(attribution.name());
        Self {
            total: Attribution::ALL.map(|attribution| families.total.with_label_values(&total(attribution))),
            duration: [const { None }; 4],
        }
    }

    pub(super) fn ended(
        &mut self,
        families: &Families,
        labels: &PodLabels,
        call: &Call,
        attribution: Attribution,
    ) {
        let name = call.kind.name();
        let duration = self.duration[call.kind as usize]
            .get_or_insert_with(|| families.duration.with_label_values(&labels.with(name)).local());
        duration.observe(seconds(call.end.saturating_sub(call.start)));
        self.total[attribution as usize].inc();
    }

    pub(super) fn flush(&self) {
        self.duration.iter().flatten().for_each(LocalHistogram::flush);
    }
}

/// Removes a pod's series; those that it never had are no error.
pub(super) fn remove(families: &Families, labels: &PodLabels) {
    for attribution in Attribution::ALL {
        let _ = families.total.remove_label_values(&labels.with(attribution.name()));
    }
    for kind in CallKind::ALL {
        let _ = families.duration.remove_label_values(&labels.with(kind.name()));
    }
}
