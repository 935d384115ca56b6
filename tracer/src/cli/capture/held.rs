//! Packets that wait until it is known what to say about them, and whether they are wanted.

use std::{collections::VecDeque, net::SocketAddr};

use bytemuck::pod_read_unaligned;
use etherparse::{SlicedPacket, TransportSlice};
use tracer_ebpf::record::PacketHead;

use super::wanted::Wanted;
use crate::request::pod::SETTLE;

/// How long a packet waits at least: until the record that it belongs to is known.
const HOLD: u64 = SETTLE;
/// How far from a message's time its packet can lie: the two are stamped in one run of a hook.
pub(super) const NEAR: u64 = 1_000_000;
/// Comments on one packet.
const COMMENTS: usize = 8;

/// A packet with what is said about it.
pub(super) struct HeldPacket {
    /// What the kernel said about it.
    pub(super) head: PacketHead,
    /// The packet from its IP header on.
    pub(super) bytes: Box<[u8]>,
    /// What we say about it.
    pub(super) comments: Vec<String>,
    /// Whether it belongs to a slow request.
    wanted: bool,
}

impl HeldPacket {
    /// Bytes of memory, but for the comments.
    fn cost(&self) -> usize {
        self.bytes.len() + size_of::<Self>()
    }
}

/// How much waits at most, and what comes out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Bytes of memory; beyond it the oldest packets go without waiting.
    pub(super) bytes: usize,
    /// Nanoseconds that a packet waits at most, whatever has not settled.
    pub(super) age: Option<u64>,
    /// Whether only packets of slow requests come out.
    pub(super) wanted_only: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 64 << 20, age: None, wanted_only: false }
    }
}

/// Packets in the order of the ring.
#[derive(Default)]
pub(super) struct Held {
    limits: Limits,
    packets: VecDeque<HeldPacket>,
    bytes: usize,
    /// Packets that had to go before it was known whether a slow request owns them.
    pub(super) early: u64,
    /// When the newest of those passed.
    early_until: u64,
}

/// Which packet a comment is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target {
    /// The packet with a request's first byte. The kernel counts exchanges, and not the streams within one, so that the time
    /// tells which packet it is: it was stamped a little later than the record.
    Request(u64),
    /// The first SYN of a flow.
    Syn(u64),
    /// A datagram from this end.
    Datagram(SocketAddr),
}

impl Held {
    /// Holds at most so much.
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Takes a packet record that `choose` wants; one that is cut is left out.
    pub(super) fn push(&mut self, record: &[u8], choose: impl FnOnce(&PacketHead, &[u8]) -> bool) {
        let Some((head, rest)) = record.split_at_checked(size_of::<PacketHead>()) else { return };
        let head: PacketHead = pod_read_unaligned(head);
        let Some(bytes) = rest.get(..head.captured as usize) else { return };
        if choose(&head, bytes) {
            let packet = HeldPacket { head, bytes: bytes.into(), comments: Vec::new(), wanted: false };
            self.bytes += packet.cost();
            self.packets.push_back(packet);
        }
    }

    /// Adds a comment to the packet that passed at about `time`; without one the comment is lost.
    pub(super) fn comment(&mut self, target: Target, time: u64, comment: String) {
        let before = if matches!(target, Target::Request(_)) { 0 } else { NEAR };
        let near = self.between(time.saturating_sub(before), time.saturating_add(NEAR));
        let mut fitting = near.filter(|packet| target.fits(packet));
        if let Some(packet) = fitting.next()
            && packet.comments.len() < COMMENTS
        {
            packet.comments.push(comment);
        }
    }

    /// Marks the packets of a slow request; false when its first ones are gone.
    pub(super) fn want(&mut self, wanted: &Wanted<'_>) -> bool {
        let (from, to) = wanted.span();
        let whole = from > self.early_until;
        for packet in self.between(from, to) {
            packet.wanted |= wanted.owns(&packet.head, &packet.bytes);
        }
        whole
    }

    fn between(&mut self, from: u64, to: u64) -> impl Iterator<Item = &mut HeldPacket> {
        let begin = self.packets.partition_point(|packet| packet.head.time < from);
        self.packets.range_mut(begin..).take_while(move |packet| packet.head.time <= to)
    }

    /// Gives the packets that have waited long enough: all that passed before `unsettled`, when the oldest
    /// request or call that has not settled began.
    pub(super) fn ripe(&mut self, now: u64, unsettled: Option<u64>) -> Vec<HeldPacket> {
        let settled =
            now.saturating_sub(HOLD).min(unsettled.map_or(u64::MAX, |time| time.saturating_sub(NEAR)));
        let until = settled.max(self.limits.age.map_or(0, |age| now.saturating_sub(age)));
        let mut ripe = Vec::new();
        while let Some(packet) = self.packets.front() {
            let time = packet.head.time;
            if time > until && self.bytes <= self.limits.bytes {
                break;
            }
            self.bytes = self.bytes.saturating_sub(packet.cost());
            let packet = self.packets.pop_front();
            if time > settled
                && self.limits.wanted_only
                && packet.as_ref().is_some_and(|packet| !packet.wanted)
            {
                self.early += 1;
                self.early_until = self.early_until.max(time);
            }
            ripe.extend(packet.filter(|packet| packet.wanted || !self.limits.wanted_only));
        }
        ripe
    }

    /// Whether no packet waits.
    pub(super) fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Gives every packet that is left.
    pub(super) fn all(&mut self) -> Vec<HeldPacket> {
        self.bytes = 0;
        let wanted_only = self.limits.wanted_only;
        self.packets.drain(..).filter(|packet| packet.wanted || !wanted_only).collect()
    }
}

impl Target {
    fn fits(self, packet: &HeldPacket) -> bool {
        let head = &packet.head;
        match self {
            // Without an exchange it has no new bytes.
            Self::Request(flow) => head.flow == flow && head.exchange != 0 && head.response == 0,
            Self::Syn(flow) => head.flow == flow && head.exchange == 0,
            Self::Datagram(local) => head.flow == 0 && is_datagram_from(&packet.bytes, local),
        }
    }
}

fn is_datagram_from(packet: &[u8], local: SocketAddr) -> bool {
    let Ok(sliced) = SlicedPacket::from_ip(packet) else { return false };
    matches!(sliced.transport, Some(TransportSlice::Udp(udp)) if udp.source_port() == local.port())
}

#[cfg(test)]
#[path = "held_tests.rs"]
mod tests;
