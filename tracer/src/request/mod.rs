//! Requests, the calls they caused, and where the time went.
//!
//! All times are nanoseconds of `CLOCK_BOOTTIME` (live) or of the capture's clock (offline).

mod answered;
mod attribution;
mod breakdown;
mod entry;
pub mod folded;
mod multiplex;
mod outage;
pub mod pod;
pub mod totals;
pub mod wait;

use std::{net::SocketAddr, sync::Arc};

pub use self::{
    breakdown::Stages,
    outage::{Outage, RETRANSMISSION_LIMIT},
};
use crate::{
    flow::{Messages, Transport},
    pod::Pod,
    proto::{dns::Lookup, http::Http, metadata::MetadataCall},
};

/// Kind of a call: which stage its time goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CallKind {
    /// A DNS lookup, search-domain expansion included.
    Dns,
    /// A connection set-up to anything but the metadata service.
    Connect,
    /// Anything done for the metadata service, its connects included.
    Metadata,
    /// An exchange with any other server.
    Upstream,
}

impl CallKind {
    /// Every kind, in the order of the stages.
    pub const ALL: [Self; 4] = [Self::Dns, Self::Connect, Self::Metadata, Self::Upstream];

    /// Its name in outputs and labels.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Metadata => "metadata",
            Self::Upstream => "upstream",
        }
    }
}

/// How a call was tied to its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Attribution {
    /// The same thread wrote the call and the response, and it multiplexes nothing.
    Thread,
    /// Only one request of the pod was in flight.
    Exclusive,
    /// Several requests may have caused it; its time is split among them.
    Shared,
    /// No request was in flight.
    None,
}

impl Attribution {
    /// Every value, most certain first.
    pub const ALL: [Self; 4] = [Self::Thread, Self::Exclusive, Self::Shared, Self::None];

    /// Its name in outputs and labels.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Thread => "thread",
            Self::Exclusive => "exclusive",
            Self::Shared => "shared",
            Self::None => "none",
        }
    }
}

/// The thread that sent a message, as the kernel knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Thread {
    /// `task_struct.pid`; 0 when not known.
    pub thread: u32,
    /// `task_struct.tgid`.
    pub process: u32,
}

impl Thread {
    /// Whether the kernel told us.
    #[must_use]
    pub fn is_known(self) -> bool {
        self.thread != 0
    }
}

/// What a call was about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A DNS lookup. In a box: most calls are none, and many wait at once to be settled.
    Dns(Box<Lookup>),
    /// A connection set-up; `metadata` calls can be connects too.
    Connect {
        /// Whether the handshake ended.
        established: bool,
        /// SYNs sent: more than one is a retransmitted connect.
        syns: u8,
    },
    /// A request to the metadata service.
    Metadata(MetadataCall),
    /// An HTTP exchange.
    Http(Http),
    /// A TLS handshake; the connection set-up below it is a call of its own.
    Tls {
        /// The name that the client asked for (SNI).
        server_name: Option<Arc<str>>,
    },
    /// An exchange of which only times and sizes are known.
    Opaque,
}

/// An exchange, lookup or connect in which the pod is the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Which stage its time goes to.
    pub kind: CallKind,
    /// First byte out (or the SYN, or the first query).
    pub start: u64,
    /// Last byte in (or the end of the handshake, the last answer, the timeout, the reset).
    pub end: u64,
    /// Flow it ran on; 0 for DNS over UDP.
    pub flow: u64,
    /// Number of the exchange on its flow; 0 for connects and DNS.
    pub number: u32,
    /// The pod's end.
    pub local: SocketAddr,
    /// The server's end.
    pub peer: SocketAddr,
    /// The server's name, where a source knows it: `namespace/name` of a pod or service.
    pub peer_name: Option<Arc<str>>,
    /// Who sent it.
    pub thread: Thread,
    /// What it was.
    pub what: What,
    /// The four times and the bytes of an exchange; all 0 for lookups, connects and handshakes.
    pub messages: Messages,
    /// Whether it got its answer.
    pub answered: bool,
}

