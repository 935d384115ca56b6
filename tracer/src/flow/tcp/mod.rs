//! One TCP connection as a capture shows it: the bytes of both sides in order, what each segment looked like, and
//! the times and counts of the connection.
//!
//! Whoever keeps the table of connections asks [`Connection::begins_new`] before each segment, makes a
//! [`Connection`] with the first one's [`Opening`], gives it every segment and calls [`Connection::finish`] at last.

mod analysis;
mod budget;
mod flag;
mod half;
mod opening;
mod ordered;
mod reassembly;
mod sequence;
mod totals;
mod unacknowledged;
mod waiting;

#[cfg(test)]
mod fixture;

pub use analysis::Analysis;
pub use budget::Budget;
pub use flag::{Flag, Flags};
pub use opening::{Handshake, Opening};
pub use ordered::{Ordered, Span};
pub use reassembly::PATIENCE;
pub use totals::Totals;
pub use waiting::WAITING_LIMIT;

use tracer_ebpf::segment::tcp_flag::{ACK, RST, SYN};

use self::{
    analysis::Analyzer,
    reassembly::{Reassembly, Sink},
    totals::Counter,
};
use crate::{
    packet::Tcp,
    proto::stream::{End, Seen, Side},
};

/// Part of a side's byte stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Bytes that follow the last ones, and the segment that made them readable.
    Bytes(&'a [u8], Seen),
    /// So many bytes are missing for good.
    Gap(u64, Seen),
    /// Nothing follows: from the side for [`End::Fin`], from both sides otherwise.
    End(End, Seen),
}

impl Piece<'_> {
    /// The segment that made it readable.
    #[must_use]
    pub fn seen(&self) -> Seen {
        let (Self::Bytes(_, seen) | Self::Gap(_, seen) | Self::End(_, seen)) = self;
        *seen
    }
}

/// A connection.
#[derive(Debug)]
pub struct Connection {
    opening: Opening,
    analyzer: Analyzer,
    /// By side, client first; so is `counters`.
    streams: [Reassembly; 2],
    counters: [Counter; 2],
    handshake: Handshake,
    reset: Option<Side>,
    last: Seen,
}

impl Connection {
    /// A connection of which nothing was seen, on addresses and ports that were in use before (`is_reused`) or not.
    #[must_use]
    pub fn new(opening: Opening, is_reused: bool) -> Self {
        Self {
            opening,
            analyzer: Analyzer::new(is_reused),
            streams: [const { Reassembly::new() }; 2],
            counters: <[Counter; 2]>::default(),
            handshake: Handshake::default(),
            reset: None,
            last: Seen::default(),
        }
    }

    /// Whether the segment does not belong to this connection but to a next one on the same addresses and ports: a
    /// SYN with another sequence number than this one's. So Wireshark 4.0 numbers `tcp.stream`.
    #[must_use]
    pub fn begins_new(&self, from: Side, tcp: &Tcp<'_>) -> bool {
        self.analyzer.begins_new(from, tcp)
    }

    /// Takes the next segment, and hands out what became readable: of the other side, of which it may acknowledge
    /// bytes, then of `from`. After a RST, nothing more.
    pub fn segment(
        &mut self,
        from: Side,
        tcp: &Tcp<'_>,
        seen: Seen,
        budget: &mut Budget,
        deliver: &mut impl FnMut(Side, Piece<'_>),
    ) -> Analysis {
        let analysis = self.analyzer.segment(from, tcp, seen.time, budget);
        self.handshake.segment(from, tcp, seen);
        self.counters[from as usize].segment(tcp, &analysis, seen.time);
        self.last = seen;
        let is_reset = tcp.flags & RST != 0;
        if tcp.flags & SYN != 0 && !is_reset && self.is_blank() {
            self.reset = None;
        }
        if tcp.flags & ACK != 0 {
            let peer = from.opposite();
            let answers = tcp.length > 0 && !is_reset;
            let mut sink = Sink { budget, deliver: |piece: Piece<'_>| deliver(peer, piece) };
            self.streams[peer as usize].acknowledge(tcp.acknowledgment, answers, seen.time, &mut sink);
        }
        if is_reset {
            if self.streams[from as usize].is_near(tcp.sequence) {
                self.reset(from, seen, budget, deliver);
            }
        } else {
            let is_keep_alive = analysis.flags.has(Flag::KeepAlive);
            let mut sink = Sink { budget, deliver: |piece: Piece<'_>| deliver(from, piece) };
            self.streams[from as usize].segment(tcp, is_keep_alive, seen, &mut sink);
        }
        analysis
    }

    /// Nothing more is known of the connection: the capture ended, or the table needs its place. Hands out what
    /// still can be, and gives all memory back to the budget.
    pub fn finish(&mut self, budget: &mut Budget, deliver: &mut impl FnMut(Side, Piece<'_>)) {
        let (side, end) = self.reset.map_or((Side::Client, End::Unknown), |side| (side, End::Reset));
        self.finish_streams(side, Piece::End(end, self.last), budget, deliver);
        self.analyzer.clear(budget);
    }

    /// With what its capture began.
    #[must_use]
    pub fn opening(&self) -> Opening {
        self.opening
    }

    /// Its handshake, as far as it was captured.
    #[must_use]
    pub fn handshake(&self) -> &Handshake {
        &self.handshake
    }

    /// Nanoseconds from the last SYN to the first segment with ACK and without SYN, of either side
    /// (`tcp.analysis.initial_rtt`); none when that is not known, or not positive.
    #[must_use]
    pub fn initial_rtt(&self) -> Option<u64> {
        self.analyzer.initial_rtt()
    }

    /// Who reset it, when that was not taken back by another SYN. A RST with a far sequence number does not count.
    #[must_use]
    pub fn reset_by(&self) -> Option<Side> {
        self.reset
    }

    /// Whether both sides ended, by FIN or RST: hardly more than retransmissions and acknowledgments can follow.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.reset.is_some() || self.streams.iter().all(Reassembly::has_ended)
    }

    /// Its last segment.
    #[must_use]
    pub fn last(&self) -> Seen {
        self.last
    }

    /// What a side sent.
    #[must_use]
    pub fn totals(&self, side: Side) -> Totals {
        let stream = &self.streams[side as usize];
        self.counters[side as usize].totals(stream.unique(), stream.forced(), self.last.time)
    }

    /// Takes a RST. When there was nothing to read before it, the connection was perhaps refused: its end waits for
    /// [`Connection::finish`], because the next attempt may have the same sequence number.
    fn reset(
        &mut self,
        from: Side,
        seen: Seen,
        budget: &mut Budget,
        deliver: &mut impl FnMut(Side, Piece<'_>),
    ) {
        self.reset.get_or_insert(from);
        for counter in &mut self.counters {
            counter.has_room(seen.time);
        }
        if !self.is_blank() {
            self.finish_streams(from, Piece::End(End::Reset, seen), budget, deliver);
        }
    }

    /// Whether there was nothing to read.
    fn is_blank(&self) -> bool {
        self.streams.iter().all(Reassembly::is_blank)
    }

    /// Ends what is open of both streams, with `end` of `from`.
    fn finish_streams(
        &mut self,
        from: Side,
        end: Piece<'_>,
        budget: &mut Budget,
        deliver: &mut impl FnMut(Side, Piece<'_>),
    ) {
        if self.streams.iter().all(Reassembly::has_ended) {
            return;
        }
        for side in [Side::Client, Side::Server] {
            let mut sink = Sink { budget, deliver: |piece: Piece<'_>| deliver(side, piece) };
            self.streams[side as usize].finish(&mut sink);
        }
        deliver(from, end);
    }
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
