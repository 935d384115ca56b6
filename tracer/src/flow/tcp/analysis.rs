//! The sequence analysis: each segment is judged by what the capture showed of its connection before it.
//!
//! Equal to Wireshark 4.0 (`tcp.analysis`), its peculiarities included, because people compare the two: a sequence
//! number of 0 counts as "none yet", and the acknowledgment field is read even when the flag ACK is not set. One
//! difference: Wireshark spares duplicate acknowledgments of multipath TCP (RFC 8684), whose options are not read.

use std::mem::take;

use tracer_ebpf::segment::tcp_flag::{ACK, SYN};

use super::{Budget, Flag, Flags, half::Half};
use crate::{packet::Tcp, proto::stream::Side};

/// Without a round-trip time, a segment that lies behind another by less is out of order.
const REORDERED: u64 = 3_000_000;

/// What a segment looked like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Analysis {
    /// All that applies.
    pub flags: Flags,
    /// With [`Flag::DuplicateAck`], which one in a row, from 1; else 0.
    pub duplicate: u32,
    /// Nanoseconds since the segment was first seen that ends where this one acknowledges
    /// (`tcp.analysis.ack_rtt`); none when there is none or the clock did not advance.
    pub round_trip: Option<u64>,
}

/// Both directions of a connection.
#[derive(Debug)]
pub(super) struct Analyzer {
    client: Half,
    server: Half,
    /// When the last SYN was seen, if one was.
    syn: u64,
    has_syn: bool,
    /// Nanoseconds; 0 when not known yet, negative when the clock went back.
    initial_rtt: i64,
    /// Flags of the first segment.
    first: Flags,
}

impl Analyzer {
    /// The addresses and ports were in use before (`is_reused`) or not.
    pub(super) fn new(is_reused: bool) -> Self {
        Self {
            client: Half::new(),
            server: Half::new(),
            syn: 0,
            has_syn: false,
            initial_rtt: 0,
            first: is_reused.then_some(Flag::PortReused).into_iter().collect(),
        }
    }

    /// See [`super::Connection::begins_new`].
    pub(super) fn begins_new(&self, from: Side, tcp: &Tcp<'_>) -> bool {
        let own = match from {
            Side::Client => &self.client,
            Side::Server => &self.server,
        };
        tcp.flags & (SYN | ACK) == SYN && own.is_other(tcp)
    }

    /// See [`super::Connection::initial_rtt`].
    pub(super) fn initial_rtt(&self) -> Option<u64> {
        u64::try_from(self.initial_rtt).ok().filter(|time| *time != 0)
    }

    /// Judges a segment.
    pub(super) fn segment(&mut self, from: Side, tcp: &Tcp<'_>, time: u64, budget: &mut Budget) -> Analysis {
        let reordered = if self.initial_rtt == 0 { REORDERED } else { self.initial_rtt.cast_unsigned() };
        let mut flags = take(&mut self.first);
        let (own, peer) = self.halves(from);
        if own.begin(peer, tcp) {
            flags.set(Flag::PortReused);
        }
        let duplicate = own.judge(peer, tcp, &mut flags);
        peer.is_acknowledged(tcp, &mut flags);
        own.judge_again(peer, tcp, time, reordered, &mut flags);
        own.advance(tcp, time, flags, budget);
        let sent = peer.acknowledge(tcp.acknowledgment, budget);
        own.scale(peer, tcp);
        self.note(tcp, time);
        let round_trip = sent.and_then(|sent| time.checked_sub(sent)).filter(|time| *time != 0);
        Analysis { flags, duplicate, round_trip }
    }

    /// Gives all memory back.
    pub(super) fn clear(&mut self, budget: &mut Budget) {
        self.client.clear(budget);
        self.server.clear(budget);
    }

    /// The direction of a segment from `from`, and the other one.
    fn halves(&mut self, from: Side) -> (&mut Half, &mut Half) {
        match from {
            Side::Client => (&mut self.client, &mut self.server),
            Side::Server => (&mut self.server, &mut self.client),
        }
    }

    /// Remembers what is about the whole connection.
    fn note(&mut self, tcp: &Tcp<'_>, time: u64) {
        match tcp.flags & (SYN | ACK) {
            SYN => (self.syn, self.has_syn) = (time, true),
            ACK if self.has_syn && self.initial_rtt == 0 => {
                self.initial_rtt = time.wrapping_sub(self.syn).cast_signed();
            }
            _ => {}
        }
    }
}

#[cfg(test)]
#[path = "analysis_tests.rs"]
mod tests;
