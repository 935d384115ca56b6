//! Requests that a pod served.

use prometheus::{
    Counter, CounterVec, HistogramVec, IntCounter, IntCounterVec, Result, local::LocalHistogram,
};

use super::maker::{Buckets, Maker, PodLabels, seconds};
use crate::request::{Attribution, Request, Stages, folded::Folded};

pub(super) struct Families {
    duration: HistogramVec,
    stages: CounterVec,
    total: IntCounterVec,
    folded: IntCounterVec,
}

impl Families {
    pub(super) fn new(make: &Maker<'_>) -> Result<Self> {
        Ok(Self {
            duration: make.pod_histogram(
                "tracer_request_duration_seconds",
                "From the first byte of a request in to the last byte of its response out.",
                &[],
                Buckets::Request,
            )?,
            stages: make.pod_seconds(
                "tracer_request_stage_seconds_total",
                "Time of settled requests by stage; the stages add up to the requests' duration.",
                &["stage"],
            )?,
            total: make.pod_counter(
                "tracer_requests_total",
                "Settled requests by the least certain attribution among their calls; none: they made no calls.",
                &["attribution"],
            )?,
            folded: make.pod_counter(
                "tracer_requests_folded_total",
                "Requests that the kernel added up because they were quick and their pod called nobody; all other \
                 metrics count them too.",
                &[],
            )?,
        })
    }
}

/// The series of one pod.
pub(super) struct Series {
    duration: LocalHistogram,
    stages: [Counter; 7],
    /// Nanoseconds per stage since the last flush: integers lose nothing.
    pending: Stages,
    total: [IntCounter; 4],
    folded: IntCounter,
}

impl Series {
    pub(super) fn new(families: &Families, labels: &PodLabels) -> Self {
        let total = |attribution: Attribution| labels.with(attribution.name());
        Self {
            duration: families.duration.with_label_values(&labels.plain()).local(),
            stages: Stages::NAMES.map(|stage| families.stages.with_label_values(&labels.with(stage))),
            pending: Stages::default(),
            total: Attribution::ALL.map(|attribution| families.total.with_label_values(&total(attribution))),
            folded: families.folded.with_label_values(&labels.plain()),
        }
    }

    pub(super) fn settled(&mut self, request: &Request) {
        self.duration.observe(seconds(request.total()));
        self.pending.add(&request.stages);
        let least_certain = request.calls.iter().map(|call| call.attribution).max();
        self.total[least_certain.unwrap_or(Attribution::None) as usize].inc();
    }

    pub(super) fn folded(&mut self, folded: &Folded) {
        for (nanoseconds, count) in folded.durations() {
            let duration = seconds(nanoseconds);
            (0..count).for_each(|_| self.duration.observe(duration));
        }
        self.pending.add(&folded.stages);
        self.total[Attribution::None as usize].inc_by(folded.count);
        self.folded.inc_by(folded.count);
    }

    pub(super) fn flush(&mut self) {
        self.duration.flush();
        for (counter, nanoseconds) in self.stages.iter().zip(std::mem::take(&mut self.pending).values()) {
            counter.inc_by(seconds(nanoseconds));
        }
    }
}

/// Removes a pod's series; those that it never had are no error.
pub(super) fn remove(families: &Families, labels: &PodLabels) {
    let _ = families.duration.remove_label_values(&labels.plain());
    for stage in Stages::NAMES {
        let _ = families.stages.remove_label_values(&labels.with(stage));
    }
    for attribution in Attribution::ALL {
        let _ = families.total.remove_label_values(&labels.with(attribution.name()));
    }
    let _ = families.folded.remove_label_values(&labels.plain());
}
