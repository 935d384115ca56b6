//! What the kernel may fold: the quick requests of busy pods.
//!
//! Requests that come one by one cost as much each as there is to know of them. A pod that answers thousands per second has
//! no reader for each: above a rate, those that are quick for that pod are added up where they happen, and the slowest few
//! of a hundred still come one by one.

use std::collections::VecDeque;

use tracer_ebpf::fold::{BOUNDS, PLACES};

use super::Engine;
use crate::request::folded::{BUCKETS, Folded};

/// What can be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Folding {
    /// Requests per second of a pod from which on they are folded.
    pub above: u32,
    /// What takes longer than this is never folded, nanoseconds.
    pub longest: u64,
}

/// Something for the programs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// What is in this cgroup belongs to the pod at this place.
    Place {
        /// cgroup v2 id.
        cgroup: u64,
        /// Place of its pod.
        place: u32,
    },
    /// Nothing is known of this cgroup any more.
    Forget {
        /// cgroup v2 id.
        cgroup: u64,
    },
    /// Fold what takes less.
    Below {
        /// Place of the pod.
        place: u32,
        /// Nanoseconds; 0 for nothing.
        nanoseconds: u64,
    },
}

const SECOND: u64 = 1_000_000_000;
/// Over what time a rate is measured, at least.
const WINDOW: u64 = SECOND / 4;
/// Once folded, a pod stays so until its rate is a half of what it takes.
const HYSTERESIS: u64 = 2;
/// Of a hundred requests, so many are quick at least.
const QUICK_PERCENT: u64 = 98;

/// Who has which place, and what is to be told to the programs.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Nothing is folded and nobody has a place without it.
    pub(super) folding: Option<Folding>,
    /// Each request must be told of for the moment.
    pub(super) is_held: bool,
    /// Something may have been folded.
    has_folded: bool,
    /// Given back, in this order. A flow of a pod that was forgotten may still look at its place, so it stays empty as long
    /// as there are others.
    free: VecDeque<u32>,
    taken: u32,
    orders: Vec<Order>,
}

impl Places {
    /// A place for a pod; `None` when there are no more: it is not folded then.
    pub(super) fn take(&mut self) -> Option<u32> {
        self.folding?;
        // The first place is that of no pod.
        let next = self.taken + 1;
        if next == PLACES {
            return self.free.pop_front();
        }
        self.taken = next;
        Some(next)
    }

    /// A cgroup is of the pod at `place`.
    pub(super) fn place(&mut self, cgroup: u64, place: Option<u32>) {
        self.orders.extend(place.map(|place| Order::Place { cgroup, place }));
    }

    /// A cgroup is no pod's any more.
    pub(super) fn forget(&mut self, cgroup: u64) {
        if self.folding.is_some() {
            self.orders.push(Order::Forget { cgroup });
        }
    }

    /// A pod is gone.
    pub(super) fn give_back(&mut self, place: Option<u32>) {
        if let Some(place) = place {
            self.below(Some(place), 0);
            self.free.push_back(place);
        }
    }

    /// From now on, fold what takes less.
    pub(super) fn below(&mut self, place: Option<u32>, nanoseconds: u64) {
        self.has_folded |= place.is_some() && nanoseconds > 0;
        self.orders.extend(place.map(|place| Order::Below { place, nanoseconds }));
    }
}

/// How many requests a pod answers, and how fast.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When it was looked at last; 0 for never.
    since: u64,
    requests: u64,
    /// By [`BOUNDS`].
    buckets: [u64; BUCKETS],
    below: u64,
}

impl Pace {
    /// A request was answered.
    pub(super) fn see(&mut self, nanoseconds: u64) {
        self.requests += 1;
        if let Some(at) = BOUNDS.iter().position(|bound| nanoseconds <= *bound) {
            self.buckets[at] += 1;
        }
    }

    /// Some were, and folded.
    pub(super) fn see_folded(&mut self, folded: &Folded) {
        self.requests += folded.count;
        for (sum, count) in self.buckets.iter_mut().zip(folded.buckets) {
            *sum += u64::from(count);
        }
    }

    /// Moves time: says below what to fold from now on, when that changes.
    ///
    /// While a call is on its way for long, who writes meanwhile must be told: see [`tracer_ebpf::fold::CALLING`].
    pub(super) fn advance(
        &mut self,
        now: u64,
        folding: Folding,
        is_calling: impl FnOnce() -> bool,
    ) -> Option<u64> {
        let before = self.below;
        if self.since == 0 {
            *self = Self { since: now, ..Self::default() };
            return None;
        }
        let elapsed = now.saturating_sub(self.since);
        if elapsed < WINDOW {
            return None;
        }
        let above = u64::from(folding.above) / if before > 0 { HYSTERESIS } else { 1 };
        let rate = u128::from(self.requests) * u128::from(SECOND) / u128::from(elapsed);
        let is_busy = rate > u128::from(above) && !is_calling();
        let below = if is_busy { self.quick().min(folding.longest) } else { 0 };
        *self = Self { since: now, below, ..Self::default() };
        (below != before).then_some(below)
    }

