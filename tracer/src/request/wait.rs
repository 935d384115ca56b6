//! How long requests and calls wait before they settle.

/// After its newest record, how long a final request or a call waits: Linux delays the acknowledgment that
/// brings a record by 200 ms at most (`TCP_DELACK_MAX`); and a tick or two.
pub const SETTLE: u64 = 300_000_000;
/// How long an answered request waits that is not final: a response may pause.
pub(super) const OPEN_SETTLE: u64 = 2_000_000_000;
/// How long an answered request waits whose client has closed its window: the kernel says when it opens.
const STALLED_SETTLE: u64 = 60_000_000_000;
/// How much longer a request waits for another request's answer to tell whose a call was.
pub(super) const PATIENCE: u64 = 2_000_000_000;
/// Round-trip time that is waited for at most.
const FAR: u64 = 2_000_000_000;
/// How long the largest round-trip time counts at least; at most twice as long.
const LATELY: u64 = 30_000_000_000;

/// What its newest record says about the rest of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// There is none: the flow's next exchange has begun, or the flow is closed.
    None,
    /// More of the response may come.
    Possible,
    /// More will come: the receiver has closed its window.
    Certain,
}

/// The largest round-trip time lately: the acknowledgment, and with it the record, comes that much later.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Farthest {
    since: u64,
    now: u64,
    before: u64,
}

impl Farthest {
    /// A client is this far away.
    pub(super) fn see(&mut self, srtt_us: u32) {
        self.now = self.now.max(u64::from(srtt_us) * 1000);
    }

    /// Forgets what is long ago.
    pub(super) fn advance(&mut self, now: u64) {
        if now.saturating_sub(self.since) >= LATELY {
            *self = Self { since: now, now: 0, before: self.now };
        }
    }

    /// Nanoseconds.
    fn get(&self) -> u64 {
        self.now.max(self.before).min(FAR)
    }
}

/// What is due at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due {
    pub(super) now: u64,
    settle: u64,
}

impl Due {
    pub(super) fn at(now: u64, farthest: &Farthest) -> Self {
        Self { now, settle: SETTLE + farthest.get() }
    }

    /// Whether a call, or a request that is final, has waited long enough since its newest record.
    pub(super) fn is_over(&self, emitted: u64) -> bool {
        self.now.saturating_sub(emitted) >= self.settle
    }

    /// The same of a request.
    pub(super) fn request(&self, emitted: u64, rest: Rest) -> bool {
        self.now.saturating_sub(emitted) >= self.wait(rest)
    }

    /// Whether a request that has waited may wait on for another's answer.
    pub(super) fn is_patient(&self, emitted: u64, rest: Rest) -> bool {
        self.now.saturating_sub(emitted) < self.wait(rest) + PATIENCE
    }

    fn wait(&self, rest: Rest) -> u64 {
        match rest {
            Rest::None => self.settle,
            Rest::Possible => self.settle.max(OPEN_SETTLE),
            Rest::Certain => STALLED_SETTLE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_farthest_client_counts_for_a_while() {
        let mut farthest = Farthest::default();
        farthest.see(250_000);
        farthest.see(100);
        assert_eq!(farthest.get(), 250_000_000);
        farthest.advance(LATELY);
        assert_eq!(farthest.get(), 250_000_000);
        farthest.advance(2 * LATELY);
        assert_eq!(farthest.get(), 0);
        farthest.see(u32::MAX);
        assert_eq!(farthest.get(), FAR);
    }
}
