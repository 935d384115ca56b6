//! Capture files: pcap and pcapng, gzipped or not, in any byte order, from a file or standard input.
//!
//! The framing of records and blocks is written here and not taken from `pcap-file`, which this project writes
//! with. Its parsers refuse packets that Wireshark reads (a captured length above the snapshot length or above
//! the length on the wire, a fraction of more than a second), decode and allocate every packet's options, refuse
//! the packet when one of them is malformed, and keep the interfaces of a hostile file without a limit.
//! What Wireshark 4.0 accepts is the reference, down to the numbers it gives to packets.

mod blocks;
mod buffer;
mod error;
mod gzip;
mod interface;
mod merged;
mod order;
mod origin;
mod records;
#[cfg(test)]
mod sample;

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use blocks::Blocks;
use buffer::Buffer;
use error::Fault;
use records::Records;

pub use buffer::BUFFER_LIMIT;
pub use error::Error;
pub use interface::INTERFACE_LIMIT;
pub use merged::Merged;
pub use origin::Origin;

/// Longest packet in bytes, as Wireshark has it: a longer one means that the lengths are not lengths. (Wireshark
/// makes exceptions for D-Bus and USB, which are not networks.)
pub const PACKET_LIMIT: u32 = 262_144;

/// What a packet's bytes begin with: a number from the `LINKTYPE_` registry of tcpdump.org, 1 for Ethernet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LinkType(pub u16);

/// A packet as it stands in the capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raw<'a> {
    /// Frame number in its file, from 1, as Wireshark counts: it also counts journal entries, custom blocks and
    /// system calls, which are not delivered.
    pub number: u64,
    /// Nanoseconds since 1970, not below 0 and not above what fits. A simple packet block has no time: it gets
    /// the time of the packet before it.
    pub time: u64,
    /// What the bytes begin with.
    pub link: LinkType,
    /// Bytes on the wire, as the file says; a damaged file may say less than were captured.
    pub original_length: u32,
    /// The captured bytes, at most [`PACKET_LIMIT`].
    pub bytes: &'a [u8],
    /// Whose it is, in a file by `tracer capture`.
    pub origin: Option<Origin<'a>>,
}

/// A packet's place in the buffer, until the buffer is filled again.
#[derive(Clone, Copy, Debug)]
struct Found {
    time: u64,
    link: LinkType,
    original_length: u32,
    at: usize,
    length: usize,
    /// Index of its pod, and whether it left the pod.
    pod: Option<(u32, bool)>,
}

#[derive(Debug)]
enum Format {
    Records(Records),
    Blocks(Blocks),
}

/// One capture, read from front to back with a buffer that grows to the largest block, at most [`BUFFER_LIMIT`].
#[derive(Debug)]
pub struct Reader {
    name: String,
    size: Option<u64>,
    buffer: Buffer,
    format: Format,
    number: u64,
    current: Option<Found>,
    ended: bool,
}

impl Reader {
    /// Opens a file, or standard input when `path` is `-`, and reads its header.
    ///
    /// # Errors
    /// When it cannot be opened or is no capture; [`Error`] says what to do.
    pub fn open(path: &Path) -> Result<Self, Error> {
        if path.as_os_str() == "-" {
            return Self::from_read(io::stdin(), "standard input");
        }
        let name = path.display().to_string();
        let opened = File::open(path).and_then(|file| Ok((file.metadata()?, file)));
        let (metadata, file) = match opened {
            Ok(opened) => opened,
            Err(source) => return Err(Error::Open { file: name, source }),
        };
        if metadata.is_dir() {
            return Err(Error::Directory { file: name });
        }
        let size = metadata.is_file().then_some(metadata.len());
        let mut reader = Self::from_read(file, name)?;
        reader.size = size;
        Ok(reader)
    }

    /// Reads the header of a capture that comes from anywhere; errors name it `name`.
    ///
    /// # Errors
    /// When it cannot be read or is no capture.
    pub fn from_read(read: impl Read + Send + 'static, name: impl Into<String>) -> Result<Self, Error> {
        let name = name.into();
        let mut buffer = match Buffer::new(Box::new(read)) {
            Ok(buffer) => buffer,
            Err(fault) => return Err(fault.named(&name, 0)),
        };
        let format = Format::detect(&mut buffer).map_err(|fault| fault.named(&name, buffer.offset()))?;
        Ok(Self { name, size: None, buffer, format, number: 0, current: None, ended: false })
    }

    /// The next packet; `None` at the end and after an error.
    ///
    /// # Errors
    /// At the first byte that cannot be read. Every packet before it was delivered.
    #[expect(clippy::should_implement_trait, reason = "an iterator's items cannot borrow the buffer")]
    pub fn next(&mut self) -> Result<Option<Raw<'_>>, Error> {
        self.advance()?;
        Ok(self.current())
    }

    /// Goes to the next packet; false at the end.
    fn advance(&mut self) -> Result<bool, Error> {
        self.current = None;
        if self.ended {
            return Ok(false);
        }
        let found = match &mut self.format {
            Format::Records(records) => records.next(&mut self.buffer),
            Format::Blocks(blocks) => blocks.next(&mut self.buffer, &mut self.number),
        };
        match found {
            Ok(Some(found)) => {
                self.number = self.number.saturating_add(1);
                self.current = Some(found);
                Ok(true)
            }
            Ok(None) => {
                self.ended = true;
                Ok(false)
            }
            Err(fault) => {
                self.ended = true;
                Err(fault.named(&self.name, self.buffer.offset()))
            }
        }
    }

    /// The packet that [`Self::advance`] went to.
    fn current(&self) -> Option<Raw<'_>> {
        let found = self.current?;
        let origin = match (&self.format, found.pod) {
            (Format::Blocks(blocks), Some((pod, outbound))) => {
                blocks.pods.get(pod).map(|pod| Origin { pod, outbound })
            }
            _ => None,
        };
        Some(Raw {
            number: self.number,
            time: found.time,
            link: found.link,
            original_length: found.original_length,
            bytes: self.buffer.at(found.at, found.length),
            origin,
        })
    }

    /// The name that errors use: the path, or `standard input`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Bytes of the uncompressed capture that were consumed.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.buffer.offset()
    }

    /// Bytes taken from the file so far, compressed as they are: together with [`Self::size`] the progress.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.buffer.taken()
    }

    /// Size of the file in bytes when it was opened; `None` for a pipe.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.size
    }
}

impl Format {
    /// Tells the formats apart by the first four bytes, and reads a pcap's file header.
    fn detect(buffer: &mut Buffer) -> Result<Self, Fault> {
        if buffer.have(8)? == 0 {
            return Err(Fault::Empty);
        }
        let first = buffer.unread();
        if first.starts_with(&blocks::FIRST_BYTES) {
            return Ok(Self::Blocks(Blocks::default()));
        }
        match first.first_chunk().copied().and_then(records::Kind::detect) {
            Some(kind) => Records::open(kind, buffer).map(Self::Records),
            None => Err(Fault::not_a_capture(first)),
        }
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
