//! A packet's bytes from a header on.

use super::Skipped;

/// What was captured from a header on, and how long it was on the wire.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes<'a> {
    captured: &'a [u8],
    /// Not less than `captured.len()`.
    length: usize,
}

impl<'a> Bytes<'a> {
    /// A capture can say of a packet that it was shorter than what it has of it: what it has counts.
    pub(super) fn new(captured: &'a [u8], length: usize) -> Self {
        Self { captured, length: length.max(captured.len()) }
    }

    /// What was captured.
    pub(super) fn captured(&self) -> &'a [u8] {
        self.captured
    }

    /// Bytes on the wire.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Whether all of it was captured.
    pub(super) fn is_whole(&self) -> bool {
        self.captured.len() == self.length
    }

    /// The first `N` bytes, which it no longer has.
    pub(super) fn take<const N: usize>(&mut self) -> Result<&'a [u8; N], Skipped> {
        let Some((head, rest)) = self.captured.split_first_chunk() else { return Err(self.ends(N)) };
        *self = Self { captured: rest, length: self.length.saturating_sub(N) };
        Ok(head)
    }

    /// Goes past `count` bytes that were captured.
    pub(super) fn skip(&mut self, count: usize) -> Result<(), Skipped> {
        let Some(rest) = self.captured.get(count..) else { return Err(self.ends(count)) };
        *self = Self { captured: rest, length: self.length.saturating_sub(count) };
        Ok(())
    }

    /// Goes past `count` bytes and returns those of them that were captured.
    pub(super) fn take_captured(&mut self, count: usize) -> Result<&'a [u8], Skipped> {
        let length = self.length.checked_sub(count).ok_or(Skipped::Length)?;
        let (head, rest) = self.captured.split_at_checked(count).unwrap_or((self.captured, &[]));
        *self = Self { captured: rest, length };
        Ok(head)
    }

    /// Leaves what is behind `length` bytes: padding, trailers.
    pub(super) fn narrow(&mut self, length: usize) {
        if length < self.length {
            *self = Self { captured: self.captured.get(..length).unwrap_or(self.captured), length };
        }
    }

    /// The first four bits: the version of an IP header.
    pub(super) fn nibble(&self) -> Option<u8> {
        self.captured.first().map(|byte| byte >> 4)
    }

    /// The two bytes at `at`.
    pub(super) fn word(&self, at: usize) -> Option<u16> {
        self.captured.get(at..)?.first_chunk().map(|pair| u16::from_be_bytes(*pair))
    }

    /// Why there are no `count` bytes.
    #[cold]
    fn ends(&self, count: usize) -> Skipped {
        if count > self.length { Skipped::Short } else { Skipped::Cut }
    }
}
