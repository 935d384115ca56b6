//! A request's total, split over the stages so that they add up to the nanosecond.

use super::{AttributedCall, CallKind};
use crate::flow::Messages;

/// Nanoseconds per stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stages {
    /// First to last byte of the request.
    pub receive: u64,
    /// Waiting for DNS lookups.
    pub dns: u64,
    /// Waiting for connections to be set up.
    pub connect: u64,
    /// Waiting for the metadata service, connects to it included.
    pub metadata: u64,
    /// Waiting for other servers.
    pub upstream: u64,
    /// What no call covers: the pod's own time.
    pub own: u64,
    /// First to last byte of the response.
    pub send: u64,
}

impl Stages {
    /// Names of the stages, in the order of [`Stages::values`].
    pub const NAMES: [&str; 7] = ["receive", "dns", "connect", "metadata", "upstream", "self", "send"];

    /// The stages in the order of [`Stages::NAMES`].
    #[must_use]
    pub fn values(&self) -> [u64; 7] {
        [self.receive, self.dns, self.connect, self.metadata, self.upstream, self.own, self.send]
    }

    /// Their sum.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.values().iter().sum()
    }

    /// Adds another request's stages.
    pub fn add(&mut self, other: &Self) {
        self.receive += other.receive;
        self.dns += other.dns;
        self.connect += other.connect;
        self.metadata += other.metadata;
        self.upstream += other.upstream;
        self.own += other.own;
        self.send += other.send;
    }

    /// Splits a request's total.
    ///
    /// The window between the last byte in and the first byte out is cut where calls begin and end. In each
    /// piece every kind weighs at most 1 (overlapping calls of one kind count once, a call shared by n
    /// requests weighs 1/n); when the weights exceed 1 together, the piece is split in their proportion; what
    /// is left is `self`.
    #[must_use]
    pub fn of(messages: &Messages, calls: &[AttributedCall]) -> Self {
        let t0 = messages.request_first;
        let t3 = messages.response_last.max(t0);
        let t2 = messages.response_first.clamp(t0, t3);
        let t1 = messages.request_last.clamp(t0, t2);
        let mut stages = Self { receive: t1 - t0, send: t3 - t2, ..Self::default() };
        if calls.is_empty() {
            stages.own = t2 - t1;
            return stages;
        }
        let waits = waits(t1, t2, calls);
        let mut left = t2 - t1;
        for (slot, wait) in [&mut stages.dns, &mut stages.connect, &mut stages.metadata, &mut stages.upstream]
            .into_iter()
            .zip(waits)
        {
            *slot = nanoseconds(wait).min(left);
            left -= *slot;
        }
        stages.own = left;
        stages
    }
}

/// Nanoseconds of waiting per call kind within `t1..t2`, in the order of [`CallKind::ALL`].
#[expect(clippy::cast_precision_loss, reason = "durations stay below 2^53 ns, 104 days")]
fn waits(t1: u64, t2: u64, calls: &[AttributedCall]) -> [f64; 4] {
    let mut cuts: Vec<u64> =
        calls.iter().flat_map(|c| [c.call.start, c.call.end]).map(|t| t.clamp(t1, t2)).chain([t1, t2]).collect();
    cuts.sort_unstable();
    cuts.dedup();
    let mut waits = [0.0; 4];
    for (&from, &to) in cuts.iter().zip(cuts.iter().skip(1)) {
        let weights = weights(from, to, calls);
        let sum: f64 = weights.iter().sum();
        let scale = if sum > 1.0 { 1.0 / sum } else { 1.0 };
        for (wait, weight) in waits.iter_mut().zip(weights) {
            *wait += weight * scale * (to - from) as f64;
        }
    }
    waits
}

fn weights(from: u64, to: u64, calls: &[AttributedCall]) -> [f64; 4] {
    CallKind::ALL.map(|kind| {
        let covering = calls.iter().filter(|c| c.call.kind == kind && c.call.start <= from && c.call.end >= to);
        covering.map(|c| 1.0 / f64::from(c.requests.max(1))).sum::<f64>().min(1.0)
    })
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a non-negative duration below 2^53")]
fn nanoseconds(wait: f64) -> u64 {
    wait.round() as u64
}

#[cfg(test)]
#[path = "breakdown_tests.rs"]
mod tests;
