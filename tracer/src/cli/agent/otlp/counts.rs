//! What became of what was to be sent.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What can become of a span or of an export of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli::agent) enum Fate {
    /// The collector took it.
    Sent,
    /// Too many waited.
    QueueFull,
    /// The collector was there and did not want it.
    Rejected,
    /// The collector could not be reached, for longer than is tried.
    Failed,
}

impl Fate {
    /// All of them.
    pub(in crate::cli::agent) const ALL: [Self; 4] =
        [Self::Sent, Self::QueueFull, Self::Rejected, Self::Failed];

    /// As a label value.
    pub(in crate::cli::agent) fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::QueueFull => "queue_full",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
        }
    }
}

/// By fate.
#[derive(Debug, Default)]
pub(in crate::cli::agent) struct Counts {
    spans: [AtomicU64; 4],
    metrics: [AtomicU64; 4],
}

impl Counts {
    pub(super) fn spans(&self, fate: Fate, count: u64) {
        self.spans[fate as usize].fetch_add(count, Relaxed);
    }

    pub(super) fn metrics(&self, fate: Fate, count: u64) {
        self.metrics[fate as usize].fetch_add(count, Relaxed);
    }

    /// Signal (`spans` or `metrics`, the latter exports), fate and count of everything so far.
    pub(in crate::cli::agent) fn all(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        let of = |signal, counts: &[AtomicU64; 4]| {
            Fate::ALL.map(|fate| (signal, fate.name(), counts[fate as usize].load(Relaxed)))
        };
        of("spans", &self.spans).into_iter().chain(of("metrics", &self.metrics))
    }
}
