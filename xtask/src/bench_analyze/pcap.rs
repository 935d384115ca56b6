//! A pcap file that is written packet by packet, with a clock of its own.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

/// pcap with nanoseconds.
const MAGIC: u32 = 0xa1b2_3c4d;
/// `LINKTYPE_ETHERNET`.
const ETHERNET: u32 = 1;
/// When the capture begins, nanoseconds since 1970.
const BEGINNING: u64 = 1_700_000_000_000_000_000;
const SECOND: u64 = 1_000_000_000;
/// From one packet to the next, nanoseconds.
const STEP: u64 = 2_000;

/// A capture that grows.
pub(super) struct Writer {
    out: BufWriter<File>,
    time: u64,
    /// Packets so far.
    pub(super) packets: u64,
    /// Bytes of the file so far.
    pub(super) bytes: u64,
}

impl Writer {
    /// Replaces the file.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
        // Version 2.4, and as much of each packet as there is.
        let header: [u32; 6] = [MAGIC, 2 | 4 << 16, 0, 0, 65_535, ETHERNET];
        header.iter().try_for_each(|word| out.write_all(&word.to_le_bytes()))?;
        Ok(Self { out, time: BEGINNING, packets: 0, bytes: 24 })
    }

    /// Lets time pass, in nanoseconds.
    pub(super) fn wait(&mut self, nanoseconds: u64) {
        self.time += nanoseconds;
    }

    /// Adds a packet.
    pub(super) fn packet(&mut self, frame: &[u8]) -> io::Result<()> {
        self.wait(STEP);
        let length = frame.len() as u64;
        let words = [self.time / SECOND, self.time % SECOND, length, length];
        for word in words {
            let word = u32::try_from(word).map_err(io::Error::other)?;
            self.out.write_all(&word.to_le_bytes())?;
        }
        self.packets += 1;
        self.bytes += 16 + length;
        self.out.write_all(frame)
    }

    /// All of it is in the file afterwards.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }
}
