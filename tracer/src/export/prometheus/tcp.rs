//! TCP connections of a pod.

use prometheus::{HistogramVec, IntCounter, IntCounterVec, Result, local::LocalHistogram};

use super::maker::{Buckets, Maker, PodLabels, seconds};

/// How a connection set-up ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectResult {
    /// The handshake ended.
    Established,
    /// The peer answered with a reset.
    Refused,
    /// No answer, or the pod gave up.
    Unanswered,
}

impl ConnectResult {
    /// Every result.
    pub const ALL: [Self; 3] = [Self::Established, Self::Refused, Self::Unanswered];

    /// Its name in labels.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Established => "established",
            Self::Refused => "refused",
            Self::Unanswered => "unanswered",
        }
    }
}

/// Who reset a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetBy {
    /// The pod.
    Pod,
    /// Its peer.
    Peer,
}

impl ResetBy {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Pod, Self::Peer];

    /// Its name in labels.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pod => "pod",
            Self::Peer => "peer",
        }
    }
}

pub(super) struct Families {
    connects: IntCounterVec,
    connect_duration: HistogramVec,
    resets: IntCounterVec,
    retransmits: IntCounterVec,
    round_trip: HistogramVec,
}

impl Families {
    pub(super) fn new(make: &Maker<'_>) -> Result<Self> {
        Ok(Self {
            connects: make.pod_counter(
                "tracer_tcp_connects_total",
                "Connections that the pod tried to open, by result.",
                &["result"],
            )?,
            connect_duration: make.pod_histogram(
                "tracer_tcp_connect_duration_seconds",
                "From the SYN to the end of the handshake, of the connections that were established.",
                &[],
                Buckets::Call,
            )?,
            resets: make.pod_counter(
                "tracer_tcp_resets_total",
                "Connections that ended with a reset, by who sent it.",
                &["by"],
            )?,
            retransmits: make.pod_counter(
                "tracer_tcp_retransmits_total",
                "Segments that the pod retransmitted.",
                &[],
            )?,
            round_trip: make.pod_histogram(
                "tracer_tcp_srtt_seconds",
                "Smoothed round-trip time of the pod's connections, of each when it closes.",
                &[],
                Buckets::RoundTrip,
            )?,
        })
    }
}

/// The series of one pod.
pub(super) struct Series {
    connects: [IntCounter; 3],
    /// Only for pods that connect.
    connect_duration: Option<LocalHistogram>,
    resets: [IntCounter; 2],
    retransmits: IntCounter,
    round_trip: LocalHistogram,
}

impl Series {
    pub(super) fn new(families: &Families, labels: &PodLabels) -> Self {
        let connects =
            |result: ConnectResult| families.connects.with_label_values(&labels.with(result.name()));
        Self {
            connects: ConnectResult::ALL.map(connects),
            connect_duration: None,
            resets: ResetBy::ALL.map(|by| families.resets.with_label_values(&labels.with(by.name()))),
            retransmits: families.retransmits.with_label_values(&labels.plain()),
            round_trip: families.round_trip.with_label_values(&labels.plain()).local(),
        }
    }

    pub(super) fn connect(
        &mut self,
        families: &Families,
        labels: &PodLabels,
        result: ConnectResult,
        nanoseconds: u64,
    ) {
        self.connects[result as usize].inc();
        if result == ConnectResult::Established {
            self.connect_duration
                .get_or_insert_with(|| families.connect_duration.with_label_values(&labels.plain()).local())
                .observe(seconds(nanoseconds));
        }
    }

    pub(super) fn reset(&self, by: ResetBy) {
        self.resets[by as usize].inc();
    }

    pub(super) fn retransmit(&self, segments: u32) {
        self.retransmits.inc_by(segments.into());
    }

    pub(super) fn round_trip(&self, microseconds: u32) {
        if microseconds > 0 {
            self.round_trip.observe(seconds(u64::from(microseconds) * 1_000));
        }
    }

    pub(super) fn flush(&self) {
        self.round_trip.flush();
        self.connect_duration.iter().for_each(LocalHistogram::flush);
    }
}

/// Removes a pod's series; those that it never had are no error.
pub(super) fn remove(families: &Families, labels: &PodLabels) {
    for result in ConnectResult::ALL {
        let _ = families.connects.remove_label_values(&labels.with(result.name()));
    }
    for by in ResetBy::ALL {
        let _ = families.resets.remove_label_values(&labels.with(by.name()));
    }
    let _ = families.connect_duration.remove_label_values(&labels.plain());
    let _ = families.retransmits.remove_label_values(&labels.plain());
    let _ = families.round_trip.remove_label_values(&labels.plain());
}
