//! The capture: a pod that serves HTTP requests, and for each of them looks a name up and makes a gRPC call.

use std::io;
use std::path::Path;

use super::grpc::{Channel, PATHS};
use super::pcap::Writer;
use super::wire::{Connection, End, Side, Wire};

/// Port of the gRPC servers.
pub(super) const GRPC_PORT: u16 = 50_051;
/// Connections of each kind.
const CONNECTIONS: usize = 64;
/// Requests that are served at the same time.
const TOGETHER: usize = 8;
const POD: [u8; 4] = [10, 0, 0, 1];
const CLIENT: [u8; 4] = [10, 0, 0, 9];
const BACKEND: [u8; 4] = [10, 0, 0, 20];
const RESOLVER: End = ([10, 96, 0, 10], 53);
/// Bytes of a response's body.
const BODY: usize = 4096;

/// What a capture holds, and so what a reader has to find in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Contents {
    pub(super) packets: u64,
    /// Of the file.
    pub(super) bytes: u64,
    /// HTTP/1 exchanges.
    pub(super) http: u64,
    /// HTTP/2 streams.
    pub(super) http2: u64,
    /// DNS answers.
    pub(super) dns: u64,
    pub(super) retransmissions: u64,
}

/// Writes a capture of at least so many packets; the same bytes each time.
pub(super) fn write(path: &Path, packets: u64) -> io::Result<Contents> {
    let mut wire = Wire::new(Writer::create(path)?);
    let mut traffic = Traffic::open(&mut wire)?;
    while wire.capture.packets < packets {
        for first in (0..CONNECTIONS).step_by(TOGETHER) {
            traffic.serve(&mut wire, first)?;
        }
    }
    let Wire { capture, retransmissions, .. } = wire;
    let (packets, bytes, served) = (capture.packets, capture.bytes, traffic.served);
    capture.finish()?;
    Ok(Contents { packets, bytes, http: served, http2: served, dns: served, retransmissions })
}

struct Traffic {
    requests: Vec<Connection>,
    calls: Vec<Channel>,
    chance: Chance,
    response: Vec<u8>,
    served: u64,
}

impl Traffic {
    fn open(wire: &mut Wire) -> io::Result<Self> {
        let mut chance = Chance(0x2545_f491_4f6c_dd1d);
        let (mut requests, mut calls) = (Vec::new(), Vec::new());
        for port in (20_000..).take(CONNECTIONS) {
            let first = chance.below(u32::MAX);
            requests.push(Connection::open(wire, (CLIENT, port), (POD, 8080), first)?);
            calls.push(Channel::open(wire, (POD, port + 10_000), (BACKEND, GRPC_PORT), !first)?);
        }
        let mut response = b"HTTP/1.1 200 OK\r\nServer: shop\r\nContent-Type: application/json\r\n".to_vec();
        response.extend_from_slice(format!("Content-Length: {BODY}\r\n\r\n").as_bytes());
        response.extend([b'x'; BODY]);
        Ok(Self { requests, calls, chance, response, served: 0 })
    }

    /// Serves a request on each of a few connections.
    fn serve(&mut self, wire: &mut Wire, first: usize) -> io::Result<()> {
        let Self { requests, calls, chance, response, served } = self;
        let requests = requests.iter_mut().skip(first).take(TOGETHER);
        let mut waiting = Vec::with_capacity(TOGETHER);
        for connection in requests {
            let item = chance.below(100_000);
            let request = format!(
                "GET /v1/items/{item}?page=1 HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n"
            );
            connection.say(wire, Side::Client, request.as_bytes())?;
            waiting.push(connection);
        }
        let mut streams = Vec::with_capacity(TOGETHER);
        // Two calls share a connection, and each connection has its turn.
        let turn = usize::from((*served / CONNECTIONS as u64) % 2 == 1);
        for at in (first..).take(waiting.len()).map(|at| at / 2 * 2 + turn) {
            lookup(wire, *served, chance)?;
            let path = PATHS[chance.below(4) as usize];
            streams.push((at, calls[at].call(wire, path, *served)?));
            *served += 1;
        }
        for (at, stream) in &streams {
            calls[*at].answer(wire, *stream)?;
        }
        for (at, stream) in streams {
            let status = if chance.below(50) == 0 { "14" } else { "0" };
            calls[at].end(wire, stream, status)?;
        }
        for connection in waiting {
            connection.say(wire, Side::Server, response)?;
            connection.acknowledge(wire, Side::Client)?;
        }
        Ok(())
    }
}

/// A query and its answer with an address, RFC 1035 section 4.
fn lookup(wire: &mut Wire, number: u64, chance: &mut Chance) -> io::Result<()> {
    let [.., high, low] = number.to_be_bytes();
    let port = 40_000 + u16::from_be_bytes([high, low]) % 20_000;
    let server = b'a' + chance.below(26).to_le_bytes()[0];
    let mut question = vec![8, b's', b'e', b'r', b'v', b'e', b'r', b'-', server];
    question.extend_from_slice(b"\x04shop\x07example\x00\x00\x01\x00\x01");
    let query = [&[high, low, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0], &question[..]].concat();
    wire.datagram((POD, port), RESOLVER, &query)?;
    let record = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 30, 0, 4, 10, 0, 0, 20];
    let answer = [&[high, low, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0], &question[..], &record].concat();
    wire.datagram(RESOLVER, (POD, port), &answer)
}

/// Marsaglia's xorshift: chance that is the same in each run.
struct Chance(u64);

impl Chance {
    /// A number below `limit`.
    fn below(&mut self, limit: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let [a, b, c, d, ..] = self.0.to_be_bytes();
        u32::from_be_bytes([a, b, c, d]) % limit
    }
}
