//! Evidence over a period: a sliding minute in buckets of ten seconds, or everything.

use std::{
    collections::{BTreeMap, VecDeque, btree_map::Entry},
    net::SocketAddr,
};

/// Length of a bucket.
const BUCKET: u64 = 10_000_000_000;
/// Buckets that count.
const BUCKETS: usize = 6;
/// Destinations that a tally tells apart; what goes to further ones is not counted.
pub(super) const DESTINATION_LIMIT: usize = 32;

/// Evidence that adds up.
pub(super) trait Merge: Default {
    /// Adds `other`, which is newer.
    fn merge(&mut self, other: &Self);

    /// What the next bucket begins with: what stays true however long ago it was seen, such as what a name stands for.
    fn carry(&self) -> Self {
        Self::default()
    }
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
    /// The newest of [`Window::older`].
    newest: (u64, T),
    older: VecDeque<(u64, T)>,
}

impl<T: Merge> Window<T> {
    /// No evidence yet.
    pub(super) fn new(period: Period) -> Self {
        Self { period, newest: (0, T::default()), older: VecDeque::new() }
    }

    /// The evidence of the bucket in which `time` lies. Evidence that comes late counts to the newest.
    pub(super) fn at(&mut self, time: u64) -> &mut T {
        let number = match self.period {
            Period::LastMinute => time / BUCKET,
            Period::WholeRun => 0,
        };
        if self.newest.0 < number {
            let next = (number, self.newest.1.carry());
            self.older.push_back(std::mem::replace(&mut self.newest, next));
            if self.older.len() >= BUCKETS {
                self.older.pop_front();
            }
        }
        &mut self.newest.1
    }

    /// The sum over the period that ends at `now`.
    pub(super) fn sum(&self, now: u64) -> T {
        let oldest = match self.period {
            Period::LastMinute => (now / BUCKET).saturating_sub(BUCKETS as u64),
            Period::WholeRun => 0,
        };
        let mut sum = T::default();
        for (_, evidence) in self.older.iter().chain([&self.newest]).filter(|(number, _)| *number >= oldest) {
            sum.merge(evidence);
        }
        sum
    }
}

/// A tally per destination, [`DESTINATION_LIMIT`] at most.
#[derive(Debug)]
pub(super) struct PerDestination<T>(BTreeMap<SocketAddr, T>);

impl<T> Default for PerDestination<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T: Merge> PerDestination<T> {
    /// The tally of a destination, unless there are too many.
    pub(super) fn at(&mut self, destination: SocketAddr) -> Option<&mut T> {
        let room = self.0.len() < DESTINATION_LIMIT;
        match self.0.entry(destination) {
            Entry::Occupied(known) => Some(known.into_mut()),
            Entry::Vacant(new) => room.then(|| new.insert(T::default())),
        }
    }

    /// Each with its tally.
    pub(super) fn iter(&self) -> impl Iterator<Item = (SocketAddr, &T)> {
        self.0.iter().map(|(destination, tally)| (*destination, tally))
    }
}

impl<T: Merge> Merge for PerDestination<T> {
    fn merge(&mut self, other: &Self) {
        for (destination, tally) in other.iter() {
            if let Some(sum) = self.at(destination) {
                sum.merge(tally);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

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
        assert!(window.older.is_empty());
    }

    #[test]
    fn destinations_are_bounded() {
        let address = |port| SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
        let mut tally = PerDestination::<u64>::default();
        for port in 0..100 {
            if let Some(count) = tally.at(address(port)) {
                *count += 1;
            }
        }
        assert_eq!(tally.iter().count(), DESTINATION_LIMIT);
        assert!(tally.at(address(1)).is_some() && tally.at(address(99)).is_none());
    }
}
