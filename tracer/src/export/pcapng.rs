//! Captured packets as pcapng: an interface per pod, direction and comments per packet, losses at the end.
//!
//! Packets come without a link layer. They get an Ethernet header, because libpcap refuses a file with
//! several raw interfaces; its addresses only tell the pod's end from the peer's.

use std::{
    borrow::Cow,
    collections::HashMap,
    fmt,
    io::{self, Write},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use pcap_file::{
    DataLink, Endianness,
    pcapng::{
        PcapNgBlock, PcapNgWriteError, PcapNgWriter,
        blocks::{
            enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption},
            interface_description::{
                InterfaceDescriptionBlock, InterfaceDescriptionOption, InterfaceTsResolution,
            },
            interface_statistics::{InterfaceStatisticsBlock, InterfaceStatisticsOption},
            name_resolution::{Ipv4Record, Ipv6Record, NameResolutionBlock, Record},
            opt_common::CommonOption,
            section_header::{SectionHeaderBlock, SectionHeaderOption},
        },
    },
};
use tracer_ebpf::{record::PacketHead, segment::Direction};

use super::addresses::Addresses;
use crate::pod::Pod;

/// Longest packet in a file, bytes: segments are longer than 64 KiB before they are cut for the wire.
pub const SNAP_LENGTH: u32 = 262_144;
/// Longest comment, bytes: the length of an option has 16 bits.
pub const COMMENT_LIMIT: usize = 32 * 1024;

/// Whole blocks are collected up to here before they are written.
const BUFFER: usize = 64 * 1024;
const ETHERNET_HEADER: u8 = 14;
const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;

/// A packet to write; its payload is masked already.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// The pod whose socket it passed.
    pub pod: &'a Arc<Pod>,
    /// What the kernel said about it.
    pub head: &'a PacketHead,
    /// The packet from its IP header on, as far as it was captured.
    pub bytes: &'a [u8],
    /// When it passed, Unix nanoseconds.
    pub unix_ns: u64,
    /// What to say about it.
    pub comments: &'a [String],
}

/// What is in the file for good: whole blocks that a reader understands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Bytes from the beginning of the file.
    pub bytes: u64,
    /// Packets in them.
    pub packets: u64,
}

/// The output took no more.
#[derive(Debug, thiserror::Error)]
#[error("writing the capture: {source}; {} packets ({} bytes) are complete", written.packets, written.bytes)]
pub struct WriteError {
    /// What is complete. A torn block may follow: cut a file to these bytes.
    pub written: Written,
    /// What the output said.
    pub source: io::Error,
}

/// Packets that are missing from a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// The kernel's ring had no room for them.
    pub kernel: u64,
    /// They had to go before it was known whether they are wanted.
    pub early: u64,
}

impl fmt::Display for Losses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tracer: packets lost on all interfaces together: {}", self.kernel)?;
        if self.early > 0 {
            write!(f, "; gone before their request was known to be slow: {}", self.early)?;
        }
        Ok(())
    }
}

struct Interface {
    id: u32,
    packets: u64,
}

/// Writes one pcapng section. Only whole blocks reach the output.
pub struct Writer<W> {
    output: W,
    /// Encodes into memory; the blocks that are not in the output yet.
    encoder: PcapNgWriter<Vec<u8>>,
    interfaces: HashMap<Arc<Pod>, Interface>,
    /// The pods' addresses, as far as they have names.
    addresses: Addresses,
    /// Names that wait for an interface: editcap copies no file in which something comes before the first.
    names: Vec<Record<'static>>,
    frame: Vec<u8>,
    written: Written,
    /// What will be written once the buffer is.
    pending: Written,
    start: Duration,
}

impl<W: Write> Writer<W> {
    /// Begins the file; the capture began at `start_unix_ns`.
    ///
    /// # Errors
    /// When the output takes no bytes.
    pub fn new(output: W, start_unix_ns: u64) -> Result<Self, WriteError> {
        let application = concat!("tracer ", env!("CARGO_PKG_VERSION"));
        let section = SectionHeaderBlock {
            endianness: Endianness::Little,
            options: vec![SectionHeaderOption::UserApplication(application.into())],
            ..SectionHeaderBlock::default()
        };
        let encoder = PcapNgWriter::with_section_header(Vec::with_capacity(BUFFER), section);
        let encoder =
            encoder.map_err(|error| WriteError { written: Written::default(), source: encoding(error) })?;
        let mut writer = Self {
            output,
            encoder,
            interfaces: HashMap::new(),
            addresses: Addresses::default(),
            names: Vec::new(),
            frame: Vec::new(),
            written: Written::default(),
            pending: Written::default(),
            start: Duration::from_nanos(start_unix_ns),
        };
        writer.flush()?;
        Ok(writer)
    }

