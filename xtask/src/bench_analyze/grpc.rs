//! gRPC calls on a connection, several at a time.

use std::io;

use super::http2::{
    DATA, END_HEADERS, END_STREAM, Encoder, HEADERS, PREFACE, SETTINGS, WINDOW_UPDATE, frame, literal,
};
use super::wire::{Connection, End, Side, Wire};

/// What is called; what each path answers is the same.
pub(super) const PATHS: [&str; 4] =
    ["/shop.Catalog/Search", "/shop.Catalog/Item", "/shop.Prices/Quote", "/shop.Stock/Reserve"];
/// A message with its length in front.
const REQUEST: [u8; 45] = message(0x0a);
const RESPONSE: [u8; 305] = message(0x12);

const fn message<const N: usize>(field: u8) -> [u8; N] {
    let mut bytes = [b'v'; N];
    let text = N - 8;
    // Five bytes of gRPC's own, then a protobuf field that is a string, its length in two bytes.
    let head = [0, 0, 0, ((N - 5) >> 8).to_le_bytes()[0], (N - 5).to_le_bytes()[0], field];
    let mut at = 0;
    while at < head.len() {
        bytes[at] = head[at];
        at += 1;
    }
    bytes[6] = 0x80 | (text & 0x7f).to_le_bytes()[0];
    bytes[7] = (text >> 7).to_le_bytes()[0];
    bytes
}

/// A client's connection to a server.
pub(super) struct Channel {
    connection: Connection,
    requests: Encoder,
    responses: Encoder,
    /// The id of the next stream.
    next: u32,
    bytes: Vec<u8>,
    block: Vec<u8>,
}

impl Channel {
    /// With the settings of both sides; windows are as large as possible, so that nobody waits.
    pub(super) fn open(wire: &mut Wire, client: End, server: End, first: u32) -> io::Result<Self> {
        let connection = Connection::open(wire, client, server, first)?;
        let (requests, responses) = (Encoder::default(), Encoder::default());
        let (bytes, block) = (Vec::new(), Vec::new());
        let mut new = Self { connection, requests, responses, next: 1, bytes, block };
        new.bytes.extend_from_slice(PREFACE);
        for side in [Side::Client, Side::Server] {
            frame(&mut new.bytes, SETTINGS, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff]);
            frame(&mut new.bytes, WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0, 0]);
            new.send(wire, side)?;
        }
        frame(&mut new.bytes, SETTINGS, END_STREAM, 0, &[]);
        new.send(wire, Side::Client)?;
        frame(&mut new.bytes, SETTINGS, END_STREAM, 0, &[]);
        new.send(wire, Side::Server)?;
        new.connection.acknowledge(wire, Side::Client)?;
        Ok(new)
    }

    /// Begins a call and says its stream.
    pub(super) fn call(&mut self, wire: &mut Wire, path: &'static str, id: u64) -> io::Result<u32> {
        let stream = self.next;
        self.next += 2;
        self.block.clear();
        let fields = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", "catalog.shop.svc:50051"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        ];
        for (name, value) in fields {
            self.requests.field(&mut self.block, name, value);
        }
        literal(&mut self.block, "x-request-id", &format!("{id:016x}"));
        frame(&mut self.bytes, HEADERS, END_HEADERS, stream, &self.block);
        frame(&mut self.bytes, DATA, END_STREAM, stream, &REQUEST);
        self.send(wire, Side::Client)?;
        Ok(stream)
    }

    /// The server's answer to a call: headers and a message.
    pub(super) fn answer(&mut self, wire: &mut Wire, stream: u32) -> io::Result<()> {
        self.block.clear();
        self.responses.field(&mut self.block, ":status", "200");
        self.responses.field(&mut self.block, "content-type", "application/grpc");
        frame(&mut self.bytes, HEADERS, END_HEADERS, stream, &self.block);
        frame(&mut self.bytes, DATA, 0, stream, &RESPONSE);
        self.send(wire, Side::Server)
    }

    /// The end of a call, with its status.
    pub(super) fn end(&mut self, wire: &mut Wire, stream: u32, status: &'static str) -> io::Result<()> {
        self.block.clear();
        self.responses.field(&mut self.block, "grpc-status", status);
        frame(&mut self.bytes, HEADERS, END_HEADERS | END_STREAM, stream, &self.block);
        self.send(wire, Side::Server)?;
        self.connection.acknowledge(wire, Side::Client)
    }

    fn send(&mut self, wire: &mut Wire, side: Side) -> io::Result<()> {
        self.connection.say(wire, side, &self.bytes)?;
        self.bytes.clear();
        Ok(())
    }
}
