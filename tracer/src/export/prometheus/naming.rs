//! How the sources of names are doing.

use prometheus::{GaugeVec, IntCounter, IntCounterVec, Result};

use super::{maker::Maker, own::raise};
use crate::pod::{names::Status, source::Reason};

pub(super) struct Families {
    up: GaugeVec,
    pods: GaugeVec,
    errors: IntCounterVec,
    overflow: IntCounter,
}

impl Families {
    pub(super) fn new(make: &Maker<'_>) -> Result<Self> {
        Ok(Self {
            up: make.gauge(
                "tracer_pod_source_up",
                "1 while the source of pods' names is read and its list is complete, otherwise 0.",
                &["source", "resource"],
            )?,
            pods: make.gauge("tracer_pod_source_pods", "Pods that the source knows.", &["source"])?,
            errors: make.counters(
                "tracer_pod_source_errors_total",
                "Lists and watches of a source of names that failed, by reason; they are tried again.",
                &["source", "resource", "reason"],
            )?,
            overflow: make.counter(
                "tracer_pod_source_overflow_total",
                "Pods without a name because the sources know too many.",
            )?,
        })
    }

    #[expect(clippy::cast_precision_loss, reason = "pods of a node")]
    pub(super) fn set(&self, status: &Status) {
        for (resource, is_up) in &status.resources {
            let labels = [resource.source().name(), resource.name()];
            self.up.with_label_values(&labels).set(f64::from(*is_up));
            for reason in Reason::ALL {
                let labels = [labels[0], labels[1], reason.name()];
                let count = status.failures.get(&(*resource, reason)).copied();
                raise(&self.errors.with_label_values(&labels), count.unwrap_or_default());
            }
        }
        for (source, pods) in &status.pods {
            self.pods.with_label_values(&[source.name()]).set(*pods as f64);
        }
        raise(&self.overflow, status.overflow);
    }
}
