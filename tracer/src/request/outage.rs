//! A server that does not answer the pod any more, as far as it is known.

use std::net::SocketAddr;

use super::Place;

/// Retransmissions of which the time is kept: the kernel gives up after 15 by default (`tcp_retries2`).
pub const RETRANSMISSION_LIMIT: usize = 16;

/// A server to which the pod calls or connects in vain. Told again, with everything so far, as long as it goes on and
/// when it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// The server.
    pub peer: SocketAddr,
    /// The first call, or connect, in vain.
    pub place: Place,
    /// When that began.
    pub since: u64,
    /// The latest time at which it was still going on.
    pub until: u64,
    /// The server has accepted a connection of the pod before.
    pub was_there: bool,
    /// It said GOAWAY before, and has accepted no connection since.
    pub goaway: bool,
    /// Calls that wait, or waited, on a connection on which nothing is acknowledged.
    pub calls: u64,
    /// How long the longest of them waited, nanoseconds; not longer than its caller said that it waits.
    pub longest_call: u64,
    /// When the kernel sent the same bytes again for the third time and later, nanoseconds since the first call began to
    /// wait; on the connection that waits longest, at most [`RETRANSMISSION_LIMIT`].
    pub retransmissions: Vec<u64>,
    /// Connects that failed, or still go on.
    pub connects: u64,
    /// Of them, those that were refused.
    pub refused: u64,
    /// From the begin of the first of them to the end of the last, nanoseconds.
    pub connecting: u64,
    /// The longest of them, nanoseconds.
    pub longest_connect: u64,
    /// How long callers of this server say that they wait, nanoseconds; 0 when none said so.
    pub deadline: u64,
}

impl Outage {
    /// How long it has lasted, nanoseconds.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.until.saturating_sub(self.since)
    }

    /// How long a call waited in vain at the longest, nanoseconds. Calls that wait for a connection show nothing on the
    /// wire: they wait until they are answered, or as long as their callers say.
    #[must_use]
    pub fn longest_wait(&self) -> u64 {
        let hangs = self.connects > self.refused && self.deadline > 0;
        let queued = if hangs { self.connecting.min(self.deadline) } else { 0 };
        self.longest_call.max(self.longest_connect).max(queued)
    }
}
