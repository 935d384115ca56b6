//! One direction of a connection as the sequence analysis sees it, and the judgments themselves.

use std::mem::replace;

use tracer_ebpf::segment::tcp_flag::{ACK, FIN, RST, SYN};

use super::{
    Budget, Flag, Flags,
    sequence::{before, distance},
    unacknowledged::Unacknowledged,
};
use crate::packet::Tcp;

/// A segment that follows the second duplicate acknowledgment by less is a fast retransmission.
const FAST: u64 = 20_000_000;

/// In place of a number of duplicate acknowledgments: it was said of the other direction that it acknowledges what
/// was not captured, which is said once only while this one acknowledges nothing new.
const UNSEEN: u32 = u32::MAX;

/// Whether and how far windows are scaled (RFC 7323, section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scale {
    /// The handshake was not captured.
    Unknown,
    /// One of the two did not offer it.
    None,
    /// By so many bits.
    By(u8),
}

/// What one direction showed so far.
#[derive(Debug)]
pub(super) struct Half {
    /// Sequence number of the SYN, or the one before the first segment, once `has_base`.
    base: u32,
    has_base: bool,
    /// Highest sequence number after a segment, 0 before there is one, and when that segment was seen.
    next: u32,
    next_time: u64,
    /// The same without a hole before it.
    whole: u32,
    /// What the last segment acknowledged, and when it was seen.
    acknowledged: u32,
    time: u64,
    /// The last segment's window, not scaled.
    window: Option<u16>,
    scale: Scale,
    /// The last window was that of a SYN, which is never scaled.
    is_syn_window: bool,
    /// Duplicate acknowledgments in a row, or [`UNSEEN`].
    duplicates: u32,
    /// The last segment's flags.
    flags: Flags,
    unacknowledged: Unacknowledged,
}

impl Half {
    pub(super) const fn new() -> Self {
        Self {
            base: 0,
            has_base: false,
            next: 0,
            next_time: 0,
            whole: 0,
            acknowledged: 0,
            time: 0,
            window: None,
            scale: Scale::Unknown,
            is_syn_window: false,
            duplicates: 0,
            flags: Flags::NONE,
            unacknowledged: Unacknowledged::new(),
        }
    }

    /// Whether a SYN begins other sequence numbers than these.
    pub(super) fn is_other(&self, syn: &Tcp<'_>) -> bool {
        self.has_base && self.base != syn.sequence
    }

    /// Finds out where the sequence numbers begin. Says whether they begin anew.
    pub(super) fn begin(&mut self, peer: &mut Self, tcp: &Tcp<'_>) -> bool {
        let is_syn = tcp.flags & SYN != 0;
        let is_anew = is_syn && self.is_other(tcp);
        if is_syn && tcp.flags & ACK == 0 && self.has_base {
            // The same SYN again. A RST may have moved `next` to anywhere.
            self.next = self.whole;
        }
        if is_anew || !self.has_base {
            self.set_base(tcp.sequence.wrapping_sub(u32::from(!is_syn)));
        }
        if tcp.flags & ACK != 0 && !peer.has_base {
            peer.set_base(tcp.acknowledgment.wrapping_sub(1));
        }
        is_anew
    }

    fn set_base(&mut self, base: u32) {
        self.base = base;
        self.has_base = true;
    }

    /// Judges a segment of this direction by what it says of itself and of its window. Returns its number when it
    /// is a duplicate acknowledgment, else 0.
    pub(super) fn judge(&mut self, peer: &Self, tcp: &Tcp<'_>, flags: &mut Flags) -> u32 {
        let is_plain = tcp.flags & (SYN | FIN | RST) == 0;
        let is_next = tcp.sequence == self.next;
        if tcp.length == 1 && is_next && peer.window == Some(0) {
            flags.set(Flag::ZeroWindowProbe);
            return 0;
        }
        if self.next != 0 && before(self.next, tcp.sequence) && tcp.flags & RST == 0 {
            flags.set(Flag::LostSegment);
        }
        if !is_plain {
            return 0;
        }
        if tcp.window == 0 {
            flags.set(Flag::ZeroWindow);
        }
        if tcp.length <= 1 && tcp.sequence == self.next.wrapping_sub(1) {
            flags.set(Flag::KeepAlive);
        }
        if tcp.length > 0 && peer.edge() == Some(bytes_end(tcp)) {
            flags.set(Flag::WindowFull);
        }
        if tcp.length == 0 && is_next && tcp.acknowledgment == self.acknowledged {
            return self.repeat(peer, tcp.window, flags);
        }
        0
    }

    /// Judges a segment without bytes that acknowledges what the one before it did. Returns as above.
    fn repeat(&mut self, peer: &Self, window: u16, flags: &mut Flags) -> u32 {
        let is_same = self.window == Some(window);
        match window {
            0 if is_same && peer.flags.has(Flag::ZeroWindowProbe) => flags.set(Flag::ZeroWindowProbeAck),
            0 => {}
            _ if !is_same => flags.set(Flag::WindowUpdate),
            _ if peer.flags.has(Flag::KeepAlive) => flags.set(Flag::KeepAliveAck),
            _ => {
                flags.set(Flag::DuplicateAck);
                self.duplicates = self.duplicates.wrapping_add(1).max(1);
                return self.duplicates;
            }
        }
        0
    }

