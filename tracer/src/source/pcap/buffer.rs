//! A window over a stream of bytes, plain or gzipped, that slides forward and grows when a record needs it.

use std::{
    fmt,
    io::{self, Read},
};

use super::{
    error::Fault,
    gzip::{self, Gzip},
};

/// Bytes the buffer begins with: a read that fills it costs little per packet, and it stays in the cache.
const BUFFER_START: usize = 256 << 10;

/// Bytes the buffer grows to, and the longest block of a pcapng. Wireshark 4.0 takes eight times as much, for USB;
/// a network's longest packet is a sixty-fourth of it, so a longer block is a damaged length or no packet.
pub const BUFFER_LIMIT: usize = 16 << 20;

/// Where the bytes come from, and how many came.
pub(super) struct Input {
    read: Box<dyn Read + Send>,
    pub(super) taken: u64,
}

impl Input {
    /// Reads once; 0 at the end.
    pub(super) fn read(&mut self, room: &mut [u8]) -> Result<usize, Fault> {
        loop {
            match self.read.read(room) {
                Ok(count) => {
                    let count = count.min(room.len());
                    self.taken = self.taken.saturating_add(count as u64);
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Fault::Read(error)),
            }
        }
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Input").field("taken", &self.taken).finish_non_exhaustive()
    }
}

#[derive(Debug)]
enum Source {
    Plain(Input),
    Gzip(Box<Gzip>),
}

/// The bytes that were read and not consumed yet.
#[derive(Debug)]
pub(super) struct Buffer {
    source: Source,
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// Offset of `bytes` in the stream.
    base: u64,
    ended: bool,
}

impl Buffer {
    /// Reads the first bytes and inflates when they say so (RFC 1952, section 2.3.1).
    pub(super) fn new(read: Box<dyn Read + Send>) -> Result<Self, Fault> {
        let source = Source::Plain(Input { read, taken: 0 });
        let bytes = vec![0; BUFFER_START];
        let mut buffer = Self { source, bytes, start: 0, end: 0, base: 0, ended: false };
        buffer.have(gzip::MAGIC.len())?;
        if buffer.unread().starts_with(&gzip::MAGIC) {
            buffer.inflate();
        }
        Ok(buffer)
    }

    /// What was read is compressed: moves it into an inflater.
    fn inflate(&mut self) {
        let compressed = self.unread().to_vec();
        let nothing = Source::Plain(Input { read: Box::new(io::empty()), taken: 0 });
        if let Source::Plain(input) = std::mem::replace(&mut self.source, nothing) {
            self.source = Source::Gzip(Box::new(Gzip::new(input, compressed)));
        }
        (self.start, self.end, self.ended) = (0, 0, false);
    }

    /// Makes at least `count` bytes available (at most [`BUFFER_LIMIT`]) and says how many there are: fewer only
    /// at the end of the stream.
    #[inline]
    pub(super) fn have(&mut self, count: usize) -> Result<usize, Fault> {
        let available = self.end.saturating_sub(self.start);
        if available >= count { Ok(available) } else { self.fill(count) }
    }

    #[inline(never)]
    fn fill(&mut self, count: usize) -> Result<usize, Fault> {
        self.bytes.copy_within(self.start..self.end, 0);
        self.base = self.offset();
        self.end = self.end.saturating_sub(self.start);
        self.start = 0;
        while self.end < count && !self.ended {
            if self.end == self.bytes.len() {
                let larger = self.bytes.len().saturating_mul(2).min(BUFFER_LIMIT);
                self.bytes.resize(larger, 0);
            }
            let room = self.bytes.get_mut(self.end..).unwrap_or_default();
            let count = match &mut self.source {
                Source::Plain(input) => input.read(room)?,
                Source::Gzip(gzip) => gzip.read(room)?,
            };
            self.ended = count == 0;
            self.end = self.end.saturating_add(count);
        }
        Ok(self.end)
    }

    /// What is available.
    #[inline]
    pub(super) fn unread(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// Goes on; the bytes stay until more are needed. Gives the place of the first consumed byte, for [`Self::at`].
    #[inline]
    pub(super) fn consume(&mut self, count: usize) -> usize {
        let at = self.start;
        self.start = at.saturating_add(count).min(self.end);
        at
    }

    /// Bytes at a place, until the next [`Self::have`].
    #[inline]
    pub(super) fn at(&self, at: usize, length: usize) -> &[u8] {
        let end = at.saturating_add(length);
        self.bytes.get(at..end).unwrap_or_default()
    }

    /// Bytes of the stream that were consumed.
    pub(super) fn offset(&self) -> u64 {
        self.base.saturating_add(self.start as u64)
    }

    /// Bytes that were read, compressed as they are.
    pub(super) fn taken(&self) -> u64 {
        match &self.source {
            Source::Plain(input) => input.taken,
            Source::Gzip(gzip) => gzip.taken(),
        }
    }
}

#[cfg(test)]
#[path = "buffer_tests.rs"]
mod tests;
