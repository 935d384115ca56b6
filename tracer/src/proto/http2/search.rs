//! Finds the frames of a direction whose beginning was not seen.
//!
//! A chain of headers, each at the place that the one before points to, all plausible, at least one of them not
//! DATA: random bytes pass with a chance of about 2⁻⁸⁰, text and zeros never. Only the beginning of a delivery
//! starts a chain, as senders write whole frames. What could deceive it is HTTP/2 carried in the DATA of HTTP/2.

use super::super::stream::{Seen, Side};
use super::frame::{END_HEADERS, HEADER, Header, Kind};

/// Headers in a row that are trusted.
pub(super) const CHAIN: u8 = 4;

/// A search under way.
#[derive(Debug)]
pub(super) struct Search {
    from: Side,
    bytes: [u8; HEADER],
    have: usize,
    first: Seen,
    /// Payload before the next header of the chain.
    skip: u32,
    /// Plausible headers so far; [`CHAIN`] and on when only one that is not DATA is missing.
    chain: u8,
    not_data: bool,
    /// A header block that goes on.
    open: Option<u32>,
    /// The chain broke: wait for the next delivery.
    idle: bool,
}

impl Search {
    pub(super) fn new(from: Side) -> Self {
        Self {
            from,
            bytes: [0; HEADER],
            have: 0,
            first: Seen::default(),
            skip: 0,
            chain: 0,
            not_data: false,
            open: None,
            idle: true,
        }
    }

    /// A delivery begins.
    pub(super) fn delivery(&mut self) {
        if self.chain == 0 {
            *self = Self { idle: false, ..Self::new(self.from) };
        }
    }

    /// Bytes are missing. False when the chain may be among them.
    pub(super) fn gap(&mut self, length: u64) -> bool {
        let rest = u32::try_from(length).ok().and_then(|length| self.skip.checked_sub(length));
        self.skip = rest.unwrap_or(0);
        rest.is_some()
    }

    /// The trusted header, with where it began, when its last byte is among those taken. Else takes all.
    pub(super) fn feed(&mut self, seen: Seen, rest: &mut &[u8]) -> Option<(Header, Seen)> {
        while !self.idle && !rest.is_empty() {
            if self.skip > 0 {
                let skipped = rest.len().min(self.skip as usize);
                *rest = rest.get(skipped..).unwrap_or_default();
                self.skip = self.skip.saturating_sub(u32::try_from(skipped).unwrap_or(u32::MAX));
            } else if let Some(header) = self.header(seen, rest)
                && self.link(header)
            {
                return Some((header, self.first));
            }
        }
        *rest = &[];
        None
    }

    fn header(&mut self, seen: Seen, rest: &mut &[u8]) -> Option<Header> {
        if self.have == 0 {
            self.first = seen;
        }
        fill(&mut self.bytes, &mut self.have, rest);
        (self.have == HEADER).then(|| {
            self.have = 0;
            Header::parse(self.bytes)
        })
    }

    /// Adds a header to the chain, or breaks it. True when the header can be trusted.
    fn link(&mut self, header: Header) -> bool {
        if !header.plausible(self.from, self.open) {
            *self = Self::new(self.from);
            return false;
        }
        self.chain = self.chain.saturating_add(1);
        self.not_data |= header.kind != Kind::Data;
        self.skip = header.length;
        let starts = self.open.is_none();
        let block = matches!(header.kind, Kind::Headers | Kind::Continuation) && !header.has(END_HEADERS);
        self.open = block.then_some(header.stream);
        // The rest of a header block without its beginning is of no use.
        self.chain >= CHAIN && self.not_data && starts
    }
}

/// Moves bytes to the free end of `place`.
pub(super) fn fill(place: &mut [u8], have: &mut usize, rest: &mut &[u8]) {
    let free = place.get_mut(*have..).unwrap_or_default();
    let taken = free.len().min(rest.len());
    if let (Some(free), Some((bytes, after))) = (free.get_mut(..taken), rest.split_at_checked(taken)) {
        free.copy_from_slice(bytes);
        *rest = after;
        *have += taken;
    }
}

/// Whether a segment in the middle of a connection is made of frames: two or more plausible ones, one of them HEADERS,
/// of which the last ends where the segment ends.
#[must_use]
pub fn is_made_of_frames(from: Side, segment: &[u8]) -> bool {
    let (mut rest, mut frames, mut headers) = (segment, 0, false);
    while let Some(bytes) = rest.first_chunk::<HEADER>() {
        let header = Header::parse(*bytes);
        let after = usize::try_from(header.length).ok().and_then(|length| rest.get(HEADER + length..));
        let Some(after) = after.filter(|_| header.plausible(from, None)) else { return false };
        headers |= header.kind == Kind::Headers;
        frames += 1;
        rest = after;
    }
    rest.is_empty() && frames >= 2 && headers
}
