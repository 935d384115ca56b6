//! Requests that the kernel added up: quick, without an error, of a pod that was not calling anybody.

use tracer_ebpf::{
    fold::{BOUNDS, MOST},
    record::FoldedRecord,
};

use super::{Stages, Thread, pod::LONGEST};

/// Buckets of [`Folded::buckets`].
pub const BUCKETS: usize = BOUNDS.len();

/// Answered requests of one flow of which only this is known. They made no calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Folded {
    /// How many; at least one.
    pub count: u64,
    /// First byte of the first one.
    pub first: u64,
    /// Last byte of the last one's response.
    pub last: u64,
    /// The longest of them, nanoseconds.
    pub longest: u64,
    /// Their stages, added up: `receive`, `self` and `send`.
    pub stages: Stages,
    /// Who wrote the newest response.
    pub thread: Thread,
    /// How many took how long, by [`BOUNDS`].
    pub buckets: [u32; BUCKETS],
}

impl Folded {
    /// What a record tells; `None` when its numbers do not fit each other, or it has none.
    #[must_use]
    pub fn of(record: &FoldedRecord) -> Option<Self> {
        let sums = &record.sums;
        let stages = Stages { receive: sums.receive, own: sums.own, send: sums.send, ..Stages::default() };
        let folded = Self {
            count: sums.count.into(),
            first: sums.first,
            last: sums.last,
            longest: sums.longest.into(),
            stages,
            thread: Thread { thread: sums.thread, process: sums.process },
            buckets: sums.buckets,
        };
        folded.is_consistent().then_some(folded)
    }

    fn is_consistent(&self) -> bool {
        let [receive, _, _, _, _, own, send] = self.stages.values();
        let total = receive.checked_add(own).and_then(|sum| sum.checked_add(send));
        let (least, most) = self.extremes();
        // A flow has one request at a time, but for what two CPUs see of the end of one and the beginning of the next.
        let span = self.last.checked_sub(self.first).filter(|span| *span <= LONGEST);
        let span = span.map(|span| span + self.count * OVERLAP);
        let slowest = self.buckets.iter().zip(BUCKET_ENDS).rev().find(|(count, _)| **count > 0);
        (1..=u64::from(MOST)).contains(&self.count)
            && self.buckets.iter().copied().map(u64::from).sum::<u64>() == self.count
            && slowest.is_some_and(|(_, (from, to))| (from..=to).contains(&self.longest))
            && total.zip(span).is_some_and(|(total, span)| (least..=most.min(span)).contains(&total))
    }

    /// Durations, each with the number of requests that it stands for: as many in each bucket as there were, and the sum of
    /// all is that of the requests, to the nanosecond.
    pub fn durations(&self) -> impl Iterator<Item = (u64, u32)> {
        let (least, most) = self.extremes();
        let (above, room) = (self.stages.total() - least, (most - least).max(1));
        // Each duration is as far from its bucket's lower end to the upper one as the sum is from the least that it can be
        // to the most. Rounding leaves less than a nanosecond of each, which some of them get.
        let shares = BUCKET_ENDS.map(|(from, to)| from + share(to - from, above, room));
        let counted = shares.iter().zip(self.buckets).map(|(each, count)| each * u64::from(count));
        let mut left = self.stages.total() - counted.sum::<u64>();
        shares.into_iter().zip(self.buckets).zip(BUCKET_ENDS).flat_map(move |((each, count), (_, to))| {
            let longer = if each < to { u32::try_from(left).unwrap_or(u32::MAX).min(count) } else { 0 };
            left -= u64::from(longer);
            [(each + 1, longer), (each, count - longer)]
        })
    }

    /// The least and the most that so many requests in these buckets can take together.
    fn extremes(&self) -> (u64, u64) {
        let ends = self.buckets.iter().zip(BUCKET_ENDS);
        ends.fold((0, 0), |(least, most), (count, (from, to))| {
            let count = u64::from(*count);
            (least + count * from, most + count * to)
        })
    }
}

/// Nanoseconds that a request and the next one of its flow may overlap.
const OVERLAP: u64 = 1_000;

/// The shortest and the longest duration of each bucket, nanoseconds.
const BUCKET_ENDS: [(u64, u64); BUCKETS] = {
    let mut ends = [(0, BOUNDS[0]); BUCKETS];
    let mut at = 1;
    while at < BUCKETS {
        ends[at] = (BOUNDS[at - 1] + 1, BOUNDS[at]);
        at += 1;
    }
    ends
};

/// `part / whole` of `length`, rounded down.
fn share(length: u64, part: u64, whole: u64) -> u64 {
    u64::try_from(u128::from(length) * u128::from(part) / u128::from(whole)).unwrap_or(length)
}

#[cfg(test)]
mod tests {
    use bytemuck::Zeroable as _;
    use tracer_ebpf::fold::Sums;

    use super::*;

    /// A record of requests that took so long, all of it the pod's own time.
    fn record(durations: &[u64]) -> FoldedRecord {
        let count = u32::try_from(durations.len()).unwrap();
        let mut sums = Sums { count, first: 5, last: 5 + durations.iter().sum::<u64>(), ..Sums::zeroed() };
        for took in durations {
            sums.own += took;
            sums.longest = sums.longest.max(u32::try_from(*took).unwrap());
            sums.buckets[BOUNDS.iter().position(|bound| took <= bound).unwrap()] += 1;
        }
        FoldedRecord { sums, ..FoldedRecord::zeroed() }
    }

    /// How many of these durations are in each bucket, and their sum.
    fn bucketed(durations: impl Iterator<Item = (u64, u32)>) -> ([u32; BUCKETS], u64) {
        let (mut buckets, mut sum) = ([0; BUCKETS], 0);
        for (took, count) in durations.filter(|(_, count)| *count > 0) {
            buckets[BOUNDS.iter().position(|bound| took <= *bound).unwrap()] += count;
            sum += took * u64::from(count);
        }
        (buckets, sum)
    }

    #[test]
    fn durations_have_the_buckets_and_the_sum_of_the_requests() {
        let cases: [&[u64]; 6] = [
            &[1],
            &[500_000, 500_000],
            &[0, 500_001, 1_000_000, 99_999_999, 100_000_000],
            &[7, 11, 13, 2_500_001, 2_500_002, 7_123_457],
            &[100_000_000],
            &[75_000_001, 75_000_001, 75_000_002],
        ];
        for requests in cases {
            let record = record(requests);
            let folded = Folded::of(&record).unwrap();
            let (buckets, sum) = bucketed(folded.durations());
            assert_eq!((buckets, sum), (record.sums.buckets, requests.iter().sum()), "{requests:?}");
        }
    }

    #[test]
    fn numbers_that_do_not_fit_each_other_are_refused() {
        let good = record(&[10, 20, 600_000]);
        assert!(Folded::of(&good).is_some());
        let refused: [fn(&mut Sums); 9] = [
            |sums| *sums = Sums::zeroed(),
            |sums| sums.count += 1,
            |sums| sums.own = 500_000,
            |sums| sums.own = u64::MAX,
            |sums| (sums.own, sums.send) = (u64::MAX, u64::MAX),
            |sums| sums.last = 4,
            |sums| sums.last -= 3_001,
            |sums| sums.longest = 500_000,
            |sums| (sums.count, sums.buckets) = (MOST + 1, [MOST + 1, 0, 0, 0, 0, 0, 0, 0, 0]),
        ];
        for (index, change) in refused.into_iter().enumerate() {
            let mut bad = good;
            change(&mut bad.sums);
            assert_eq!(Folded::of(&bad), None, "{index}");
        }
    }
}