    /// Adds a packet; the pod's first one adds its interface, and that of an address the address's name.
    ///
    /// # Errors
    /// When the output takes no more.
    pub fn packet(&mut self, packet: &Packet<'_>) -> Result<(), WriteError> {
        let id = self.interface(packet.pod)?;
        let outbound = packet.head.direction == Direction::Egress as u8;
        if let Some((address, name)) = self.addresses.see(packet.pod, packet.bytes, outbound) {
            self.name(address, &name);
        }
        if !self.names.is_empty() {
            let records = std::mem::take(&mut self.names);
            self.block(NameResolutionBlock { records, options: Vec::new() })?;
        }
        let mut frame = std::mem::take(&mut self.frame);
        fill_frame(&mut frame, packet, id);
        let mut options = vec![EnhancedPacketOption::Flags(if outbound { OUTBOUND } else { INBOUND })];
        let comments = packet.comments.iter().map(|text| CommonOption::Comment(cut(text).into()));
        options.extend(comments.map(EnhancedPacketOption::Common));
        let wire = packet.head.length.saturating_add(ETHERNET_HEADER.into());
        let length = u32::try_from(frame.len()).unwrap_or(SNAP_LENGTH);
        self.pending.packets += 1;
        let result = self.block(EnhancedPacketBlock {
            interface_id: id,
            timestamp: Duration::from_nanos(packet.unix_ns),
            original_len: wire.max(length),
            data: Cow::Borrowed(&frame),
            options,
        });
        self.frame = frame;
        result
    }

    /// Gives an address a name, for every reader of the file; it is written before the next packet.
    fn name(&mut self, address: IpAddr, name: &str) {
        // A name ends at its first zero byte.
        let names = vec![Cow::Owned(cut(name).replace('\0', ""))];
        self.names.push(match address {
            IpAddr::V4(ip_addr) => Record::Ipv4(Ipv4Record { ip_addr, names }),
            IpAddr::V6(ip_addr) => Record::Ipv6(Ipv6Record { ip_addr, names }),
        });
    }

    /// Hands every whole block to the output: what a killed tracer leaves is readable up to here.
    ///
    /// # Errors
    /// When the output takes no more.
    pub fn flush(&mut self) -> Result<(), WriteError> {
        let buffer = self.encoder.get_ref();
        let mut taken = 0;
        let result = write_counted(&mut self.output, buffer, &mut taken).and_then(|()| self.output.flush());
        if let Err(source) = result {
            let whole = whole_blocks(buffer.get(..taken).unwrap_or_default());
            let bytes = self.written.bytes + whole.bytes;
            return Err(WriteError {
                written: Written { bytes, packets: self.written.packets + whole.packets },
                source,
            });
        }
        self.pending.bytes += self.encoder.get_ref().len() as u64;
        self.encoder.get_mut().clear();
        self.written = self.pending;
        Ok(())
    }

    /// What is in the output.
    #[must_use]
    pub fn written(&self) -> Written {
        self.written
    }

