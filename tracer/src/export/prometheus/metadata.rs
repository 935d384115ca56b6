//! Calls of a pod to the cloud metadata service.

use prometheus::{Gauge, GaugeVec, HistogramVec, IntCounter, IntCounterVec, Result, local::LocalHistogram};

use super::maker::{Buckets, Maker, PodLabels, seconds};
use crate::proto::metadata::{MetadataCall, Step};

pub(super) struct Families {
    calls: IntCounterVec,
    duration: HistogramVec,
    remaining: GaugeVec,
}

impl Families {
    pub(super) fn new(make: &Maker<'_>) -> Result<Self> {
        Ok(Self {
            calls: make.pod_counter(
                "tracer_metadata_calls_total",
                "Calls to the cloud metadata service by step.",
                &["step"],
            )?,
            duration: make.pod_histogram(
                "tracer_metadata_call_duration_seconds",
                "Duration of calls to the cloud metadata service by step.",
                &["step"],
                Buckets::Call,
            )?,
            remaining: make.pod_gauge(
                "tracer_metadata_credentials_remaining_seconds",
                "How long the credentials that the metadata service returned last had to live then.",
                &[],
            )?,
        })
    }
}

/// The series of one pod.
pub(super) struct Series {
    calls: [IntCounter; 5],
    duration: [Option<LocalHistogram>; 5],
    /// There from the first credentials on: 0 would be an alarm.
    remaining: Option<Gauge>,
}

impl Series {
    pub(super) fn new(families: &Families, labels: &PodLabels) -> Self {
        let calls = |step: Step| families.calls.with_label_values(&labels.with(step.name()));
        Self { calls: Step::ALL.map(calls), duration: [const { None }; 5], remaining: None }
    }

    #[expect(clippy::cast_precision_loss, reason = "lifetimes are far below 2^53 s")]
    pub(super) fn ended(
        &mut self,
        families: &Families,
        labels: &PodLabels,
        call: &MetadataCall,
        nanoseconds: u64,
    ) {
        let step = call.step as usize;
        self.calls[step].inc();
        let name = call.step.name();
        self.duration[step]
            .get_or_insert_with(|| families.duration.with_label_values(&labels.with(name)).local())
            .observe(seconds(nanoseconds));
        if let Some(remaining) = call.remaining_seconds {
            let gauge = || families.remaining.with_label_values(&labels.plain());
            self.remaining.get_or_insert_with(gauge).set(remaining as f64);
        }
    }

    pub(super) fn flush(&self) {
        self.duration.iter().flatten().for_each(LocalHistogram::flush);
    }
}

/// Removes a pod's series; those that it never had are no error.
pub(super) fn remove(families: &Families, labels: &PodLabels) {
    let _ = families.remaining.remove_label_values(&labels.plain());
    for step in Step::ALL {
        let _ = families.calls.remove_label_values(&labels.with(step.name()));
        let _ = families.duration.remove_label_values(&labels.with(step.name()));
    }
}
