//! Who opened a connection, and how long that took.

use tracer_ebpf::segment::tcp_flag::{ACK, RST, SYN};

use crate::{
    packet::Tcp,
    proto::stream::{Seen, Side},
};

/// With what the capture of a connection begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// The SYN of the client.
    Syn,
    /// The server's answer to it.
    SynAck,
    /// Neither: the capture joined in the middle, and the side with the lower port is taken for the server.
    Joined,
}

impl Opening {
    /// From a connection's first segment; and which side sent that.
    #[must_use]
    pub fn of(first: &Tcp<'_>) -> (Self, Side) {
        match first.flags & (SYN | ACK) {
            SYN => (Self::Syn, Side::Client),
            flags if flags == SYN | ACK => (Self::SynAck, Side::Server),
            _ if first.source_port < first.destination_port => (Self::Joined, Side::Server),
            _ => (Self::Joined, Side::Client),
        }
    }
}

/// The segments of the three-way handshake (RFC 9293, section 3.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Handshake {
    /// The client's first SYN.
    pub syn: Option<Seen>,
    /// The server's first SYN with ACK; its SYN when both sides open at once.
    pub syn_ack: Option<Seen>,
    /// The client's first ACK after that.
    pub ack: Option<Seen>,
    /// The SYN carried bytes (RFC 7413).
    pub is_fast_open: bool,
    /// Both sides sent a SYN without ACK.
    pub is_simultaneous: bool,
}

impl Handshake {
    /// Reads a segment.
    pub(super) fn segment(&mut self, from: Side, tcp: &Tcp<'_>, seen: Seen) {
        if self.ack.is_some() {
            return;
        }
        match (from, tcp.flags & (SYN | ACK | RST)) {
            (Side::Client, SYN) => {
                self.syn.get_or_insert(seen);
                self.is_fast_open |= tcp.length > 0;
            }
            (Side::Server, flags) if flags & (SYN | RST) == SYN => {
                self.syn_ack.get_or_insert(seen);
                self.is_simultaneous |= flags == SYN;
            }
            (Side::Client, flags) if flags & (ACK | RST) == ACK && self.syn_ack.is_some() => {
                self.ack = Some(seen);
            }
            _ => {}
        }
    }
}
