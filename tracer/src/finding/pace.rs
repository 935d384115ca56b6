//! At which pace calls leave: from when each began, and how long a request had waited for it.
//!
//! Who waits for a limiter leaves one interval after the one before, whoever that was and however long its call
//! took. Calls settle with their requests, in no particular order, so they are kept until enough are there to be
//! sorted; of those only sums remain.

use super::window::Merge;

/// Departures that are kept before their older half becomes sums.
const KEPT: usize = 512;
/// A gap is as long as the interval when it differs by less than this part of it ...
const TOLERANCE: u64 = 20;
/// ... or by less than timers and schedulers are off.
const JITTER: u64 = 2_000_000;

/// The beginning of a call.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Departure {
    /// When.
    pub start: u64,
    /// The call's flow and its number there.
    pub call: (u64, u32),
    /// When it ended.
    pub end: u64,
    /// How long requests had been waiting for nothing but themselves, nanoseconds of all of them.
    pub waited: u64,
    /// The longest of these waits.
    pub longest: u64,
    /// Whether some request had called nothing before.
    pub is_first: bool,
    /// Whether the server refused it, or failed: who calls again waits by choice.
    pub failed: bool,
}

impl Departure {
    fn key(&self) -> (u64, (u64, u32)) {
        (self.start, self.call)
    }

    /// Adds what another request says of the same call.
    fn join(&mut self, other: &Self) {
        self.end = self.end.max(other.end);
        self.waited += other.waited;
        self.longest = self.longest.max(other.longest);
        self.is_first |= other.is_first;
        self.failed |= other.failed;
    }
}

/// The calls to one destination, as they leave.
#[derive(Clone, Debug, Default)]
pub(super) struct Departures {
    kept: Vec<Departure>,
    sums: Pace,
}

impl Departures {
    /// Takes what one request, or the call itself, says of a departure.
    pub(super) fn add(&mut self, departure: Departure) {
        self.kept.push(departure);
        self.fold();
    }

    /// Whether a request that settled of late had waited for the call.
    pub(super) fn was_waited_for(&self, call: (u64, u32)) -> bool {
        self.kept.iter().rev().take(64).any(|departure| departure.call == call && departure.waited > 0)
    }

    /// What they come to.
    pub(super) fn pace(&self) -> Pace {
        let mut kept = self.kept.clone();
        let mut pace = self.sums;
        pace.merge(&Pace::of(tidied(&mut kept)));
        pace
    }

    fn fold(&mut self) {
        if self.kept.len() < KEPT {
            return;
        }
        let different = tidied(&mut self.kept).len();
        self.kept.truncate(different);
        if let Some(older) = self.kept.get(..=KEPT / 2) {
            self.sums.merge(&Pace::of(older));
            // The last one is where the next gap begins.
            self.kept.drain(..KEPT / 2);
        }
    }
}

impl Merge for Departures {
    fn merge(&mut self, other: &Self) {
        self.sums.merge(&other.sums);
        for departure in &other.kept {
            self.add(*departure);
        }
    }
}

/// In order, each call once.
fn tidied(departures: &mut Vec<Departure>) -> &[Departure] {
    departures.sort_by_key(Departure::key);
    departures.dedup_by(|later, kept| {
        let same = later.key() == kept.key();
        if same {
            kept.join(later);
        }
        same
    });
    departures
}

/// How calls leave, in sums.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    /// Calls, and how long they took, nanoseconds.
    pub calls: u64,
    pub calls_took: u64,
    /// Gaps between two calls in which a request waited most of the time.
    pub waits: u64,
    /// The usual length of these gaps.
    pub interval: u64,
    /// Those that were as long, and their length together.
    pub paced: u64,
    pub paced_took: u64,
    /// By how much they were longer or shorter than the usual one, together; and by how much the waits of the
    /// requests were.
    pub gaps_off: u64,
    pub waits_off: u64,
    /// How long requests waited in them, together.
    pub waited: u64,
    /// How many of them ended with the first call of a request.
    pub firsts: u64,
    /// What no limiter lets happen: a call that left earlier after one that had to wait, ...
    pub early: u64,
    /// ... and one that had to wait although none had left for longer than the usual gap.
    pub late: u64,
    /// The most calls that left without waiting before calls had to wait.
    pub burst: u64,
    /// When the first of those that had to wait left.
    pub first: Option<u64>,
}

