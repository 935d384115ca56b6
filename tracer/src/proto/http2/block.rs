//! A header block: the fragments of a HEADERS or `PUSH_PROMISE` frame and its CONTINUATION frames
//! (RFC 9113, section 4.3).

use std::ops::Range;

use super::super::stream::Seen;
use super::frame::{END_STREAM, HEADER, Header, Kind, PADDED, PRIORITY};
use super::hpack::{Decoder, Fields};

/// Largest header block that is held, in bytes; a longer one is not read.
pub(super) const BLOCK_LIMIT: usize = 256 * 1024;
/// Most CONTINUATION frames of a block; one with more is not read.
pub(super) const CONTINUATION_LIMIT: u32 = 64;
/// Larger buffers are given back after use.
const KEPT: usize = 1024;

/// Why a header block was not read. Its fields, and the table entries it made, are unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// Longer than [`BLOCK_LIMIT`] or [`CONTINUATION_LIMIT`], or than there was room for.
    Cut,
    /// Bytes of it are missing.
    Missing,
    /// Not HPACK.
    Malformed,
}

/// A complete header block.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) stream: u32,
    /// The stream that a `PUSH_PROMISE` reserves; 0 when its id is missing.
    pub(super) promised: Option<u32>,
    /// First byte of its first frame.
    pub(super) first: Seen,
    /// Of its frames, with their headers.
    pub(super) bytes: u64,
    pub(super) end_stream: bool,
    pub(super) fields: Result<Fields, Unread>,
}

/// A block under way.
#[derive(Debug)]
pub(super) struct Open {
    /// The frame that began it.
    header: Header,
    first: Seen,
    bytes: u64,
    continuations: u32,
    promised: Option<u32>,
    unread: Option<Unread>,
}

impl Open {
    pub(super) fn new(header: Header, first: Seen) -> Self {
        let promised = (header.kind == Kind::PushPromise).then_some(0);
        let mut open = Self { header, first, bytes: 0, continuations: 0, promised, unread: None };
        open.add(header, 0);
        open
    }

    pub(super) fn stream(&self) -> u32 {
        self.header.stream
    }

    /// A CONTINUATION frame begins.
    pub(super) fn continuation(&mut self, header: Header, held: usize) {
        self.continuations = self.continuations.saturating_add(1);
        self.add(header, held);
    }

    fn add(&mut self, header: Header, held: usize) {
        self.bytes = self.bytes.saturating_add(u64::from(header.length)).saturating_add(HEADER as u64);
        let long = held.saturating_add(header.length as usize) > BLOCK_LIMIT;
        if long || self.continuations > CONTINUATION_LIMIT {
            self.unread.get_or_insert(Unread::Cut);
        }
    }

    /// Bytes of it are missing.
    pub(super) fn miss(&mut self) {
        self.unread.get_or_insert(Unread::Missing);
    }

    /// There is no room for it.
    pub(super) fn cut(&mut self) {
        self.unread.get_or_insert(Unread::Cut);
    }

    /// Whether its bytes are of use.
    pub(super) fn is_read(&self) -> bool {
        self.unread.is_none()
    }

    /// Where the fragment is in the payload of the first frame, between padding and priority; takes note of a
    /// promised stream. None when the padding is longer than the payload: a connection error.
    pub(super) fn fragment(&mut self, payload: &[u8]) -> Option<Range<usize>> {
        let padded = self.header.has(PADDED);
        let padding = if padded { usize::from(*payload.first()?) } else { 0 };
        let mut start = usize::from(padded);
        if self.header.kind == Kind::PushPromise {
            let id = payload.get(start..)?.first_chunk::<4>()?;
            self.promised = Some(u32::from_be_bytes(*id) & 0x7fff_ffff);
            start += 4;
        } else if self.header.has(PRIORITY) {
            start += 5;
        }
        let end = payload.len().checked_sub(padding)?;
        (start <= end).then_some(start..end)
    }

    /// The whole block is there.
    pub(super) fn close(self, block: &[u8], decoder: &mut Decoder) -> Block {
        let fields = match self.unread {
            None => decoder.decode(block).map_err(|_| Unread::Malformed),
            Some(unread) => {
                decoder.forget();
                Err(unread)
            }
        };
        Block {
            stream: self.header.stream,
            promised: self.promised,
            first: self.first,
            bytes: self.bytes,
            end_stream: self.header.kind == Kind::Headers && self.header.has(END_STREAM),
            fields,
        }
    }
}

/// Empties the buffer of fragments.
pub(super) fn empty(buffer: &mut Vec<u8>) {
    buffer.clear();
    if buffer.capacity() > KEPT {
        *buffer = Vec::new();
    }
}
