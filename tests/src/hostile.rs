//! A capture that is made to take memory: very many connections, each of which leaves as much behind as it can.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

/// `LINKTYPE_RAW`: packets begin with their IP header.
const RAW: u32 = 101;
const SYN: u8 = 2;
const ACK: u8 = 16;
/// Bytes of payload in a packet.
const SEGMENT: usize = 32_000;
/// What an HTTP/2 client begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Frames (RFC 9113, section 6).
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const END_HEADERS: u8 = 4;
/// The server that all connections go to.
pub const SERVER: [u8; 4] = [10, 0, 0, 1];

/// What the connections leave behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attack {
    /// An answered HTTP/1 request each, and silence.
    Idle,
    /// Full HTTP/2 header tables.
    Tables,
    /// HTTP/2 streams that never end.
    Streams,
    /// HTTP/2 header blocks that never end.
    Blocks,
    /// HTTP/1 requests that are never answered.
    Pipelines,
    /// HTTP/1 heads that never end.
    Heads,
}

impl Attack {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Idle, Self::Tables, Self::Streams, Self::Blocks, Self::Pipelines, Self::Heads];

    /// What the client says, the server answers, and the client says then.
    fn turns(self) -> [Vec<u8>; 3] {
        let request = b"GET /a/path HTTP/1.1\r\nHost: x\r\n\r\n";
        let http1 = |client: Vec<u8>, server: &[u8]| [client, server.to_vec(), Vec::new()];
        let http2 = |frames| [[PREFACE.to_vec(), settings(&[])].concat(), settings(&[(1, 65_536)]), frames];
        match self {
            Self::Idle => http1(request.to_vec(), b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
            Self::Pipelines => http1(request.repeat(900), b""),
            Self::Heads => http1([b"GET / HTTP/1.1\r\nCookie: ".to_vec(), vec![b'x'; 60_000]].concat(), b""),
            Self::Tables => http2(tables()),
            Self::Streams => http2(streams()),
            Self::Blocks => http2(frame(HEADERS, 0, 1, &vec![0x82; 16_000])),
        }
    }
}

/// Writes a capture of `connections` of each attack, one after the other.
pub fn write(path: &Path, attacks: &[(Attack, u32)]) -> io::Result<()> {
    let mut capture = Capture { out: BufWriter::new(File::create(path)?), time: 0 };
    let header: [u32; 6] = [0xa1b2_3c4d, 2 | 4 << 16, 0, 0, 65_535, RAW];
    header.iter().try_for_each(|word| capture.out.write_all(&word.to_le_bytes()))?;
    let mut number = 0;
    for (attack, connections) in attacks {
        let turns = attack.turns();
        for _ in 0..*connections {
            capture.connection(number, &turns)?;
            number += 1;
        }
    }
    capture.out.flush()
}

struct Capture {
    out: BufWriter<File>,
    /// Microseconds.
    time: u32,
}

impl Capture {
    fn connection(&mut self, number: u32, turns: &[Vec<u8>; 3]) -> io::Result<()> {
        let [a, b, high, low] = number.to_be_bytes();
        let address = [10, 1 + a, b, high];
        let end = (address, 1024 + u16::from(low));
        let mut next = [100, 900];
        self.packet(end, true, SYN, next, &[])?;
        next[0] += 1;
        self.packet(end, false, SYN | ACK, next, &[])?;
        next[1] += 1;
        self.packet(end, true, ACK, next, &[])?;
        for (side, bytes) in [0, 1, 0].into_iter().zip(turns) {
            for part in bytes.chunks(SEGMENT) {
                self.packet(end, side == 0, ACK, next, part)?;
                next[side] += u32::try_from(part.len()).map_err(io::Error::other)?;
                self.packet(end, side == 1, ACK, next, &[])?;
            }
        }
        Ok(())
    }

    fn packet(
        &mut self,
        client: ([u8; 4], u16),
        from_client: bool,
        flags: u8,
        next: [u32; 2],
        payload: &[u8],
    ) -> io::Result<()> {
        let server = (SERVER, 8080);
        let (from, to, [sequence, acknowledged]) =
            if from_client { (client, server, next) } else { (server, client, [next[1], next[0]]) };
        let length = u16::try_from(40 + payload.len()).map_err(io::Error::other)?;
        let mut bytes = vec![0x45, 0];
        bytes.extend(length.to_be_bytes());
        bytes.extend([0, 1, 0x40, 0, 64, 6, 0, 0]);
        bytes.extend(from.0.into_iter().chain(to.0));
        bytes.extend(from.1.to_be_bytes().into_iter().chain(to.1.to_be_bytes()));
        bytes.extend(sequence.to_be_bytes().into_iter().chain(acknowledged.to_be_bytes()));
        bytes.extend([0x50, flags, 0x10, 0, 0, 0, 0, 0]);
        bytes.extend(payload);
        self.time += 2;
        let seconds = 1_700_000_000 + self.time / 1_000_000;
        let whole = u32::from(length);
        for word in [seconds, self.time % 1_000_000 * 1000, whole, whole] {
            self.out.write_all(&word.to_le_bytes())?;
        }
        self.out.write_all(&bytes)
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

fn settings(settings: &[(u16, u32)]) -> Vec<u8> {
    let item = |(id, value): &(u16, u32)| [id.to_be_bytes().to_vec(), value.to_be_bytes().to_vec()].concat();
    frame(SETTINGS, 0, 0, &settings.iter().flat_map(item).collect::<Vec<_>>())
}

/// A header block that fills a table of 64 KiB with entries of three bytes: `:path`, and a text of one character.
fn tables() -> Vec<u8> {
    // The table's size (RFC 7541, section 6.3).
    let mut block = vec![0x3f, 0xe1, 0xff, 0x03];
    block.extend([0x44, 1, b'/'].repeat(1_700));
    frame(HEADERS, END_HEADERS, 1, &block)
}

/// `GET /`, again and again.
fn streams() -> Vec<u8> {
    let stream = |number: u32| frame(HEADERS, END_HEADERS, 2 * number + 1, &[0x82, 0x84]);
    (0..2_000).flat_map(stream).collect()
}
