//! Segments that wait for their acknowledgment, for the round-trip time.

use std::collections::VecDeque;

use super::{Budget, sequence::before};

/// Segments per direction; as many as Wireshark keeps. Those of a flow whose acknowledgments are not captured would
/// pile up without end. What does not fit has no round-trip time.
const LIMIT: usize = 10_000;

/// Segments per direction that are not charged to the budget.
const FREE: usize = 16;

/// What a segment costs the budget: a queue has up to twice the room it needs.
const COST: usize = 2 * size_of::<Segment>();

#[derive(Clone, Copy, Debug)]
struct Segment {
    /// Sequence number after it.
    end: u32,
    /// When it was seen.
    time: u64,
}

/// Segments of one direction, in the order in which they were seen.
#[derive(Debug)]
pub(super) struct Unacknowledged {
    segments: VecDeque<Segment>,
    /// Whether the ends do not decrease: true as long as nothing is sent twice or out of order.
    is_ordered: bool,
}

impl Unacknowledged {
    pub(super) const fn new() -> Self {
        Self { segments: VecDeque::new(), is_ordered: true }
    }

    /// Adds a segment that ends before `end`, if there is room.
    pub(super) fn push(&mut self, end: u32, time: u64, budget: &mut Budget) {
        let length = self.segments.len();
        if length >= LIMIT || length >= FREE && !budget.take(COST) {
            return;
        }
        if let (Some(first), Some(last)) = (self.segments.front(), self.segments.back()) {
            self.is_ordered &= !before(end, last.end) && !before(end, first.end);
        }
        self.segments.push_back(Segment { end, time });
    }

    /// Removes what `acknowledgment` covers. Returns when the segment was first seen that ends exactly there.
    pub(super) fn acknowledge(&mut self, acknowledgment: u32, budget: &mut Budget) -> Option<u64> {
        let waits = |segment: &Segment| before(acknowledgment, segment.end);
        let (first, last) = (waits(self.segments.front()?), waits(self.segments.back()?));
        if self.is_ordered && first && last {
            return None;
        }
        let length = self.segments.len();
        let mut sent = None;
        let mut answer = |segment: &Segment| {
            if segment.end == acknowledgment {
                sent = sent.or(Some(segment.time));
            }
        };
        if self.is_ordered && !first {
            while let Some(segment) = self.segments.pop_front_if(|segment| !waits(segment)) {
                answer(&segment);
            }
        } else {
            self.segments.retain(|segment| {
                answer(segment);
                waits(segment)
            });
        }
        self.removed(length, budget);
        sent
    }

    /// Forgets all.
    pub(super) fn clear(&mut self, budget: &mut Budget) {
        let length = self.segments.len();
        self.segments.clear();
        self.removed(length, budget);
    }

    /// There were `before` segments until now.
    fn removed(&mut self, before: usize, budget: &mut Budget) {
        let charged = |length: usize| length.saturating_sub(FREE);
        budget.give((charged(before) - charged(self.segments.len())) * COST);
        self.is_ordered |= self.segments.is_empty();
        let length = self.segments.len().max(FREE);
        if self.segments.capacity() > 4 * length {
            self.segments.shrink_to(2 * length);
        }
    }
}
