//! Connections written frame by frame.

mod damage;
mod ends;
mod exchanges;
mod joined;
mod memory;
mod splits;

use super::*;
use crate::proto::stream::{Exchange, Protocol};

const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const WHOLE: u8 = END_STREAM | END_HEADERS;

/// A frame.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

fn data(stream: u32, flags: u8, length: usize) -> Vec<u8> {
    frame(0, flags, stream, &vec![b'x'; length])
}

fn headers(stream: u32, flags: u8, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(1, flags, stream, &block(fields))
}

fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(3, 0, stream, &code.to_be_bytes())
}

fn goaway(last: u32, code: u32) -> Vec<u8> {
    frame(7, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat())
}

fn settings(items: &[(u16, u32)]) -> Vec<u8> {
    let items: Vec<u8> =
        items.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect();
    frame(4, 0, 0, &items)
}

fn window_update(stream: u32, increment: u32) -> Vec<u8> {
    frame(8, 0, stream, &increment.to_be_bytes())
}

/// Literals without Huffman that are not indexed; a name that begins with `+` is, without it.
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        let indexed = name.strip_prefix('+');
        bytes.push(if indexed.is_some() { 0x40 } else { 0 });
        for text in [indexed.unwrap_or(name), value] {
            assert!(text.len() < 127);
            bytes.push(u8::try_from(text.len()).unwrap());
            bytes.extend_from_slice(text.as_bytes());
        }
    }
    bytes
}

fn get(stream: u32, path: &str) -> Vec<u8> {
    headers(stream, WHOLE, &[(":method", "GET"), (":path", path)])
}

fn answer(stream: u32, status: &str) -> Vec<u8> {
    headers(stream, WHOLE, &[(":status", status)])
}

/// A connection under test. Each delivery is a packet, numbered from 1, at ten times that in nanoseconds.
struct Lab {
    connection: Connection,
    packet: u64,
    events: Vec<Event>,
}

impl Lab {
    fn over(connection: Connection) -> Self {
        Self { connection, packet: 0, events: Vec::new() }
    }

    /// A new connection after both prefaces: two packets.
    fn new() -> Self {
        let mut lab = Self::over(Connection::new());
        lab.client(&[PREFACE.to_vec(), settings(&[])].concat());
        lab.server(&settings(&[]));
        lab
    }

    fn seen(&mut self) -> Seen {
        self.packet += 1;
        seen(self.packet)
    }

    fn from(&mut self, side: Side, bytes: &[u8]) {
        let seen = self.seen();
        let events = &mut self.events;
        let taken = self.connection.bytes(side, seen, bytes, &mut |event| events.push(event));
        assert_eq!(taken, bytes.len());
    }

    fn client(&mut self, bytes: &[u8]) {
        self.from(Side::Client, bytes);
    }

    fn server(&mut self, bytes: &[u8]) {
        self.from(Side::Server, bytes);
    }

    fn gap(&mut self, side: Side, length: u64) {
        let seen = self.seen();
        let events = &mut self.events;
        self.connection.gap(side, seen, length, &mut |event| events.push(event));
    }

    fn end(&mut self, side: Side, end: End) {
        let seen = self.seen();
        let events = &mut self.events;
        self.connection.end(side, seen, end, &mut |event| events.push(event));
    }

    /// What ended since it was last asked.
    fn ended(&mut self) -> Vec<Exchange> {
        let events = self.events.drain(..);
        events
            .filter_map(|event| if let Event::Ended(exchange) = event { Some(exchange) } else { None })
            .collect()
    }

    /// Numbers and outcomes of what ended.
    fn outcomes(&mut self) -> Vec<(u32, Outcome)> {
        self.ended().into_iter().map(|exchange| (exchange.number, exchange.outcome)).collect()
    }

    /// Numbers of what began since it was last asked.
    fn begun(&self) -> Vec<u32> {
        let begun =
            |event: &Event| if let Event::Begun { number, .. } = event { Some(*number) } else { None };
        self.events.iter().filter_map(begun).collect()
    }
}

fn seen(packet: u64) -> Seen {
    Seen { time: 10 * packet, packet }
}

fn part(first: u64, head: u64, last: u64, bytes: usize) -> Part {
    Part { first: seen(first), head: seen(head), last: seen(last), bytes: bytes as u64 }
}
