//! Prometheus metrics of the traced pods and of tracer itself, in text format 0.0.4.
//!
//! [`Metrics`] is fed by one thread and keeps the handles of each pod's series, so that an observation costs
//! one look-up and some additions. What it collects becomes visible with [`Metrics::flush`]; an
//! [`Exposition`] renders it on any thread without holding up the other.

mod call;
mod dns;
mod maker;
mod metadata;
mod naming;
mod own;
mod pod;
mod request;
mod tcp;

use std::{
    collections::{BTreeSet, hash_map::Entry},
    sync::Arc,
};

use prometheus::{Registry, Result, TextEncoder, proto::MetricFamily};
use rustc_hash::FxHashMap;

pub use self::tcp::{ConnectResult, ResetBy};
use self::{
    maker::PodLabels,
    pod::{Families, PodSeries},
};
use crate::{
    pod::{Pod, names::Status},
    request::{
        Attribution, Call, Marks, Request,
        folded::Folded,
        totals::{Accounting, PacketAccounting},
    },
};

/// Content type of what [`Exposition::render`] returns.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Pods with series of their own; a Kubernetes node has 110 by default.
pub const POD_LIMIT: usize = 1_000;

/// Everything that is counted for Prometheus.
pub struct Metrics {
    registry: Registry,
    families: Families,
    /// Looked up for every request, so with a fast hash; the kubelet chose the keys.
    pods: FxHashMap<Arc<Pod>, PodSeries>,
    pod_limit: usize,
    /// Whether series tell pods apart.
    has_pod_label: bool,
    /// Where the pods above the limit are counted.
    other: PodSeries,
    /// Every finding that a pod was said to have or not to have.
    findings: BTreeSet<&'static str>,
}

impl Metrics {
    /// With series for at most `pod_limit` pods ([`POD_LIMIT`]); the others share one, `pod="~other"`.
    ///
    /// # Errors
    /// When a family's name or labels are not valid: never, for those that are compiled in.
    pub fn new(pod_limit: usize) -> Result<Self> {
        let registry = Registry::new();
        let families = Families::new(&registry)?;
        Ok(Self {
            registry,
            families,
            pods: FxHashMap::default(),
            pod_limit,
            has_pod_label: true,
            other: PodSeries::new(PodLabels::other()),
            findings: BTreeSet::new(),
        })
    }

    /// With series that tell only namespaces and workloads apart: those of their pods are added up, from the first
    /// observation on.
    #[must_use]
    pub fn without_pod_label(mut self) -> Self {
        self.has_pod_label = false;
        self.other = PodSeries::new(PodLabels::other().without_pod());
        self
    }

    /// Counts a settled request; one that was never answered has no duration, and is an oddity only.
    pub fn settled(&mut self, request: &Request) {
        if request.marks.has(Marks::UNANSWERED) {
            return;
        }
        let (series, families) = self.pod(&request.pod);
        series.settled(families, request);
    }

    /// Counts requests that the kernel added up.
    pub fn folded(&mut self, pod: &Arc<Pod>, folded: &Folded) {
        let (series, families) = self.pod_of(pod, folded.count);
        series.folded(families, folded);
    }

    /// Counts an ended call, once.
    pub fn call(&mut self, pod: &Arc<Pod>, call: &Call, attribution: Attribution) {
        let (series, families) = self.pod(pod);
        series.ended(families, call, attribution);
    }

    /// Counts a connection set-up of the pod that took `nanoseconds`.
    pub fn tcp_connect(&mut self, pod: &Arc<Pod>, result: ConnectResult, nanoseconds: u64) {
        let (series, families) = self.pod(pod);
        series.connect(families, result, nanoseconds);
    }

    /// Counts a connection that ended with a reset.
    pub fn tcp_reset(&mut self, pod: &Arc<Pod>, by: ResetBy) {
        let (series, families) = self.pod(pod);
        series.tcp(families).reset(by);
    }

    /// Counts segments that the pod retransmitted since the last call for the same flow.
    pub fn tcp_retransmits(&mut self, pod: &Arc<Pod>, segments: u32) {
        let (series, families) = self.pod(pod);
        series.tcp(families).retransmit(segments);
    }

