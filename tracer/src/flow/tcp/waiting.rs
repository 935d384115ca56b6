//! Bytes of one direction that came before those ahead of them.

use std::collections::BTreeMap;

use super::Budget;
use crate::proto::stream::Seen;

/// Bytes that may wait per direction, with 128 for each piece: what is in flight at 10 Gbit/s and 3 ms.
pub const WAITING_LIMIT: usize = 4 << 20;

/// Pieces that may wait per direction: a segment looks through them.
const PIECES: usize = 4096;

/// What a piece costs besides its bytes.
const OVERHEAD: usize = 128;

/// A piece of the stream without holes, from one segment.
#[derive(Debug)]
pub(super) struct Chunk {
    /// What was captured of it.
    pub(super) bytes: Box<[u8]>,
    /// Bytes on the wire.
    pub(super) length: u32,
    /// The segment.
    pub(super) seen: Seen,
}

/// What a piece of which `captured` bytes were captured costs.
fn cost(captured: usize) -> usize {
    captured.saturating_add(OVERHEAD)
}

/// Pieces by their place in the stream; they do not overlap.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    chunks: BTreeMap<i64, Chunk>,
    /// The end of the stream.
    pub(super) end: Option<(i64, Seen)>,
    /// Latest time at which bytes were handed out.
    pub(super) latest: Seen,
    /// What the chunks cost.
    cost: usize,
}

impl Waiting {
    /// The first part of `from..until` that no piece covers.
    pub(super) fn free(&self, from: i64, until: i64) -> Option<(i64, i64)> {
        let mut from = from;
        if let Some((start, chunk)) = self.chunks.range(..=from).next_back() {
            from = from.max(start.saturating_add(chunk.length.into()));
        }
        for (start, chunk) in self.chunks.range(from..until.max(from)) {
            if *start > from {
                return Some((from, *start));
            }
            from = start.saturating_add(chunk.length.into());
        }
        (from < until).then_some((from, until))
    }

    /// Adds a piece of `length` bytes of which `bytes` were captured where there is none, if there is room for it.
    pub(super) fn insert(
        &mut self,
        at: i64,
        bytes: &[u8],
        length: u32,
        seen: Seen,
        budget: &mut Budget,
    ) -> bool {
        let cost = cost(bytes.len());
        let is_full = self.cost.saturating_add(cost) > WAITING_LIMIT || self.chunks.len() >= PIECES;
        if is_full || !budget.take(cost) {
            return false;
        }
        self.cost += cost;
        self.chunks.insert(at, Chunk { bytes: bytes.into(), length, seen });
        true
    }

    /// Takes the first piece, when it begins not after `at`.
    pub(super) fn take(&mut self, at: i64, budget: &mut Budget) -> Option<Chunk> {
        let chunk = self.chunks.first_entry().filter(|first| *first.key() <= at)?.remove();
        let cost = cost(chunk.bytes.len());
        self.cost = self.cost.saturating_sub(cost);
        budget.give(cost);
        Some(chunk)
    }

    /// Where the first hole ends, and who says so.
    pub(super) fn hole(&self) -> Option<(i64, Seen)> {
        let chunk = self.chunks.first_key_value().map(|(start, chunk)| (*start, chunk.seen));
        chunk.or(self.end)
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty() && self.end.is_none()
    }

    /// Gives the memory back.
    pub(super) fn release(&self, budget: &mut Budget) {
        budget.give(self.cost);
    }
}