    /// The other direction acknowledges this one's bytes, perhaps more than were captured.
    pub(super) fn is_acknowledged(&mut self, tcp: &Tcp<'_>, flags: &mut Flags) {
        if tcp.flags & ACK == 0 || self.whole == 0 || !before(self.whole, tcp.acknowledgment) {
            return;
        }
        if before(self.whole, self.next) {
            self.whole = self.next;
        } else if replace(&mut self.duplicates, UNSEEN) != 0 {
            return;
        }
        flags.set(Flag::AckedUnseen);
    }

    /// Judges whether a segment brings something for the first time. One that lies less than `reordered` behind its
    /// sender's newest is out of order rather than sent again.
    pub(super) fn judge_again(
        &self,
        peer: &Self,
        tcp: &Tcp<'_>,
        time: u64,
        reordered: u64,
        flags: &mut Flags,
    ) {
        // A keep-alive is no retransmission.
        if !carries(tcp) || flags.has(Flag::KeepAlive) {
            return;
        }
        let end = bytes_end(tcp);
        if tcp.length > 0 && peer.acknowledged != 0 && distance(peer.acknowledged, end) <= 0 {
            return flags.set(Flag::SpuriousRetransmission);
        }
        // More than a byte from one before the next on: the segment before it was a probe.
        let follows_probe = tcp.length > 1 && tcp.sequence == self.next.wrapping_sub(1);
        if self.next == 0 || !before(tcp.sequence, self.next) || follows_probe {
            return;
        }
        let is_asked = peer.duplicates >= 2 && peer.acknowledged == tcp.sequence;
        let is_last = self.next == end.wrapping_add(virtual_length(tcp));
        if is_asked && time.wrapping_sub(peer.time) < FAST {
            flags.set(Flag::FastRetransmission);
        } else if time.wrapping_sub(self.next_time) < reordered && !is_last {
            flags.set(Flag::OutOfOrder);
        } else {
            flags.set(Flag::Retransmission);
        }
    }

    /// The segment was judged: what it says is the newest.
    pub(super) fn advance(&mut self, tcp: &Tcp<'_>, time: u64, flags: Flags, budget: &mut Budget) {
        let end = bytes_end(tcp).wrapping_add(virtual_length(tcp));
        if carries(tcp) {
            self.unacknowledged.push(end, time, budget);
        }
        if !flags.has(Flag::ZeroWindowProbe) {
            if self.next == 0 || before(self.next, end) {
                self.next = end;
                self.next_time = time;
            }
            if self.whole == 0 || tcp.sequence == self.whole {
                self.whole = self.next;
            }
        }
        if tcp.acknowledgment != self.acknowledged {
            self.duplicates = 0;
        }
        self.window = Some(tcp.window);
        self.acknowledged = tcp.acknowledgment;
        self.time = time;
        self.flags = flags;
    }

    /// When the segment was seen that ends where the other direction acknowledges.
    pub(super) fn acknowledge(&mut self, acknowledgment: u32, budget: &mut Budget) -> Option<u64> {
        self.unacknowledged.acknowledge(acknowledgment, budget)
    }

    /// Reads what a segment of this direction says about scaling.
    pub(super) fn scale(&mut self, peer: &mut Self, tcp: &Tcp<'_>) {
        if let Some(bits) = tcp.window_scale {
            self.scale = Scale::By(bits);
        }
        if tcp.flags & SYN == 0 {
            self.is_syn_window &= tcp.flags & ACK == 0;
            return;
        }
        self.is_syn_window = true;
        if self.scale == Scale::Unknown {
            self.scale = Scale::None;
            peer.scale = Scale::None;
        } else if tcp.flags & ACK != 0 && peer.scale == Scale::None {
            self.scale = Scale::None;
        }
    }

    /// Gives all memory back.
    pub(super) fn clear(&mut self, budget: &mut Budget) {
        self.unacknowledged.clear(budget);
    }

    /// The sequence number up to which this direction's sender has room for bytes, when it is known.
    fn edge(&self) -> Option<u32> {
        let bits = match self.scale {
            Scale::Unknown => return None,
            Scale::By(bits) if !self.is_syn_window => bits.min(14),
            Scale::None | Scale::By(_) => 0,
        };
        let window = self.window.map_or(u32::MAX, u32::from);
        Some(self.acknowledged.wrapping_add(window << bits))
    }
}

/// Whether the segment takes sequence numbers.
fn carries(tcp: &Tcp<'_>) -> bool {
    tcp.length > 0 || tcp.flags & (SYN | FIN) != 0
}

/// Sequence number after the segment's bytes.
fn bytes_end(tcp: &Tcp<'_>) -> u32 {
    tcp.sequence.wrapping_add(tcp.length)
}

/// How many sequence numbers SYN and FIN take, as Wireshark counts: one, even when both are set.
fn virtual_length(tcp: &Tcp<'_>) -> u32 {
    u32::from(tcp.flags & (SYN | FIN) != 0)
}
