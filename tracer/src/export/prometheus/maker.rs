//! Makes metric families and registers them.

use prometheus::{
    CounterVec, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry, Result,
    core::Collector, exponential_buckets,
};

use crate::pod::Pod;

/// Seconds, as OpenTelemetry advises for requests, finer below 5 ms.
const REQUEST_BUCKETS: [f64; 17] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// Which durations a histogram tells apart; the same on every node, so that histograms add up.
#[derive(Clone, Copy)]
pub(super) enum Buckets {
    /// 0.5 ms to 10 s.
    Request,
    /// Doubling from 0.25 ms to 8.2 s, as `CoreDNS` has them: 1 s and 5 s timeouts stay visible.
    Call,
    /// Doubling from 25 µs to 0.8 s: from one node to another continent.
    RoundTrip,
}

impl Buckets {
    fn bounds(self) -> Result<Vec<f64>> {
        match self {
            Self::Request => Ok(REQUEST_BUCKETS.to_vec()),
            Self::Call => exponential_buckets(0.000_25, 2.0, 16),
            Self::RoundTrip => exponential_buckets(0.000_025, 2.0, 16),
        }
    }
}

/// Labels of every series about a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PodLabels {
    namespace: String,
    pod: String,
    workload: String,
}

impl PodLabels {
    /// Their names; an empty value is "not there".
    const NAMES: [&str; 3] = ["namespace", "pod", "workload"];

    /// The pod's name, or its UID while no name is known.
    pub(super) fn of(pod: &Pod) -> Self {
        match &pod.name {
            Some(name) => Self {
                namespace: name.namespace.clone(),
                pod: name.name.clone(),
                workload: name.workload.as_ref().map(|workload| workload.name.clone()).unwrap_or_default(),
            },
            None => Self { namespace: String::new(), pod: pod.uid.clone(), workload: String::new() },
        }
    }

    /// Without the pod: its series are those of its namespace and workload.
    pub(super) fn without_pod(self) -> Self {
        Self { pod: String::new(), ..self }
    }

    /// All pods above the limit; no pod can have this name.
    pub(super) fn other() -> Self {
        Self { namespace: String::new(), pod: "~other".to_owned(), workload: String::new() }
    }

    /// Label values of a series without a label of its own.
    pub(super) fn plain(&self) -> [&str; 3] {
        [&self.namespace, &self.pod, &self.workload]
    }

    /// Label values of a series with one label of its own.
    pub(super) fn with<'a>(&'a self, value: &'a str) -> [&'a str; 4] {
        [&self.namespace, &self.pod, &self.workload, value]
    }
}

/// Makes families in a registry. Families about pods have the pod's labels before their own.
pub(super) struct Maker<'a>(pub(super) &'a Registry);

impl Maker<'_> {
    pub(super) fn pod_histogram(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        buckets: Buckets,
    ) -> Result<HistogramVec> {
        let options = HistogramOpts::new(name, help).buckets(buckets.bounds()?);
        self.register(HistogramVec::new(options, &pod_labels(labels))?)
    }

    pub(super) fn pod_counter(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec> {
        self.counters(name, help, &pod_labels(labels))
    }

    pub(super) fn pod_seconds(&self, name: &str, help: &str, labels: &[&str]) -> Result<CounterVec> {
        self.seconds(name, help, &pod_labels(labels))
    }

    pub(super) fn pod_gauge(&self, name: &str, help: &str, labels: &[&str]) -> Result<GaugeVec> {
        self.gauge(name, help, &pod_labels(labels))
    }

    pub(super) fn counter(&self, name: &str, help: &str) -> Result<IntCounter> {
        self.register(IntCounter::new(name, help)?)
    }

    pub(super) fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec> {
        self.register(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    pub(super) fn seconds(&self, name: &str, help: &str, labels: &[&str]) -> Result<CounterVec> {
        self.register(CounterVec::new(Opts::new(name, help), labels)?)
    }

    pub(super) fn gauge(&self, name: &str, help: &str, labels: &[&str]) -> Result<GaugeVec> {
        self.register(GaugeVec::new(Opts::new(name, help), labels)?)
    }

    fn register<C: Collector + Clone + 'static>(&self, collector: C) -> Result<C> {
        self.0.register(Box::new(collector.clone()))?;
        Ok(collector)
    }
}

fn pod_labels<'a>(labels: &[&'a str]) -> Vec<&'a str> {
    PodLabels::NAMES.into_iter().chain(labels.iter().copied()).collect()
}

/// Seconds from nanoseconds.
#[expect(clippy::cast_precision_loss, reason = "exact to the nanosecond below 2^53 ns, 104 days")]
pub(super) fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel adds up is counted by its bounds.
    #[test]
    fn the_first_buckets_of_requests_are_those_of_the_kernel() {
        let bounds = tracer_ebpf::fold::BOUNDS.map(seconds);
        assert_eq!(REQUEST_BUCKETS[..bounds.len()], bounds);
    }
}
