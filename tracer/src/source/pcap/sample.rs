//! Captures for tests, byte by byte.

use std::io::{self, Read};

use super::{Error, Reader, order::Order};

/// A packet of a test, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) number: u64,
    pub(super) time: u64,
    pub(super) link: u16,
    pub(super) original_length: u32,
    pub(super) bytes: Vec<u8>,
}

/// All packets of a capture, and the error at its end.
pub(super) fn read(bytes: &[u8]) -> (Vec<Packet>, Option<String>) {
    match Reader::from_read(io::Cursor::new(bytes.to_vec()), "test.pcap") {
        Ok(reader) => drain(reader),
        Err(error) => (Vec::new(), Some(error.to_string())),
    }
}

/// The same of an open capture. After the error comes nothing.
pub(super) fn drain(mut reader: Reader) -> (Vec<Packet>, Option<String>) {
    let mut packets = Vec::new();
    let error = loop {
        match next(&mut reader) {
            Ok(Some(packet)) => packets.push(packet),
            Ok(None) => break None,
            Err(error) => break Some(error.to_string()),
        }
    };
    assert_eq!(next(&mut reader).unwrap(), None);
    (packets, error)
}

fn next(reader: &mut Reader) -> Result<Option<Packet>, Error> {
    Ok(reader.next()?.map(|raw| Packet {
        number: raw.number,
        time: raw.time,
        link: raw.link.0,
        original_length: raw.original_length,
        bytes: raw.bytes.to_vec(),
    }))
}

/// Times of the packets.
pub(super) fn times(packets: &[Packet]) -> Vec<u64> {
    packets.iter().map(|packet| packet.time).collect()
}

impl Order {
    /// 32-bit numbers as bytes.
    pub(super) fn put(self, words: &[u32]) -> Vec<u8> {
        let bytes = |word: &u32| match self {
            Self::Little => word.to_le_bytes(),
            Self::Big => word.to_be_bytes(),
        };
        words.iter().flat_map(bytes).collect()
    }

    /// 16-bit numbers as bytes.
    pub(super) fn put_halves(self, halves: &[u16]) -> Vec<u8> {
        let bytes = |half: &u16| match self {
            Self::Little => half.to_le_bytes(),
            Self::Big => half.to_be_bytes(),
        };
        halves.iter().flat_map(bytes).collect()
    }

    /// The file header of a pcap of version 2.`minor`, for Ethernet.
    pub(super) fn file_header(self, magic: u32, minor: u16) -> Vec<u8> {
        let mut bytes = self.put(&[magic]);
        bytes.extend(self.put_halves(&[2, minor]));
        bytes.extend(self.put(&[0, 0, 65_535, 1]));
        bytes
    }

    /// A record of a packet that was captured whole.
    pub(super) fn record(self, seconds: u32, fraction: u32, packet: &[u8]) -> Vec<u8> {
        let length = u32::try_from(packet.len()).unwrap();
        let mut bytes = self.put(&[seconds, fraction, length, length]);
        bytes.extend(packet);
        bytes
    }

    /// A block, its body padded.
    pub(super) fn block(self, kind: u32, body: &[u8]) -> Vec<u8> {
        let mut body = body.to_vec();
        body.resize(body.len().next_multiple_of(4), 0);
        let length = u32::try_from(body.len() + 12).unwrap();
        let mut bytes = self.put(&[kind, length]);
        bytes.extend(body);
        bytes.extend(self.put(&[length]));
        bytes
    }

    /// A section header.
    pub(super) fn section(self) -> Vec<u8> {
        self.block(0x0a0d_0d0a, &self.section_body())
    }

    /// A section header that names the program that wrote it.
    pub(super) fn section_by(self, application: &[u8]) -> Vec<u8> {
        let mut body = self.section_body();
        self.options(&mut body, &[(3, b"Linux"), (4, application)]);
        self.block(0x0a0d_0d0a, &body)
    }

    fn section_body(self) -> Vec<u8> {
        let mut body = self.put(&[0x1a2b_3c4d]);
        body.extend(self.put_halves(&[1, 0]));
        body.extend([0xff; 8]);
        body
    }

    fn options(self, body: &mut Vec<u8>, options: &[(u16, &[u8])]) {
        for (code, value) in options {
            body.extend(self.put_halves(&[*code, u16::try_from(value.len()).unwrap()]));
            body.extend(*value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
    }

    /// An interface with options.
    pub(super) fn interface(self, link: u16, snapshot_length: u32, options: &[(u16, &[u8])]) -> Vec<u8> {
        self.block(1, &self.interface_body(link, snapshot_length, options))
    }

    /// The body of that.
    pub(super) fn interface_body(self, link: u16, snapshot_length: u32, options: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = self.put_halves(&[link, 0]);
        body.extend(self.put(&[snapshot_length]));
        self.options(&mut body, options);
        body
    }

    /// An enhanced packet block.
    pub(super) fn enhanced(self, interface: u32, ticks: u64, packet: &[u8]) -> Vec<u8> {
        let length = u32::try_from(packet.len()).unwrap();
        let [high, low] = [ticks >> 32, ticks & 0xffff_ffff].map(|half| u32::try_from(half).unwrap());
        let mut body = self.put(&[interface, high, low, length, length]);
        body.extend(packet);
        self.block(6, &body)
    }

    /// One of tick 1 with options.
    pub(super) fn enhanced_with(self, interface: u32, packet: &[u8], options: &[(u16, &[u8])]) -> Vec<u8> {
        let length = u32::try_from(packet.len()).unwrap();
        let mut body = self.put(&[interface, 0, 1, length, length]);
        body.extend(packet);
        body.resize(body.len().next_multiple_of(4), 0);
        self.options(&mut body, options);
        self.block(6, &body)
    }
}

/// Gives one byte at a time, and is interrupted before each.
#[derive(Debug)]
pub(super) struct Trickle {
    bytes: Vec<u8>,
    at: usize,
    interrupted: bool,
}

impl Trickle {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, at: 0, interrupted: false }
    }
}

impl Read for Trickle {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        self.interrupted = !self.interrupted;
        if self.interrupted {
            return Err(io::ErrorKind::Interrupted.into());
        }
        match (self.bytes.get(self.at), room.first_mut()) {
            (Some(byte), Some(room)) => {
                *room = *byte;
                self.at += 1;
                Ok(1)
            }
            _ => Ok(0),
        }
    }
}
