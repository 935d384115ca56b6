//! Long bodies in either direction, at the pace of the client.

mod client;
mod server;

pub use client::Client;
pub use server::Server;

use serde::{Deserialize, Serialize};

/// How much is read or written at a time.
const CHUNK: usize = 64 * 1024;

/// A transfer as the client saw it, in unix nanoseconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Transfer {
    /// Just before the request was written.
    pub sent_first: u64,
    /// Just after the request was written: to the socket, not to the wire.
    pub sent_last: u64,
    /// The first byte of the response arrived.
    pub received_first: u64,
    /// The last byte of the response arrived.
    pub received_last: u64,
    /// Bytes of the response's body.
    pub bytes: usize,
}
