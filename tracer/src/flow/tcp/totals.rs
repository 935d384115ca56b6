//! What one side of a connection sent.

use super::{Analysis, Flag};
use crate::{packet::Tcp, proto::stream::Seen};

/// Counts of one side's segments; [`super::Connection::totals`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Segments.
    pub segments: u64,
    /// Payload bytes on the wire, those that were sent again included: the sum of `tcp.len`.
    pub bytes: u64,
    /// Payload bytes on the wire, each once.
    pub unique: u64,
    /// Nanoseconds for which the side had no room for bytes, as its windows said.
    pub zero_window: u64,
    /// How often a hole in its bytes was given up because too much would have waited behind it.
    pub forced: u32,
    /// Segments by [`Flag`].
    flags: [u32; Flag::COUNT],
}

impl Totals {
    /// Segments with a flag.
    #[must_use]
    pub fn flagged(&self, flag: Flag) -> u32 {
        self.flags[flag as usize]
    }

    /// Retransmissions of any kind.
    #[must_use]
    pub fn retransmissions(&self) -> u32 {
        [Flag::Retransmission, Flag::FastRetransmission, Flag::SpuriousRetransmission]
            .iter()
            .fold(0, |sum, flag| sum.saturating_add(self.flagged(*flag)))
    }
}

/// Counts while the connection lasts.
#[derive(Debug, Default)]
pub(super) struct Counter {
    segments: u64,
    bytes: u64,
    zero_window: u64,
    /// Since when the side has no room.
    zero_since: Option<u64>,
    /// Most segments have no flag, many connections have no segment with one.
    flags: Option<Box<[u32; Flag::COUNT]>>,
}

impl Counter {
    /// Counts a segment.
    pub(super) fn segment(&mut self, tcp: &Tcp<'_>, analysis: &Analysis, seen: Seen) {
        self.segments += 1;
        self.bytes += u64::from(tcp.length);
        if !analysis.flags.is_empty() {
            let flags = self.flags.get_or_insert_default();
            for flag in analysis.flags.iter() {
                let count = &mut flags[flag as usize];
                *count = count.saturating_add(1);
            }
        }
        if analysis.flags.has(Flag::ZeroWindow) {
            self.zero_since.get_or_insert(seen.time);
        } else if tcp.window != 0 {
            self.has_room(seen.time);
        }
    }

    /// The side has room again, or needs none any more.
    pub(super) fn has_room(&mut self, now: u64) {
        if let Some(since) = self.zero_since.take() {
            self.zero_window = self.zero_window.saturating_add(now.saturating_sub(since));
        }
    }

    /// The counts at `now`.
    pub(super) fn totals(&self, unique: u64, forced: u32, now: u64) -> Totals {
        let open = self.zero_since.map_or(0, |since| now.saturating_sub(since));
        Totals {
            segments: self.segments,
            bytes: self.bytes,
            unique,
            zero_window: self.zero_window.saturating_add(open),
            forced,
            flags: self.flags.as_deref().copied().unwrap_or_default(),
        }
    }
}
