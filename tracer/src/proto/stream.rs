//! What a flow's two byte streams say: the seam between reassembly and the protocols.
//!
//! A [`Stream`] gets the bytes of both sides in the order in which they became readable, and tells of the
//! exchanges in them. It holds a bounded amount, whatever comes; what it cannot read it skips and counts.

use std::sync::Arc;

/// Where and when bytes were seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    /// Nanoseconds, on the clock of the source.
    pub time: u64,
    /// Number of the packet in its capture, from 1, as Wireshark counts; 0 when it came from the hooks.
    pub packet: u64,
}

/// One of the two ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Who opened it.
    Client,
    /// Who accepted it.
    Server,
}

impl Side {
    /// The other end.
    #[must_use]
    pub fn opposite(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// One message of an exchange.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Its first byte.
    pub first: Seen,
    /// The byte that ended its head (start line and headers); its first byte where there is no head.
    pub head: Seen,
    /// Its last byte.
    pub last: Seen,
    /// Bytes on the wire: start line, headers and body with their framing.
    pub bytes: u64,
}

/// What an exchange was about, as far as it may be shown: no header values, no query strings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The method, when it is a known one.
    pub method: Option<&'static str>,
    /// The path without query string and parameters, at most [`PATH_LIMIT`] bytes.
    pub path: Option<Arc<str>>,
    /// HTTP status.
    pub status: Option<u16>,
    /// gRPC status (the trailer `grpc-status`).
    pub grpc_status: Option<u16>,
    /// How long the caller waits (the header `grpc-timeout`), nanoseconds.
    pub timeout: Option<u64>,
}

/// Bytes of a path that are kept.
pub const PATH_LIMIT: usize = 256;

/// What kind of exchange it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.x: a request and its final response.
    Http1,
    /// HTTP/2: a stream. gRPC when its content type said so.
    Http2 {
        /// `content-type: application/grpc…`.
        grpc: bool,
    },
    /// A request/response turn of records that TLS hides.
    Tls,
    /// A turn of an unknown protocol.
    Opaque,
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The response is all there.
    Complete,
    /// The flow, or the stream, was reset or closed before that; by whom.
    Aborted(Side),
    /// The capture ended, or bytes are missing, before that.
    Cut,
}

/// A request message and its response message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// Identifies it on its flow: the position from 1, or the HTTP/2 stream id.
    pub number: u32,
    /// What kind.
    pub protocol: Protocol,
    /// What it was about.
    pub head: Head,
    /// The request; none of an exchange that was joined in the middle or that the server began.
    pub request: Option<Part>,
    /// The final response; none when none came.
    pub response: Option<Part>,
    /// How it ended.
    pub outcome: Outcome,
}

/// What a [`Stream`] tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A request's head is complete: it is in flight from now on. Once per exchange, before [`Event::Ended`]; not
    /// for exchanges without a request.
    Begun {
        /// As in [`Exchange::number`].
        number: u32,
        /// As in [`Exchange::protocol`].
        protocol: Protocol,
        /// So far.
        head: Head,
        /// So far.
        request: Part,
    },
    /// An exchange is over. Once each.
    Ended(Exchange),
    /// From the byte after those consumed on, the flow speaks something else.
    Upgraded(Upgrade),
}

/// What a flow speaks after an upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// HTTP/2 after `Upgrade: h2c` (RFC 7540, section 3.2): the request that asked becomes stream 1.
    Http2,
    /// Anything: a tunnel (CONNECT) or another protocol. To be detected anew.
    Unknown,
}

/// How a side's bytes ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// FIN: the side sends nothing more.
    Fin,
    /// The connection is over for both sides: RST, sent by this side.
    Reset,
    /// Nothing more is known: the capture ended, or the flow was forgotten.
    Unknown,
}

/// Reads the two byte streams of one flow.
pub trait Stream {
    /// Takes bytes that follow the last ones of `from`. Returns how many it took: all, unless it told of an
    /// [`Event::Upgraded`], after which it is not asked again.
    fn bytes(&mut self, from: Side, seen: Seen, bytes: &[u8], tell: &mut dyn FnMut(Event)) -> usize;

    /// `length` bytes of `from` are missing for good (lost by the capture, or cut by its snap length).
    fn gap(&mut self, from: Side, seen: Seen, length: u64, tell: &mut dyn FnMut(Event));

    /// A side's bytes ended; both sides' for [`End::Reset`] and [`End::Unknown`].
    fn end(&mut self, from: Side, seen: Seen, end: End, tell: &mut dyn FnMut(Event));

    /// Bytes that it holds besides itself, for [`Memory`](super::memory::Memory).
    fn held(&self) -> usize {
        0
    }

    /// There is no room for more than `room` bytes: gives up what it can do without, then what it cannot, and counts
    /// that.
    fn shed(&mut self, _room: usize, _seen: Seen, _tell: &mut dyn FnMut(Event)) {}
}
