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

/// The segments of the three-way handshake (RFC 9293, section 3.5), as far as they were captured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Handshake {
    /// Those that are in `known`.
    parts: [Seen; 3],
    known: u8,
    is_fast_open: bool,
    is_simultaneous: bool,
}

/// Places in [`Handshake`].
const CLIENT_SYN: usize = 0;
const SERVER_SYN: usize = 1;
const CLIENT_ACK: usize = 2;

impl Handshake {
    /// The client's first SYN.
    #[must_use]
    pub fn syn(&self) -> Option<Seen> {
        self.part(CLIENT_SYN)
    }

    /// The server's first SYN with ACK; its SYN when both sides opened at once.
    #[must_use]
    pub fn syn_ack(&self) -> Option<Seen> {
        self.part(SERVER_SYN)
    }

    /// The client's first ACK after that.
    #[must_use]
    pub fn ack(&self) -> Option<Seen> {
        self.part(CLIENT_ACK)
    }

    /// Whether a SYN of the client carried bytes (RFC 7413).
    #[must_use]
    pub fn is_fast_open(&self) -> bool {
        self.is_fast_open
    }

    /// Whether both sides sent a SYN without ACK.
    #[must_use]
    pub fn is_simultaneous(&self) -> bool {
        self.is_simultaneous
    }

    /// Reads a segment.
    pub(super) fn segment(&mut self, from: Side, tcp: &Tcp<'_>, seen: Seen) {
        if self.has(CLIENT_ACK) || tcp.flags & RST != 0 {
            return;
        }
        let is_syn = tcp.flags & SYN != 0;
        let is_ack = tcp.flags & ACK != 0;
        match from {
            Side::Client if is_syn && !is_ack => {
                self.note(CLIENT_SYN, seen);
                self.is_fast_open |= tcp.length > 0;
            }
            Side::Client if is_ack && self.has(SERVER_SYN) => self.note(CLIENT_ACK, seen),
            Side::Server if is_syn => {
                self.note(SERVER_SYN, seen);
                self.is_simultaneous |= !is_ack;
            }
            _ => {}
        }
    }

    fn part(&self, place: usize) -> Option<Seen> {
        self.has(place).then_some(self.parts[place])
    }

    fn has(&self, place: usize) -> bool {
        self.known & 1 << place != 0
    }

    /// The first time counts.
    fn note(&mut self, place: usize, seen: Seen) {
        if !self.has(place) {
            self.parts[place] = seen;
            self.known |= 1 << place;
        }
    }
}
