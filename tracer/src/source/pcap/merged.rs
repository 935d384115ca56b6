//! Several captures as one timeline.

use std::{cmp::Reverse, collections::BinaryHeap};

use super::{Error, Raw, Reader};

/// Captures merged by time, with one packet of each looked at ahead. Packets of one capture keep their order, also
/// where their times go back; of equal times the capture named first comes first.
#[derive(Debug)]
pub struct Merged {
    readers: Vec<Reader>,
    /// Time of the packet that each of the others stands at, and its index.
    heads: BinaryHeap<Reverse<(u64, usize)>>,
    /// Captures that must go to their next packet before anything can be chosen, the first at the end.
    behind: Vec<usize>,
}

impl Merged {
    /// Begins at the first packet of each.
    #[must_use]
    pub fn new(readers: Vec<Reader>) -> Self {
        let behind = (0..readers.len()).rev().collect();
        Self { heads: BinaryHeap::with_capacity(readers.len()), readers, behind }
    }

    /// The next packet and the index of its capture; `None` at the end of all.
    ///
    /// # Errors
    /// When a capture cannot be read further. It is over then; later calls go on with the others.
    #[expect(clippy::should_implement_trait, reason = "an iterator's items cannot borrow the buffer")]
    pub fn next(&mut self) -> Result<Option<(usize, Raw<'_>)>, Error> {
        while let Some(file) = self.behind.pop() {
            let Some(reader) = self.readers.get_mut(file) else { continue };
            if reader.advance()?
                && let Some(packet) = reader.current()
            {
                self.heads.push(Reverse((packet.time, file)));
            }
        }
        let Some(Reverse((_, file))) = self.heads.pop() else { return Ok(None) };
        self.behind.push(file);
        Ok(self.readers.get(file).and_then(Reader::current).map(|packet| (file, packet)))
    }

    /// The captures, for names and progress.
    #[must_use]
    pub fn readers(&self) -> &[Reader] {
        &self.readers
    }
}

#[cfg(test)]
#[path = "merged_tests.rs"]
mod tests;
