//! A request's total, split over the stages so that they add up to the nanosecond.

use super::AttributedCall;
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

    /// What was added since these sums were `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            receive: self.receive.saturating_sub(earlier.receive),
            dns: self.dns.saturating_sub(earlier.dns),
            connect: self.connect.saturating_sub(earlier.connect),
            metadata: self.metadata.saturating_sub(earlier.metadata),
            upstream: self.upstream.saturating_sub(earlier.upstream),
            own: self.own.saturating_sub(earlier.own),
            send: self.send.saturating_sub(earlier.send),
        }
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
            *slot = wait.min(left);
            left -= *slot;
        }
        stages.own = left;
        stages
    }
}

/// The weight 1 in integers, so that adding and subtracting is exact.
const ONE: u64 = 1 << 31;

/// Nanoseconds of waiting per call kind within `t1..t2`, in the order of [`super::CallKind::ALL`].
fn waits(t1: u64, t2: u64, calls: &[AttributedCall]) -> [u64; 4] {
    let mut events: Vec<(u64, usize, bool, u64)> = Vec::with_capacity(2 * calls.len());
    for attributed in calls {
        let call = &attributed.call;
        let (start, end) = (call.start.clamp(t1, t2), call.end.clamp(t1, t2));
        if start < end {
            let weight = ONE / u64::from(attributed.requests.max(1));
            let kind = call.kind as usize;
            events.extend([(start, kind, true, weight), (end, kind, false, weight)]);
        }
    }
    // Those of the same time are added up before the next piece, in whatever order.
    events.sort_unstable_by_key(|(time, ..)| *time);
    let (mut at, mut covering, mut waits) = (t1, [0u64; 4], [0u128; 4]);
    for (time, kind, begins, weight) in events {
        if time > at {
            add(&mut waits, covering, time - at);
            at = time;
        }
        covering[kind] = if begins { covering[kind] + weight } else { covering[kind] - weight };
    }
    waits.map(|wait| u64::try_from((wait + u128::from(ONE / 2)) / u128::from(ONE)).unwrap_or(u64::MAX))
}

/// Adds a piece of `length` nanoseconds that calls of these weights cover.
fn add(waits: &mut [u128; 4], covering: [u64; 4], length: u64) {
    let weights = covering.map(|weight| weight.min(ONE));
    let sum: u64 = weights.iter().sum();
    for (wait, weight) in waits.iter_mut().zip(weights) {
        let share = if sum > ONE { weight * ONE / sum } else { weight };
        *wait += u128::from(share) * u128::from(length);
    }
}

#[cfg(test)]
#[path = "breakdown_tests.rs"]
mod tests;