/// Two calls that follow each other.
#[derive(Clone, Copy)]
struct Gap<'a> {
    before: &'a Departure,
    after: &'a Departure,
}

impl Gap<'_> {
    fn length(&self) -> u64 {
        self.after.start - self.before.start
    }

    fn is_wait(&self) -> bool {
        self.length() > JITTER && !self.before.failed && self.after.longest >= self.length() / 2
    }

    fn is_paced(&self, interval: u64) -> bool {
        self.is_wait() && self.length().abs_diff(interval) <= tolerance(interval)
    }
}

fn tolerance(interval: u64) -> u64 {
    (interval / TOLERANCE).max(JITTER)
}

impl Pace {
    /// Of departures in order, each once.
    fn of(departures: &[Departure]) -> Self {
        let gaps = || {
            departures.windows(2).filter_map(|pair| {
                let [before, after] = pair else { return None };
                Some(Gap { before, after })
            })
        };
        let mut pace = Self {
            calls: departures.len() as u64,
            calls_took: departures.iter().map(|call| call.end.saturating_sub(call.start)).sum(),
            ..Self::default()
        };
        let interval = median(gaps().filter(Gap::is_wait).map(|gap| gap.length()));
        let wait = median(gaps().filter(|gap| gap.is_paced(interval)).map(|gap| gap.after.longest));
        pace.interval = interval;
        let (mut at_once, mut was_paced) = (1, false);
        for gap in gaps() {
            let is_wait = gap.is_wait();
            if is_wait {
                pace.burst = pace.burst.max(at_once);
            }
            at_once = if is_wait {
                0
            } else if gap.length() < interval {
                at_once + 1
            } else {
                1
            };
            was_paced = pace.add(gap, wait, was_paced);
        }
        pace
    }

    /// Counts a gap; whether it was as long as usual.
    fn add(&mut self, gap: Gap<'_>, wait: u64, was_paced: bool) -> bool {
        let (length, interval) = (gap.length(), self.interval);
        let is_paced = gap.is_paced(interval);
        if interval == 0 {
            return false;
        }
        self.waits += u64::from(gap.is_wait());
        self.early += u64::from(was_paced && length < interval - interval / 5);
        let is_late = !gap.before.failed && length > interval + interval / 2;
        self.late += u64::from(is_late && gap.after.longest >= interval / 2);
        if is_paced {
            self.paced += 1;
            self.paced_took += length;
            self.gaps_off += length.abs_diff(interval);
            self.waits_off += gap.after.longest.abs_diff(wait);
            self.waited += gap.after.waited;
            self.firsts += u64::from(gap.after.is_first);
            self.first = self.first.or(Some(gap.after.start));
        }
        is_paced
    }
}

impl Merge for Pace {
    /// Of two different intervals, the one with more gaps stays; the others do not count as paced any more.
    fn merge(&mut self, other: &Self) {
        let (calls, took) = (self.calls + other.calls, self.calls_took + other.calls_took);
        let waits = self.waits + other.waits;
        let same = self.interval.abs_diff(other.interval) <= tolerance(self.interval.max(other.interval));
        let (early, late) = (self.early + other.early, self.late + other.late);
        if other.paced > self.paced {
            let smaller = std::mem::replace(self, *other);
            if same {
                self.join(&smaller);
            }
        } else if same {
            self.join(other);
        }
        (self.calls, self.calls_took, self.waits) = (calls, took, waits);
        (self.early, self.late) = (early, late);
    }
}