    /// Observes the smoothed round-trip time of a flow; 0 is "not known" and not counted.
    pub fn tcp_round_trip(&mut self, pod: &Arc<Pod>, microseconds: u32) {
        let (series, families) = self.pod(pod);
        series.tcp(families).round_trip(microseconds);
    }

    /// Says whether a pod has a finding; call it for each known finding, so that its series begins with 0.
    pub fn finding(&mut self, pod: &Arc<Pod>, id: &'static str, active: bool) {
        self.findings.insert(id);
        let (series, families) = self.pod(pod);
        series.finding(families, id, active);
    }

    /// Sets tracer's own accounting; its numbers only grow.
    pub fn accounting(&mut self, accounting: &Accounting) {
        self.families.own.accounting(accounting);
    }

    /// Sets what became of the packets for captures; its numbers only grow.
    pub fn packets(&self, accounting: PacketAccounting) {
        self.families.own.packets(accounting);
    }

    /// Sets the number of captures that ended because their reader was too slow; it only grows.
    pub fn captures_dropped(&self, count: u64) {
        self.families.own.captures_dropped(count);
    }

    /// Sets how the sources of names are doing; its numbers of errors only grow.
    pub fn naming(&mut self, status: &Status) {
        self.families.naming.set(status);
    }

    /// Sets the run time and runs of a BPF program since it was loaded.
    pub fn program(&mut self, name: &str, run_nanoseconds: u64, runs: u64) {
        self.families.own.program(name, run_nanoseconds, runs);
    }

    /// Sets how many items of an OTLP signal met a result; the numbers only grow.
    pub fn exported(&mut self, signal: &str, result: &str, count: u64) {
        self.families.own.exported(signal, result, count);
    }

    /// Removes the series of a pod that is gone, unless another pod of the same name still has them.
    pub fn forget(&mut self, pod: &Pod) {
        let Some(mut series) = self.pods.remove(pod) else { return };
        // What others go on counting must not lose what this one counted.
        series.flush();
        if !self.pods.values().any(|other| other.labels() == series.labels()) {
            series.remove(&self.families, self.findings.iter().copied());
        }
    }

    /// Makes everything counted so far visible.
    pub fn flush(&mut self) {
        for series in self.pods.values_mut().chain([&mut self.other]) {
            series.flush();
        }
    }

    /// A handle that renders what was flushed.
    #[must_use]
    pub fn exposition(&self) -> Exposition {
        Exposition { registry: self.registry.clone() }
    }

    /// Everything counted so far, as text.
    ///
    /// # Errors
    /// When the encoder refuses a family: never, for those that are compiled in.
    pub fn render(&mut self) -> Result<String> {
        self.flush();
        self.exposition().render()
    }

    /// Everything counted so far, as families.
    pub fn gather(&mut self) -> Vec<MetricFamily> {
        self.flush();
        self.registry.gather()
    }

    fn pod(&mut self, pod: &Arc<Pod>) -> (&mut PodSeries, &Families) {
        self.pod_of(pod, 1)
    }

    /// The series for so many observations of a pod.
    fn pod_of(&mut self, pod: &Arc<Pod>, observations: u64) -> (&mut PodSeries, &Families) {
        let room = self.pods.len() < self.pod_limit;
        let series = match self.pods.entry(Arc::clone(pod)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) if room => {
                let labels = PodLabels::of(pod);
                new.insert(PodSeries::new(if self.has_pod_label { labels } else { labels.without_pod() }))
            }
            Entry::Vacant(_) => {
                self.families.own.overflow.inc_by(observations);
                &mut self.other
            }
        };
        (series, &self.families)
    }
}

/// Renders the metrics; cheap to clone.
#[derive(Clone)]
pub struct Exposition {
    registry: Registry,
}

impl Exposition {
    /// What was flushed, as text of type [`CONTENT_TYPE`].
    ///
    /// # Errors
    /// When the encoder refuses a family: never, for those that are compiled in.
    pub fn render(&self) -> Result<String> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

#[cfg(test)]
#[path = "docs_tests.rs"]
mod docs_tests;
#[cfg(test)]
#[path = "tests.rs"]
mod tests;