    /// What nearly all requests take at most.
    fn quick(&self) -> u64 {
        let mut sum = 0;
        let reached = self.buckets.iter().zip(BOUNDS).find(|(count, _)| {
            sum += **count;
            sum * 100 >= self.requests * QUICK_PERCENT
        });
        reached.map_or(BOUNDS[BUCKETS - 1], |(_, bound)| bound)
    }
}

impl<R> Engine<R> {
    /// Lets the programs fold requests; from now on there are [`Engine::orders`] for them.
    pub fn fold(&mut self, folding: Folding) {
        self.places.folding = Some(folding);
    }

    /// Whether each request must be told of for the moment: somebody looks at them one by one.
    pub fn hold_folding(&mut self, is_held: bool) {
        self.places.is_held = is_held;
    }

    /// From now on, nothing is to be folded; says whether something may have been.
    pub fn unfold(&mut self) -> bool {
        self.places.folding = None;
        for pod in &self.pods {
            self.places.below(pod.place, 0);
        }
        self.places.has_folded
    }

    /// What the programs are to be told, in this order; once.
    pub fn orders(&mut self) -> Vec<Order> {
        std::mem::take(&mut self.places.orders)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{Stages, Thread};

    const FOLDING: Folding = Folding { above: 1_000, longest: u64::MAX };

    /// After a second in which so many requests took so long each.
    fn second(pace: &mut Pace, requests: &[(u32, u64)]) -> Option<u64> {
        pace.since = pace.since.max(1);
        for (count, nanoseconds) in requests {
            (0..*count).for_each(|_| pace.see(*nanoseconds));
        }
        pace.advance(pace.since + SECOND, FOLDING, || false)
    }

    #[test]
    fn a_busy_pod_is_folded_until_it_is_half_as_busy() {
        let mut pace = Pace::default();
        assert_eq!(second(&mut pace, &[(1_000, 400_000)]), None);
        assert_eq!(second(&mut pace, &[(1_001, 400_000)]), Some(500_000));
        assert_eq!(second(&mut pace, &[(501, 400_000)]), None, "as before");
        assert_eq!(second(&mut pace, &[(500, 400_000)]), Some(0));
        assert_eq!(second(&mut pace, &[(900, 400_000)]), None);
    }

    #[test]
    fn a_pod_with_a_long_call_is_not_folded() {
        let mut pace = Pace::default();
        assert_eq!(second(&mut pace, &[(2_000, 400_000)]), Some(500_000));
        (0..2_000).for_each(|_| pace.see(400_000));
        assert_eq!(pace.advance(pace.since + SECOND, FOLDING, || true), Some(0));
    }

    #[test]
    fn the_slowest_few_of_a_hundred_are_told_of() {
        let mut pace = Pace::default();
        assert_eq!(second(&mut pace, &[(9_800, 400_000), (200, 3_000_000)]), Some(500_000));
        assert_eq!(second(&mut pace, &[(9_700, 400_000), (300, 3_000_000)]), Some(5_000_000));
        assert_eq!(second(&mut pace, &[(9_700, 400_000), (300, 3_000_000_000)]), Some(100_000_000));
    }

    #[test]
    fn what_is_folded_counts_and_what_is_slow_for_the_user_is_not() {
        let mut pace = Pace::default();
        let mut buckets = [0; BUCKETS];
        buckets[4] = 2_000;
        let folded = Folded {
            count: 2_000,
            first: 1,
            last: 2,
            longest: 9,
            stages: Stages::default(),
            thread: Thread::default(),
            buckets,
        };
        pace.advance(1, FOLDING, || false);
        pace.see_folded(&folded);
        let short = Folding { longest: 7_000_000, ..FOLDING };
        assert_eq!(pace.advance(1 + WINDOW, short, || false), Some(7_000_000));
        assert_eq!(pace.advance(2 * WINDOW, FOLDING, || false), None, "not yet");
    }

    #[test]
    fn places_are_bounded_and_used_again() {
        let mut places = Places::default();
        assert_eq!(places.take(), None, "nothing is folded");
        places.folding = Some(FOLDING);
        let taken: Vec<u32> = std::iter::from_fn(|| places.take()).collect();
        assert_eq!((taken.first(), taken.last(), taken.len()), (Some(&1), Some(&4096), 4096));
        places.place(70, Some(7));
        places.below(Some(7), 500_000);
        places.give_back(Some(7));
        assert_eq!((places.take(), places.take()), (Some(7), None));
        let orders = [
            Order::Place { cgroup: 70, place: 7 },
            Order::Below { place: 7, nanoseconds: 500_000 },
            Order::Below { place: 7, nanoseconds: 0 },
        ];
        assert_eq!(places.orders, orders);
    }
}
