//! pcap (draft-ietf-opsawg-pcap): a header, then records of a fixed header and a packet.

use super::{Found, LinkType, PACKET_LIMIT, buffer::Buffer, error::Fault, order::Order};

/// Bytes of the file header.
const FILE_HEADER: usize = 24;

/// Bits of the link type's field that must be zero.
const RESERVED: u32 = 0x03ff_0000;

/// What the magic number says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    order: Order,
    /// Nanoseconds per unit of a time's fraction.
    unit: u32,
    /// Bytes of the file header.
    file_header: usize,
    /// Bytes of a record's header.
    record_header: usize,
}

impl Kind {
    /// The magic number, read in both orders.
    pub(super) fn detect(first: [u8; 4]) -> Option<Self> {
        [Order::Little, Order::Big].into_iter().find_map(|order| {
            let (unit, file_header, record_header) = match order.word(first) {
                0xa1b2_c3d4 => (1_000, FILE_HEADER, 16),
                0xa1b2_3c4d => (1, FILE_HEADER, 16),
                // Kuznetzov's patched libpcap: an interface, a protocol and a packet type follow the lengths.
                0xa1b2_cd34 => (1_000, FILE_HEADER, 24),
                // Ixia, software and hardware capture: the size of all records follows the file header.
                0x1c00_01ab => (1_000, FILE_HEADER + 4, 16),
                0x1c00_01ac => (1, FILE_HEADER + 4, 16),
                _ => return None,
            };
            Some(Self { order, unit, file_header, record_header })
        })
    }
}

/// In which order a record has its two lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lengths {
    CapturedFirst,
    OriginalFirst,
    /// Version 2.3 was written in both orders: the captured length is the lesser one.
    LesserIsCaptured,
}

/// A pcap after its file header.
#[derive(Debug)]
pub(super) struct Records {
    kind: Kind,
    lengths: Lengths,
    link: LinkType,
}

impl Records {
    /// Reads the file header.
    pub(super) fn open(kind: Kind, buffer: &mut Buffer) -> Result<Self, Fault> {
        let left = buffer.have(kind.file_header)?;
        let header = buffer.unread();
        let (versions, network) = (header.get(4..8), header.get(20..24));
        let (Some(versions), Some(network), false) = (versions, network, left < kind.file_header) else {
            return Err(Fault::short("the file header of a pcap", kind.file_header, left));
        };
        let [major, minor] = kind.order.halves(versions).unwrap_or_default();
        let [network] = kind.order.words(network).unwrap_or_default();
        if major < 2 {
            return Err(Fault::Unsupported(format!("pcap version {major}.{minor}")));
        }
        if network & RESERVED != 0 {
            return Err(Fault::Unsupported(format!("link type {network:#010x} with reserved bits")));
        }
        let lengths = match (major, minor) {
            // DG/UX writes version 543.0.
            (2, ..3) | (543, _) => Lengths::OriginalFirst,
            (2, 3) => Lengths::LesserIsCaptured,
            _ => Lengths::CapturedFirst,
        };
        buffer.consume(kind.file_header);
        // The upper bits tell the length of the frame check sequence.
        let link = LinkType((network & 0xffff) as u16);
        Ok(Self { kind, lengths, link })
    }

    /// The next packet; `None` at the end.
    #[inline]
    pub(super) fn next(&self, buffer: &mut Buffer) -> Result<Option<Found>, Fault> {
        let header = self.kind.record_header;
        let left = buffer.have(header)?;
        if left < header {
            return if left == 0 { Ok(None) } else { Err(Fault::short("a packet's header", header, left)) };
        }
        let [seconds, fraction, first, second] = self.kind.order.words(buffer.unread()).unwrap_or_default();
        let (captured, original) = self.lengths.sort(first, second);
        if captured > PACKET_LIMIT {
            return Err(too_long(captured));
        }
        let length = captured as usize;
        let total = header.saturating_add(length);
        let left = buffer.have(total)?;
        if left < total {
            return Err(Fault::short(format!("a packet of {captured} bytes with its header"), total, left));
        }
        let at = buffer.consume(total).saturating_add(header);
        let time = u64::from(seconds) * 1_000_000_000 + u64::from(fraction) * u64::from(self.kind.unit);
        Ok(Some(Found { time, link: self.link, original_length: original, at, length, pod: None }))
    }
}

impl Lengths {
    /// Captured and original length.
    fn sort(self, first: u32, second: u32) -> (u32, u32) {
        match self {
            Self::CapturedFirst => (first, second),
            Self::OriginalFirst => (second, first),
            Self::LesserIsCaptured => (first.min(second), first.max(second)),
        }
    }
}

#[cold]
fn too_long(captured: u32) -> Fault {
    Fault::wrong("a packet's header", format!("a captured length of {captured} is above {PACKET_LIMIT}"))
}

#[cfg(test)]
#[path = "records_tests.rs"]
mod tests;
