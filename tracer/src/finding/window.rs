//! Evidence over a period: a sliding minute in buckets of ten seconds, or everything.

use std::collections::VecDeque;

/// Length of a bucket.
const BUCKET: u64 = 10_000_000_000;
/// Buckets that count.
const BUCKETS: usize = 6;

/// Evidence that adds up.
pub(super) trait Merge: Default {
    /// Adds `other`, which is newer.
    fn merge(&mut self, other: &Self);
}

/// Over which time findings judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// The last minute: tracing goes on and on, and findings come and go.
    LastMinute,
    /// Everything since tracing began.
    WholeRun,
}

/// The evidence of a period.
#[derive(Debug)]
pub(super) struct Window<T> {
    period: Period,
    buckets: VecDeque<(u64, T)>,
}

impl<T: Merge> Window<T> {
    /// No evidence yet.
    pub(super) fn new(period: Period) -> Self {
        Self { period, buckets: VecDeque::new() }
    }

    /// The evidence of the bucket in which `time` lies. Evidence that comes late counts to the newest.
    pub(super) fn at(&mut self, time: u64) -> &mut T {
        let number = match self.period {
            Period::LastMinute => time / BUCKET,
            Period::WholeRun => 0,
        };
        if self.buckets.back().is_none_or(|(newest, _)| *newest < number) {
            self.buckets.push_back((number, T::default()));
            while self.buckets.len() > BUCKETS {
                self.buckets.pop_front();
            }
        }
        let newest = self.buckets.len() - 1;
        &mut self.buckets[newest].1
    }

    /// The sum over the period that ends at `now`.
    pub(super) fn sum(&self, now: u64) -> T {
        let oldest = match self.period {
            Period::LastMinute => (now / BUCKET).saturating_sub(BUCKETS as u64),
            Period::WholeRun => 0,
        };
        let mut sum = T::default();
        for (_, evidence) in self.buckets.iter().filter(|(number, _)| *number >= oldest) {
            sum.merge(evidence);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Merge for u64 {
        fn merge(&mut self, other: &Self) {
            *self += other;
        }
    }

    #[test]
    fn evidence_older_than_a_minute_is_forgotten() {
        let mut window = Window::<u64>::new(Period::LastMinute);
        for second in 0..120 {
            *window.at(second * 1_000_000_000) += 1;
        }
        assert_eq!(window.sum(119_000_000_000), 60);
        assert_eq!(window.sum(400_000_000_000), 0);
    }

    #[test]
    fn a_whole_run_forgets_nothing() {
        let mut window = Window::<u64>::new(Period::WholeRun);
        for second in 0..120 {
            *window.at(second * 1_000_000_000) += 1;
        }
        assert_eq!(window.sum(400_000_000_000), 120);
        assert_eq!(window.buckets.len(), 1);
    }
}