/// Tens of thousands of calls wait to be settled on a busy node.
const _: () = assert!(size_of::<Call>() <= 256);

/// Where in the traffic a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its flow; 0 for DNS over UDP.
    pub flow: u64,
    /// Its number on the flow; 0 for connects and DNS.
    pub number: u32,
    /// The pod's end.
    pub local: SocketAddr,
    /// When it began.
    pub start: u64,
}

impl Place {
    /// Where a call is.
    #[must_use]
    pub fn of(call: &Call) -> Self {
        Self { flow: call.flow, number: call.number, local: call.local, start: call.start }
    }
}

/// A call with the share of it that belongs to one request.
#[derive(Clone, Debug)]
pub struct AttributedCall {
    /// The call.
    pub call: Arc<Call>,
    /// How it was tied to the request.
    pub attribution: Attribution,
    /// Number of requests that share it: each counts 1/`requests` of its time.
    pub requests: u32,
}

/// What is unusual about a request: each bit is visible in outputs and counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks(pub u8);

impl Marks {
    /// The response began before the request ended.
    pub const EARLY_RESPONSE: Self = Self(1);
    /// The request was never answered: the flow ended first. Its total ends there.
    pub const UNANSWERED: Self = Self(2);
    /// The flow was joined in the middle: the first exchange may be cut.
    pub const JOINED: Self = Self(4);
    /// More calls belonged to it than are kept; their time is counted, their detail is not.
    pub const CALLS_CUT: Self = Self(8);

    /// Sets the bits of `other`.
    pub fn set(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Whether the bits of `other` are set.
    #[must_use]
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The names of the bits that are set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        [
            (Self::EARLY_RESPONSE, "early-response"),
            (Self::UNANSWERED, "unanswered"),
            (Self::JOINED, "joined"),
            (Self::CALLS_CUT, "calls-cut"),
        ]
        .into_iter()
        .filter_map(move |(mark, name)| self.has(mark).then_some(name))
    }
}

/// A settled request: nothing about it changes any more.
#[derive(Clone, Debug)]
pub struct Request {
    /// The pod that served it.
    pub pod: Arc<Pod>,
    /// Flow it came on.
    pub flow: u64,
    /// Number of the exchange on its flow.
    pub number: u32,
    /// Addresses and round-trip time of the flow.
    pub transport: Transport,
    /// The four times and the bytes.
    pub messages: Messages,
    /// Who wrote the response.
    pub thread: Thread,
    /// Method, path and status, when the flow speaks HTTP.
    pub http: Option<Http>,
    /// Where the time went; adds up to [`Request::total`].
    pub stages: Stages,
    /// The calls that belong to it, by start.
    pub calls: Vec<AttributedCall>,
    /// What is unusual about it.
    pub marks: Marks,
}

impl Request {
    /// From the first byte in to the last byte out, nanoseconds.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.stages.total()
    }

    /// When it began to arrive, had arrived, began to be answered and was answered, as its stages have it.
    #[must_use]
    pub fn times(&self) -> [u64; 4] {
        let begins = self.messages.request_first;
        let received = begins.saturating_add(self.stages.receive);
        let ends = begins.saturating_add(self.total());
        [begins, received, ends.saturating_sub(self.stages.send).max(received), ends]
    }

    /// When the pod itself worked: what no call covers between the request and its response, in their order.
    pub fn own(&self) -> impl Iterator<Item = (u64, u64)> {
        let [_, mut at, answers, _] = self.times();
        let ends = self.calls.iter().map(move |call| (call.call.start.min(answers), call.call.end));
        let gaps = ends.chain([(answers, answers)]).map(move |(start, end)| {
            let gap = (at, start);
            at = at.max(end);
            gap
        });
        gaps.filter(|(start, end)| end > start)
    }
}
