//! Requests of which nobody has to know more than their times: the kernel adds them up per flow, and one record tells of many.
//!
//! Such a request was answered without an error, quickly, and no call of its pod began while it was in flight or shortly
//! before: all of its time between request and response is the pod's own. What the sums and histograms of a pod show of it
//! stays exact; its place in the traffic, method, path and status are not told.

use bytemuck::{Pod, Zeroable};

use crate::{
    flow::FlowState,
    record::{flow_flag, protocol, role},
    state::clear,
};

/// Where the histogram of request durations changes its bucket, nanoseconds: a bucket has what takes longer than the bound
/// before it, and not longer than its own. What takes longer than the last is not folded.
pub const BOUNDS: [u64; 9] =
    [500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 25_000_000, 50_000_000, 75_000_000, 100_000_000];

/// The last bound.
const LONGEST: u64 = 100_000_000;

/// How old sums grow before the flow's next exchange emits them, and how long it is waited before that is tried again when the
/// ring had no room; nanoseconds.
pub const KEEP: u64 = 200_000_000;

/// For how long a pod counts as calling after a call of it began, at most; nanoseconds. Meanwhile all of its requests are
/// told of, so that userspace sees which threads work on several things at once. Of calls that take longer it knows by then.
pub const CALLING: u64 = 2_000_000_000;

/// The same, at least: the end is moved this rarely, because all CPUs read it.
pub const CALLING_AT_LEAST: u64 = 1_800_000_000;

/// Requests that one record tells of at most.
pub const MOST: u32 = 1 << 20;

/// cgroups whose pod is known, at most.
pub const CGROUPS: u32 = 16_384;

/// Pods that can be folded, and one place for all others.
pub const PLACES: u32 = 4097;

/// The place of what is of no known pod.
pub const NOWHERE: u32 = 0;

/// Answered requests of one flow, added up. Nanoseconds throughout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Sums {
    /// How many.
    pub count: u32,
    /// The longest of them, from its first byte in to its last byte out.
    pub longest: u32,
    /// First byte of the first request.
    pub first: u64,
    /// Last byte of the last response.
    pub last: u64,
    /// From first to last bytes of the requests.
    pub receive: u64,
    /// From last bytes of the requests to first bytes of the responses.
    pub own: u64,
    /// From first to last bytes of the responses.
    pub send: u64,
    /// Thread that sent the newest response; 0 when not known.
    pub thread: u32,
    /// Process of `thread`; 0 when not known.
    pub process: u32,
    /// How many took how long, see [`BOUNDS`].
    pub buckets: [u32; BOUNDS.len()],
    /// Number of the newest of them on its flow.
    pub exchange: u32,
}

/// What the host knows of the flow's pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// What took less can be folded, nanoseconds; 0 for nothing.
    pub below: u64,
    /// Until when the pod counts as calling.
    pub calling_until: u64,
}

impl FlowState {
    /// Whether the exchange that ends now, because the flow's next one begins, needs no detail.
    #[must_use]
    #[inline(always)]
    pub fn is_foldable(&self, limits: &Limits) -> bool {
        let record = &self.record;
        let is_joined = record.flags & flow_flag::JOINED != 0 && record.exchange == 1;
        let took = record.response_last.wrapping_sub(record.request_first);
        record.role == role::SERVER
            // Two CPUs may see the next exchange begin at once.
            && record.exchange != self.sums.exchange
            && self.sums.count < MOST
            && record.updates == 0
            && record.flags & !(flow_flag::FINAL | flow_flag::JOINED) == 0
            && !is_joined
            && record.request_first > limits.calling_until
            && record.request_last >= record.request_first
            && record.response_first >= record.request_last
            && record.response_last >= record.response_first
            && took < limits.below
            && took <= LONGEST
            && self.succeeded()
    }

    /// Adds the exchange to the sums instead of emitting it.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "what is longer than `LONGEST` is not folded")]
    pub fn fold(&mut self) {
        if self.sums.count == 0 {
            self.folding_since = self.record.response_last;
        }
        let record = &self.record;
        let took = record.response_last.wrapping_sub(record.request_first);
        let sums = &mut self.sums;
        if sums.count == 0 {
            sums.first = record.request_first;
        }
        sums.count = sums.count.wrapping_add(1);
        sums.exchange = record.exchange;
        sums.last = record.response_last;
        (sums.thread, sums.process) = (record.thread, record.process);
        sums.longest = sums.longest.max(took as u32);
        sums.receive = sums.receive.wrapping_add(record.request_last.wrapping_sub(record.request_first));
        sums.own = sums.own.wrapping_add(record.response_first.wrapping_sub(record.request_last));
        sums.send = sums.send.wrapping_add(record.response_last.wrapping_sub(record.response_first));
        if let Some(bucket) = sums.buckets.get_mut(bucket(took)) {
            *bucket = bucket.wrapping_add(1);
        }
        self.dirty = 0;
    }

    /// Whether there are sums to emit.
    #[must_use]
    #[inline(always)]
    pub const fn has_sums(&self) -> bool {
        self.sums.count != 0
    }

    /// Whether they are old enough, at `now`.
    #[must_use]
    #[inline(always)]
    pub const fn are_sums_due(&self, now: u64) -> bool {
        self.has_sums() && now.wrapping_sub(self.folding_since) >= KEEP
    }

    /// The ring did not take the sums at `now`: they are due again later.
    #[inline(always)]
    pub const fn keep_sums(&mut self, now: u64) {
        self.folding_since = now;
    }

    /// The sums were copied out.
    #[inline(always)]
    pub fn clear_sums(&mut self) {
        let sums = &mut self.sums;
        for field in [&mut sums.first, &mut sums.last, &mut sums.receive, &mut sums.own, &mut sums.send] {
            clear(field);
        }
        for field in [&mut sums.count, &mut sums.longest, &mut sums.thread, &mut sums.process] {
            clear(field);
        }
        for bucket in &mut sums.buckets {
            clear(bucket);
        }
    }

    /// Whether the exchange has an answer that says nothing of an error: of HTTP, a status below 400; of a protocol that
    /// is not read, any.
    #[inline(always)]
    fn succeeded(&self) -> bool {
        let [_, _, _, _, _, _, _, _, _, hundreds, ..] = self.record.response_prefix;
        let length = self.record.response_prefix_length;
        match self.record.protocol {
            protocol::OPAQUE => true,
            protocol::HTTP1 => length > 9 && (hundreds == b'2' || hundreds == b'3'),
            _ => false,
        }
    }
}

/// The bucket of a duration: the number of bounds that it is beyond.
#[inline(always)]
fn bucket(nanoseconds: u64) -> usize {
    let mut beyond = 0usize;
    for bound in BOUNDS {
        beyond = beyond.wrapping_add(usize::from(nanoseconds > bound));
    }
    beyond
}

/// The end of a pod's calling after a call that began at `time`: `None` when `until` is late enough.
#[must_use]
#[inline(always)]
pub fn calling_until(until: u64, time: u64) -> Option<u64> {
    (until < time.wrapping_add(CALLING_AT_LEAST)).then_some(time.wrapping_add(CALLING))
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "a test may panic")]
#[path = "fold_tests.rs"]
mod tests;
