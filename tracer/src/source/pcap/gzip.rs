//! Gzip (RFC 1952) over flate2's inflater. flate2's own gzip reader loses what it inflated in the call that meets
//! the damage; here every byte before it comes out.

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::{buffer::Input, error::Fault};

/// What a gzip file begins with.
pub(super) const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Compressed bytes read at once.
const CHUNK: usize = 64 << 10;

const WHAT: &str = "the gzip compression";

/// Bits of a member's flags.
mod flag {
    pub(super) const HEADER_CRC: u8 = 1 << 1;
    pub(super) const EXTRA: u8 = 1 << 2;
    pub(super) const NAME: u8 = 1 << 3;
    pub(super) const COMMENT: u8 = 1 << 4;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    FirstHeader,
    NextHeader,
    Body,
    Trailer,
    End,
}

/// Members one after the other, as one stream. Zeros after the last are padding, as gzip itself has it.
#[derive(Debug)]
pub(super) struct Gzip {
    input: Input,
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    state: State,
    inflate: Decompress,
    crc: Crc,
}

impl Gzip {
    /// Begins with bytes that were read already.
    pub(super) fn new(input: Input, bytes: Vec<u8>) -> Self {
        let (end, inflate, crc) = (bytes.len(), Decompress::new(false), Crc::new());
        Self { input, bytes, start: 0, end, state: State::FirstHeader, inflate, crc }
    }

    /// Compressed bytes that were read.
    pub(super) fn taken(&self) -> u64 {
        self.input.taken
    }

    /// Inflates into `room`; 0 at the end.
    pub(super) fn read(&mut self, room: &mut [u8]) -> Result<usize, Fault> {
        while !room.is_empty() {
            match self.state {
                State::FirstHeader => self.header()?,
                State::NextHeader => self.next_header()?,
                State::Body => {
                    let count = self.body(room)?;
                    if count > 0 {
                        return Ok(count);
                    }
                }
                State::Trailer => self.trailer()?,
                State::End => break,
            }
        }
        Ok(0)
    }

    /// Inflates some bytes; 0 when the member's body ended or more input is needed.
    fn body(&mut self, room: &mut [u8]) -> Result<usize, Fault> {
        self.refill()?;
        let compressed = self.bytes.get(self.start..self.end).unwrap_or_default();
        let at_end = compressed.is_empty();
        let (consumed, produced) = (self.inflate.total_in(), self.inflate.total_out());
        let status = self.inflate.decompress(compressed, room, FlushDecompress::None);
        let consumed = difference(self.inflate.total_in(), consumed);
        let produced = difference(self.inflate.total_out(), produced);
        self.start = self.start.saturating_add(consumed).min(self.end);
        self.crc.update(room.get(..produced).unwrap_or_default());
        match status {
            Ok(Status::StreamEnd) => self.state = State::Trailer,
            // The inflater meets the damage again at the next call.
            _ if produced > 0 => {}
            Ok(_) if at_end => return Err(self.short()),
            Ok(_) if consumed > 0 => {}
            Ok(_) | Err(_) => return Err(self.wrong("its data are corrupt")),
        }
        Ok(produced)
    }

    fn next_header(&mut self) -> Result<(), Fault> {
        self.refill()?;
        let left = self.bytes.get(self.start..self.end).unwrap_or_default();
        match left.first() {
            None => self.state = State::End,
            Some(0) => self.start = self.start.saturating_add(1),
            Some(_) => self.header()?,
        }
        Ok(())
    }

    fn header(&mut self) -> Result<(), Fault> {
        for byte in MAGIC {
            if self.take()? != [byte] {
                return Err(self.wrong("bytes that are not gzip follow it"));
            }
        }
        let [method, flags, ..] = self.take::<8>()?;
        if method != 8 || flags & 0xe0 != 0 {
            return Err(self.wrong("its header has an unknown method or flag"));
        }
        if flags & flag::EXTRA != 0 {
            let length = u16::from_le_bytes(self.take()?);
            for _ in 0..length {
                self.take::<1>()?;
            }
        }
        for text in [flag::NAME, flag::COMMENT] {
            while flags & text != 0 && self.take()? != [0] {}
        }
        if flags & flag::HEADER_CRC != 0 {
            self.take::<2>()?;
        }
        self.inflate.reset(false);
        self.crc.reset();
        self.state = State::Body;
        Ok(())
    }

    fn trailer(&mut self) -> Result<(), Fault> {
        let sum = u32::from_le_bytes(self.take()?);
        let length = u32::from_le_bytes(self.take()?);
        if sum != self.crc.sum() || length != self.crc.amount() {
            return Err(self.wrong("its checksum or length does not match the bytes before"));
        }
        self.state = State::NextHeader;
        Ok(())
    }

    /// The next bytes.
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut taken = [0; N];
        for byte in &mut taken {
            self.refill()?;
            match self.bytes.get(self.start..self.end).unwrap_or_default().first() {
                Some(first) => *byte = *first,
                None => return Err(self.short()),
            }
            self.start = self.start.saturating_add(1);
        }
        Ok(taken)
    }

    /// Reads on when everything was taken.
    fn refill(&mut self) -> Result<(), Fault> {
        if self.start >= self.end {
            self.bytes.resize(CHUNK, 0);
            self.start = 0;
            self.end = 0;
            self.end = self.input.read(&mut self.bytes)?;
        }
        Ok(())
    }

    /// Where the next compressed byte is.
    fn position(&self) -> u64 {
        let ahead = self.end.saturating_sub(self.start);
        self.input.taken.saturating_sub(ahead as u64)
    }

    #[cold]
    fn short(&self) -> Fault {
        let left = format!("the compressed file ends at byte {}", self.position());
        Fault::Short { what: "bytes that gzip compressed".to_owned(), left }
    }

    #[cold]
    fn wrong(&self, wrong: &str) -> Fault {
        Fault::wrong(WHAT, format!("{wrong} (byte {} of the compressed file)", self.position()))
    }
}

/// How far a counter of the inflater went; it never goes further than a slice is long.
fn difference(after: u64, before: u64) -> usize {
    usize::try_from(after.saturating_sub(before)).unwrap_or(usize::MAX)
}

#[cfg(test)]
#[path = "gzip_tests.rs"]
mod tests;
