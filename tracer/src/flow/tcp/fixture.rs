//! Segments and connections for tests: the byte with sequence number `s` is always [`byte`]`(s)`.

use tracer_ebpf::segment::tcp_flag::{ACK, SYN};

use super::{Analysis, Budget, Connection, Flag, Opening, Piece};
use crate::{
    packet::Tcp,
    proto::stream::{End, Seen, Side},
};

/// What `byte` repeats after, also where sequence numbers wrap.
const PERIOD: usize = 1 << 16;

static PATTERN: [u8; 2 * PERIOD] = {
    let mut pattern = [0; 2 * PERIOD];
    let mut at = 0;
    while at < pattern.len() {
        let [low, high, ..] = at.to_le_bytes();
        pattern[at] = low ^ high;
        at += 1;
    }
    pattern
};

/// A byte of every stream.
pub(super) fn byte(sequence: u32) -> u8 {
    PATTERN[sequence as usize % PERIOD]
}

/// A segment with ACK; the client's port is the higher one.
pub(super) fn segment(from: Side, sequence: u32, acknowledgment: u32, length: u32) -> Tcp<'static> {
    let (source_port, destination_port) = if from == Side::Client { (40_000, 80) } else { (80, 40_000) };
    let start = sequence as usize % PERIOD;
    Tcp {
        source_port,
        destination_port,
        sequence,
        acknowledgment,
        flags: ACK,
        window: 1000,
        window_scale: None,
        length,
        payload: &PATTERN[start..start + length as usize],
    }
}

/// What was handed out, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// Bytes: how many, and in which packet.
    Bytes(Side, usize, u64),
    /// A gap.
    Gap(Side, u64, u64),
    /// An end.
    End(Side, End, u64),
}

/// A connection and what it hands out.
pub(super) struct Talk {
    pub(super) connection: Connection,
    pub(super) budget: Budget,
    /// Nanoseconds; a segment comes a millisecond after the one before it.
    pub(super) now: u64,
    pub(super) packet: u64,
    pub(super) said: Vec<Said>,
    /// All bytes of both sides.
    pub(super) bytes: [Vec<u8>; 2],
}

/// What [`Talk::new`] lends.
pub(super) const BUDGET: usize = 8 << 20;

impl Talk {
    pub(super) fn new(opening: Opening) -> Self {
        Self {
            connection: Connection::new(opening, false),
            budget: Budget::new(BUDGET),
            now: 1_000_000_000,
            packet: 0,
            said: Vec::new(),
            bytes: [Vec::new(), Vec::new()],
        }
    }

    /// After a handshake: the client's first byte is 101, the server's 501, the round trip takes 2 ms.
    pub(super) fn opened() -> Self {
        let mut talk = Self::new(Opening::Syn);
        talk.hear(Side::Client, &Tcp { flags: SYN, ..segment(Side::Client, 100, 0, 0) });
        talk.hear(Side::Server, &Tcp { flags: SYN | ACK, ..segment(Side::Server, 500, 101, 0) });
        talk.hear(Side::Client, &segment(Side::Client, 101, 501, 0));
        talk
    }

    /// Takes a segment as it is.
    pub(super) fn hear(&mut self, from: Side, tcp: &Tcp<'_>) -> Analysis {
        self.now += 1_000_000;
        self.packet += 1;
        let seen = Seen { time: self.now, packet: self.packet };
        let Self { connection, budget, said, bytes, .. } = self;
        connection.segment(from, tcp, seen, budget, &mut |side, piece| note(said, bytes, side, piece))
    }

    /// Takes a segment with ACK, and tells its flags.
    pub(super) fn say(&mut self, from: Side, sequence: u32, acknowledgment: u32, length: u32) -> Vec<Flag> {
        self.hear(from, &segment(from, sequence, acknowledgment, length)).flags.iter().collect()
    }

    pub(super) fn finish(&mut self) {
        let Self { connection, budget, said, bytes, .. } = self;
        connection.finish(budget, &mut |side, piece| note(said, bytes, side, piece));
    }
}

fn note(said: &mut Vec<Said>, bytes: &mut [Vec<u8>; 2], side: Side, piece: Piece<'_>) {
    said.push(match piece {
        Piece::Bytes(part, seen) => {
            bytes[side as usize].extend_from_slice(part);
            Said::Bytes(side, part.len(), seen.packet)
        }
        Piece::Gap(length, seen) => Said::Gap(side, length, seen.packet),
        Piece::End(end, seen) => Said::End(side, end, seen.packet),
    });
}