impl Pace {
    /// Adds what was paced at the same interval.
    fn join(&mut self, other: &Self) {
        self.paced += other.paced;
        self.paced_took += other.paced_took;
        self.gaps_off += other.gaps_off;
        self.waits_off += other.waits_off;
        self.waited += other.waited;
        self.firsts += other.firsts;
        self.burst = self.burst.max(other.burst);
        self.first = [self.first, other.first].into_iter().flatten().min();
    }
}

fn median(values: impl Iterator<Item = u64>) -> u64 {
    let mut values: Vec<u64> = values.collect();
    let middle = values.len() / 2;
    if values.is_empty() { 0 } else { *values.select_nth_unstable(middle).1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// A call of 5 ms that began so many ms after the start, and for which a request had waited so long.
    fn departure(ms: u64, waited: u64) -> Departure {
        Departure {
            start: ms * MS,
            call: (ms, 1),
            end: (ms + 5) * MS,
            waited: waited * MS,
            longest: waited * MS,
            ..Departure::default()
        }
    }

    #[test]
    fn calls_that_wait_for_a_limiter_leave_one_interval_apart() {
        let mut departures = Departures::default();
        // The last is told of first: calls settle in no particular order.
        for n in (1..=20).rev() {
            departures.add(departure(100 + n * 200, 190));
        }
        for n in 0..10 {
            departures.add(departure(n * 10, 0));
        }
        let pace = departures.pace();
        assert_eq!((pace.calls, pace.interval), (30, 200 * MS));
        assert_eq!((pace.waits, pace.paced, pace.burst), (20, 20, 10));
        assert_eq!((pace.early, pace.late, pace.waited), (0, 0, 20 * 190 * MS));
        assert_eq!(pace.first, Some(300 * MS));
    }

    #[test]
    fn a_call_that_leaves_too_early_or_waits_too_late_is_counted() {
        let mut departures = Departures::default();
        for (ms, waited) in [(0, 0), (200, 190), (400, 190), (450, 0), (650, 190), (1300, 190), (1500, 190)] {
            departures.add(departure(ms, waited));
        }
        let pace = departures.pace();
        assert_eq!((pace.paced, pace.early, pace.late), (4, 1, 1));
    }

    #[test]
    fn what_several_requests_say_of_a_call_is_one_departure() {
        let mut departures = Departures::default();
        departures.add(departure(0, 0));
        for waited in [150, 199, 0] {
            departures.add(departure(200, waited));
        }
        assert!(departures.was_waited_for((200, 1)) && !departures.was_waited_for((0, 1)));
        let pace = departures.pace();
        assert_eq!((pace.calls, pace.paced, pace.waited), (2, 1, 349 * MS));
    }

    #[test]
    fn who_calls_again_after_a_refusal_waits_by_choice() {
        let mut departures = Departures::default();
        for n in 0..10 {
            departures.add(Departure { failed: true, ..departure(n * 1000, 990) });
        }
        assert_eq!(departures.pace().waits, 0);
    }

    #[test]
    fn sums_of_many_calls_are_those_of_all() {
        let mut departures = Departures::default();
        for n in 0..5000 {
            departures.add(departure(n * 200, 190));
            departures.add(departure(n * 200, 0));
        }
        assert!(departures.kept.len() < KEPT);
        let pace = departures.pace();
        assert_eq!((pace.paced, pace.waits, pace.interval), (4999, 4999, 200 * MS));
    }

    #[test]
    fn of_two_paces_the_one_with_more_calls_stays() {
        let of = |count: u64, step: u64| {
            let mut departures = Departures::default();
            (0..count).for_each(|n| departures.add(departure(n * step, step - 10)));
            departures.pace()
        };
        let mut pace = of(5, 100);
        pace.merge(&of(20, 200));
        assert_eq!((pace.interval, pace.paced, pace.waits), (200 * MS, 19, 23));
    }
}
