//! The framing of capture files, as far as tests need it to cut, break and split them.

use std::ops::Range;

use anyhow::{Context, Result, ensure};

/// Bytes of a pcap's file header, and of the header of each record.
const PCAP_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;
/// An enhanced packet block.
const ENHANCED: u32 = 6;
/// The type of a section header block, which begins a pcapng.
const SECTION: u32 = 0x0a0d_0d0a;

/// A capture in this machine's byte order: pcap as tcpdump writes it, or pcapng.
pub struct Framing {
    /// Where each packet's record or block lies, its header included.
    pub packets: Vec<Range<usize>>,
    /// Where a record or a block has its length.
    pub length_at: usize,
    /// The bytes that each part of a split capture begins with.
    header: usize,
}

impl Framing {
    /// Finds the packets of an undamaged capture.
    pub fn of(bytes: &[u8]) -> Result<Self> {
        if word(bytes, 0)? == SECTION { Self::blocks(bytes) } else { Self::records(bytes) }
    }

    fn records(bytes: &[u8]) -> Result<Self> {
        let (mut at, mut packets) = (PCAP_HEADER, Vec::new());
        while at < bytes.len() {
            let end = at + RECORD_HEADER + word(bytes, at + 8)? as usize;
            packets.push(at..end);
            at = end;
        }
        ensure!(at == bytes.len(), "the last record ends at {at} of {} bytes", bytes.len());
        Ok(Self { packets, length_at: 8, header: PCAP_HEADER })
    }

    fn blocks(bytes: &[u8]) -> Result<Self> {
        let (mut at, mut packets) = (0, Vec::new());
        while at < bytes.len() {
            let length = word(bytes, at + 4)? as usize;
            ensure!(length >= 12, "a block of {length} bytes at byte {at}");
            if word(bytes, at)? == ENHANCED {
                packets.push(at..at + length);
            }
            at += length;
        }
        let header = packets.first().context("no packets")?.start;
        Ok(Self { packets, length_at: 4, header })
    }

    /// Two captures that together are the first, cut before a packet.
    #[must_use]
    pub fn split(&self, bytes: &[u8], packet: usize) -> [Vec<u8>; 2] {
        let (before, after) = bytes.split_at(self.packets[packet].start);
        [before.to_vec(), [&bytes[..self.header], after].concat()]
    }
}

fn word(bytes: &[u8], at: usize) -> Result<u32> {
    let word = bytes.get(at..at + 4).and_then(|word| word.try_into().ok());
    word.map(u32::from_ne_bytes).with_context(|| format!("the capture ends at byte {at}"))
}

#[cfg(test)]
mod tests {
    use super::Framing;

    fn pcap(packets: &[&[u8]]) -> Vec<u8> {
        let mut file = vec![0; 24];
        for packet in packets {
            file.extend([0; 8]);
            file.extend(u32::try_from(packet.len()).unwrap_or_default().to_ne_bytes());
            file.extend([0; 4]);
            file.extend(*packet);
        }
        file
    }

    #[test]
    fn a_split_pcap_has_two_headers() {
        let file = pcap(&[b"one", b"two", b"three"]);
        let framing = Framing::of(&file).unwrap();
        assert_eq!(framing.packets, [24..43, 43..62, 62..83]);
        assert_eq!(framing.split(&file, 1), [pcap(&[b"one"]), pcap(&[b"two", b"three"])]);
        assert!(Framing::of(&file[..80]).is_err());
    }
}
