//! gRPC by a real implementation: a service that answers as its caller asks it to, and a client with many calls at
//! once on one connection.
//!
//! The path names the kind of the call and its number, `/lab.Unary/17`, so that each can be found again.

mod client;
mod codec;
mod keys;
mod server;
mod steady;

pub use client::Client;
pub(crate) use codec::Plain;
pub use keys::Keys;
pub use server::Server;
pub use steady::Steady;

use serde::{Deserialize, Serialize};
use tonic::codegen::Bytes;

/// Largest message, both ways.
const MESSAGE_LIMIT: usize = 16 << 20;

/// Who streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// One message each way.
    Unary,
    /// The server.
    ServerStream,
    /// The client.
    ClientStream,
    /// Both.
    Both,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Unary, Self::ServerStream, Self::ClientStream, Self::Both];

    fn service(self) -> &'static str {
        match self {
            Self::Unary => "lab.Unary",
            Self::ServerStream => "lab.ServerStream",
            Self::ClientStream => "lab.ClientStream",
            Self::Both => "lab.Both",
        }
    }

    /// The path of a call.
    #[must_use]
    pub fn path(self, n: u64) -> String {
        format!("/{}/{n}", self.service())
    }

    /// The kind that a path names.
    fn of(path: &str) -> Option<Self> {
        let service = path.strip_prefix('/')?.split('/').next()?;
        Self::ALL.into_iter().find(|kind| kind.service() == service)
    }
}

/// A call, as its client logs it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CallLine {
    /// Its number.
    pub n: u64,
    /// Who streams.
    pub kind: Kind,
    /// The gRPC status.
    pub status: u16,
    /// When it began, unix nanoseconds.
    pub start: u64,
    /// When the client had the status.
    pub end: u64,
    /// Bytes of the messages that were sent.
    pub sent: u64,
    /// Bytes of the messages that came.
    pub received: u64,
}

/// What a caller asks for: the beginning of each of its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ask {
    /// How long the service waits before it answers, milliseconds.
    wait: u32,
    /// How many messages it answers with, when it streams.
    messages: u32,
    /// Their size.
    size: u32,
    /// The gRPC status at the end.
    status: u32,
}

impl Ask {
    const LENGTH: usize = 16;

    /// A message of `size` bytes that asks for this.
    fn message(self, size: usize) -> Bytes {
        let mut bytes = Vec::with_capacity(size.max(Self::LENGTH));
        for number in [self.wait, self.messages, self.size, self.status] {
            bytes.extend(number.to_be_bytes());
        }
        bytes.resize(size.max(Self::LENGTH), 0);
        bytes.into()
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let mut numbers = bytes.as_chunks().0.iter().map(|four| u32::from_be_bytes(*four));
        let mut next = || numbers.next();
        Some(Self { wait: next()?, messages: next()?, size: next()?, status: next()? })
    }
}
