//! Packets that wait until it is known what to say about them.

use std::{collections::VecDeque, net::SocketAddr};

use bytemuck::pod_read_unaligned;
use etherparse::{SlicedPacket, TransportSlice};
use tracer_ebpf::record::PacketHead;

use crate::request::pod::SETTLE;

/// How long a packet waits at least: until the record that it belongs to is known.
const HOLD: u64 = SETTLE;
/// Bytes that wait at most; beyond it the oldest packets go without waiting.
const BYTES_LIMIT: usize = 64 << 20;
/// How far from a message's time its packet can lie: the two are stamped in one run of a hook.
const NEAR: u64 = 1_000_000;
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
}

/// Packets in the order of the ring.
#[derive(Default)]
pub(super) struct Held {
    packets: VecDeque<HeldPacket>,
    bytes: usize,
}

/// Which packet a comment is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target {
    /// The first packet of a message: flow, exchange, whether it is the response.
    Message(u64, u32, bool),
    /// The first SYN of a flow.
    Syn(u64),
    /// A datagram from this end.
    Datagram(SocketAddr),
}

impl Held {
    /// Takes a packet record; one that is cut is left out.
    pub(super) fn push(&mut self, record: &[u8]) {
        let Some((head, rest)) = record.split_at_checked(size_of::<PacketHead>()) else { return };
        let head: PacketHead = pod_read_unaligned(head);
        let Some(bytes) = rest.get(..head.captured as usize) else { return };
        self.bytes += bytes.len();
        self.packets.push_back(HeldPacket { head, bytes: bytes.into(), comments: Vec::new() });
    }

    /// Adds a comment to the packet that passed at about `time`; without one the comment is lost.
    pub(super) fn comment(&mut self, target: Target, time: u64, comment: String) {
        let from = self.packets.partition_point(|packet| packet.head.time < time.saturating_sub(NEAR));
        let near =
            self.packets.range_mut(from..).take_while(|packet| packet.head.time <= time.saturating_add(NEAR));
        let mut fitting = near.filter(|packet| target.fits(packet));
        if let Some(packet) = fitting.next()
            && packet.comments.len() < COMMENTS
        {
            packet.comments.push(comment);
        }
    }

    /// Gives the packets that have waited long enough: all that passed before `unsettled`, when the oldest
    /// request or call that has not settled began.
    pub(super) fn ripe(&mut self, now: u64, unsettled: Option<u64>) -> Vec<HeldPacket> {
        let until =
            now.saturating_sub(HOLD).min(unsettled.map_or(u64::MAX, |time| time.saturating_sub(NEAR)));
        let mut ripe = Vec::new();
        while let Some(packet) = self.packets.front() {
            if packet.head.time > until && self.bytes <= BYTES_LIMIT {
                break;
            }
            self.bytes -= packet.bytes.len();
            ripe.extend(self.packets.pop_front());
        }
        ripe
    }

    /// Gives every packet.
    pub(super) fn all(&mut self) -> Vec<HeldPacket> {
        self.bytes = 0;
        self.packets.drain(..).collect()
    }
}

impl Target {
    fn fits(self, packet: &HeldPacket) -> bool {
        let head = &packet.head;
        match self {
            Self::Message(flow, exchange, response) => {
                head.first == 1
                    && (head.flow, head.exchange, head.response == 1) == (flow, exchange, response)
            }
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
mod tests {
    use bytemuck::{Zeroable as _, bytes_of};

    use super::*;

    fn record(flow: u64, time: u64) -> Vec<u8> {
        let head = PacketHead { flow, time, exchange: 1, first: 1, captured: 4, ..PacketHead::zeroed() };
        [bytes_of(&head), &[0x45, 0, 0, 0, 0xff]].concat()
    }

    #[test]
    fn a_comment_finds_the_packet_of_its_message() {
        let mut held = Held::default();
        held.push(&record(1, 10));
        held.push(&record(2, 20));
        held.comment(Target::Message(2, 1, false), 19, "here".to_owned());
        held.comment(Target::Message(2, 1, true), 19, "nowhere".to_owned());
        let packets = held.ripe(20 + HOLD, None);
        let comments: Vec<&[String]> = packets.iter().map(|packet| &packet.comments[..]).collect();
        assert_eq!(comments, [&[][..], &["here".to_owned()][..]]);
        assert_eq!(packets[0].bytes.len(), 4);
    }

    #[test]
    fn packets_wait_for_their_comments() {
        let mut held = Held::default();
        held.push(&record(1, 10));
        assert!(held.ripe(10 + HOLD - 1, None).is_empty());
        assert_eq!(held.ripe(10 + HOLD, None).len(), 1);
    }

    #[test]
    fn packets_wait_for_slow_requests() {
        let mut held = Held::default();
        held.push(&record(1, 10));
        held.push(&record(1, 20 + NEAR));
        assert_eq!(held.ripe(100 * HOLD, Some(15 + NEAR)).len(), 1);
        assert_eq!(held.ripe(200 * HOLD, None).len(), 1);
    }

    #[test]
    fn a_cut_record_is_left_out() {
        let mut held = Held::default();
        let whole = record(1, 10);
        held.push(&whole[..whole.len() - 2]);
        held.push(&[]);
        assert!(held.all().is_empty());
    }
}