    /// Bytes of all blocks so far, whether the output has them or not.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.written.bytes + self.encoder.get_ref().len() as u64
    }

    /// Ends the file with the statistics of each interface. The kernel counts its losses for all pods
    /// together: they stand on the first interface.
    ///
    /// # Errors
    /// When the output takes no more.
    pub fn finish(mut self, end_unix_ns: u64, losses: Losses) -> Result<Written, WriteError> {
        let mut counts: Vec<_> = self.interfaces.values().map(|known| (known.id, known.packets)).collect();
        counts.sort_unstable();
        let end = Duration::from_nanos(end_unix_ns);
        for (interface_id, packets) in counts {
            let mut options = vec![
                InterfaceStatisticsOption::IsbStartTime(self.start),
                InterfaceStatisticsOption::IsbEndTime(end),
                InterfaceStatisticsOption::IsbUsrDeliv(packets),
            ];
            if interface_id == 0 {
                options.push(InterfaceStatisticsOption::IsbIfDrop(losses.kernel));
                let comment = losses.to_string();
                options.push(InterfaceStatisticsOption::Common(CommonOption::Comment(comment.into())));
            }
            self.block(InterfaceStatisticsBlock { interface_id, timestamp: end, options })?;
        }
        self.flush()?;
        Ok(self.written)
    }

    fn interface(&mut self, pod: &Arc<Pod>) -> Result<u32, WriteError> {
        if let Some(interface) = self.interfaces.get_mut(pod) {
            interface.packets += 1;
            return Ok(interface.id);
        }
        let id = u32::try_from(self.interfaces.len()).unwrap_or(u32::MAX);
        self.interfaces.insert(Arc::clone(pod), Interface { id, packets: 1 });
        self.block(InterfaceDescriptionBlock {
            linktype: DataLink::ETHERNET,
            snaplen: SNAP_LENGTH,
            options: vec![
                InterfaceDescriptionOption::IfName(cut(&pod.to_string()).to_owned().into()),
                InterfaceDescriptionOption::IfDescription(cut(&pod.uid).into()),
                InterfaceDescriptionOption::IfTsResol(InterfaceTsResolution::NANO),
            ],
        })?;
        Ok(id)
    }

    fn block<'a>(&mut self, block: impl PcapNgBlock<'a>) -> Result<(), WriteError> {
        let encoded = self.encoder.write_pcapng_block(block);
        encoded.map_err(|error| WriteError { written: self.written, source: encoding(error) })?;
        if self.encoder.get_ref().len() >= BUFFER { self.flush() } else { Ok(()) }
    }
}

/// Writes all of `bytes`; `taken` says how many the output took, also when it fails.
fn write_counted(output: &mut impl Write, bytes: &[u8], taken: &mut usize) -> io::Result<()> {
    while let Some(rest) = bytes.get(*taken..).filter(|rest| !rest.is_empty()) {
        match output.write(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => *taken += written,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The whole blocks at the beginning of `bytes`, of files as they are written here: each says its type and its length in its first eight bytes.
pub(crate) fn whole_blocks(bytes: &[u8]) -> Written {
    const ENHANCED_PACKET: u32 = 6;
    let mut whole = Written::default();
    let mut rest = bytes;
    let word = |bytes: &[u8], at: usize| bytes.get(at..)?.first_chunk().map(|word| u32::from_le_bytes(*word));
    while let (Some(kind), Some(length)) = (word(rest, 0), word(rest, 4)) {
        let Some(next) = rest.get(length as usize..).filter(|_| length >= 12) else { break };
        whole.bytes += u64::from(length);
        whole.packets += u64::from(kind == ENHANCED_PACKET);
        rest = next;
    }
    whole
}

fn encoding(error: PcapNgWriteError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// The packet behind an Ethernet header whose addresses are locally administered.
fn fill_frame(frame: &mut Vec<u8>, packet: &Packet<'_>, interface: u32) {
    let [_, a, b, c] = interface.to_be_bytes();
    let pod = [2, b'p', b'o', a, b, c];
    let peer = [2, 0, 0, a, b, c];
    let outbound = packet.head.direction == Direction::Egress as u8;
    let (to, from) = if outbound { (peer, pod) } else { (pod, peer) };
    let version = packet.bytes.first().map_or(4, |byte| byte >> 4);
    let kind: [u8; 2] = if version == 6 { [0x86, 0xdd] } else { [0x08, 0x00] };
    frame.clear();
    frame.extend_from_slice(&to);
    frame.extend_from_slice(&from);
    frame.extend_from_slice(&kind);
    let room = SNAP_LENGTH as usize - usize::from(ETHERNET_HEADER);
    frame.extend_from_slice(packet.bytes.get(..room).unwrap_or(packet.bytes));
}

/// A text that fits an option.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(COMMENT_LIMIT)]
}

#[cfg(test)]
#[path = "pcapng_tests.rs"]
mod tests;
