//! Ethernet frames with IPv4, UDP and TCP, and connections that number their bytes.

use std::io;

use super::pcap::Writer;

/// An address and a port.
pub(super) type End = ([u8; 4], u16);

/// Bytes of payload that fit into a segment.
const SEGMENT: usize = 1448;
/// Segments per retransmission.
const PER_RETRANSMISSION: u64 = 1000;
/// How long the sender of a lost segment waits, nanoseconds.
const RETRANSMISSION_TIMEOUT: u64 = 5_000_000;
const TCP: u8 = 6;
const UDP: u8 = 17;
const SYN: u8 = 2;
const PUSH: u8 = 8;
const ACK: u8 = 16;
/// Maximum segment size 1460 and a window scale of 7.
const SYN_OPTIONS: [u8; 8] = [2, 4, 0x05, 0xb4, 1, 3, 3, 7];

/// Who of a connection's ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Server,
}

/// What the capture is taken from.
pub(super) struct Wire {
    pub(super) capture: Writer,
    frame: Vec<u8>,
    segments: u64,
    /// Segments that came twice.
    pub(super) retransmissions: u64,
}

impl Wire {
    pub(super) fn new(capture: Writer) -> Self {
        Self { capture, frame: Vec::new(), segments: 0, retransmissions: 0 }
    }

    pub(super) fn datagram(&mut self, from: End, to: End, payload: &[u8]) -> io::Result<()> {
        self.network(from, to, UDP, 8 + payload.len())?;
        self.put16([from.1, to.1, length(8 + payload.len())?, 0]);
        self.frame.extend_from_slice(payload);
        self.capture.packet(&self.frame)
    }

    /// Ethernet and IPv4, RFC 791 section 3.1; no checksum, as where the network card makes it.
    fn network(&mut self, from: End, to: End, protocol: u8, size: usize) -> io::Result<()> {
        self.frame.clear();
        self.frame.extend_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]);
        self.put16([0x0800, 0x4500, length(20 + size)?, 1, 0x4000, 64 << 8 | u16::from(protocol), 0]);
        self.frame.extend_from_slice(&from.0);
        self.frame.extend_from_slice(&to.0);
        Ok(())
    }

    fn put16(&mut self, words: impl IntoIterator<Item = u16>) {
        words.into_iter().for_each(|word| self.frame.extend_from_slice(&word.to_be_bytes()));
    }
}

fn length(bytes: usize) -> io::Result<u16> {
    u16::try_from(bytes).map_err(io::Error::other)
}

/// A TCP connection.
pub(super) struct Connection {
    client: End,
    server: End,
    /// The sequence numbers that come next.
    next: [u32; 2],
}

impl Connection {
    /// With its handshake.
    pub(super) fn open(wire: &mut Wire, client: End, server: End, first: u32) -> io::Result<Self> {
        let mut new = Self { client, server, next: [first, first ^ 0x5a5a_5a5a] };
        for (side, flags) in [(Side::Client, SYN), (Side::Server, SYN | ACK)] {
            new.segment(wire, side, flags, &[])?;
            let next = &mut new.next[side as usize];
            *next = next.wrapping_add(1);
        }
        new.acknowledge(wire, Side::Client)?;
        Ok(new)
    }

    /// Sends bytes, in as many segments as they take.
    pub(super) fn say(&mut self, wire: &mut Wire, side: Side, bytes: &[u8]) -> io::Result<()> {
        for part in bytes.chunks(SEGMENT) {
            self.segment(wire, side, ACK | PUSH, part)?;
            if wire.segments / PER_RETRANSMISSION > wire.retransmissions {
                wire.retransmissions += 1;
                wire.capture.wait(RETRANSMISSION_TIMEOUT);
                wire.capture.packet(&wire.frame)?;
            }
            let next = &mut self.next[side as usize];
            *next = next.wrapping_add(u32::try_from(part.len()).map_err(io::Error::other)?);
        }
        Ok(())
    }

    /// Sends a segment without bytes.
    pub(super) fn acknowledge(&mut self, wire: &mut Wire, side: Side) -> io::Result<()> {
        self.segment(wire, side, ACK, &[])
    }

    /// RFC 9293 section 3.1.
    fn segment(&self, wire: &mut Wire, side: Side, flags: u8, payload: &[u8]) -> io::Result<()> {
        wire.segments += 1;
        let (from, to, sequence, acknowledged) = match side {
            Side::Client => (self.client, self.server, self.next[0], self.next[1]),
            Side::Server => (self.server, self.client, self.next[1], self.next[0]),
        };
        let options = if flags & SYN == 0 { &[][..] } else { &SYN_OPTIONS };
        let header = 20 + options.len();
        wire.network(from, to, TCP, header + payload.len())?;
        wire.put16([from.1, to.1]);
        wire.frame.extend_from_slice(&sequence.to_be_bytes());
        let acknowledged = if flags & ACK == 0 { 0 } else { acknowledged };
        wire.frame.extend_from_slice(&acknowledged.to_be_bytes());
        wire.put16([length(header / 4)? << 12 | u16::from(flags), 4096, 0, 0]);
        wire.frame.extend_from_slice(options);
        wire.frame.extend_from_slice(payload);
        wire.capture.packet(&wire.frame)
    }
}
