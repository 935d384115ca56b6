//! What one side of a connection sent.

use super::{Analysis, Flag};
use crate::packet::Tcp;

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
    /// Most segments have no flag, and many connections have no segment with one.
    flagged: Option<Box<Flagged>>,
}

/// Counts of segments with flags.
#[derive(Debug, Default)]
struct Flagged {
    flags: [u32; Flag::COUNT],
    zero_window: u64,
    /// Since when the side has no room.
    zero_since: Option<u64>,
}

impl Counter {
    /// Counts a segment.
    pub(super) fn segment(&mut self, tcp: &Tcp<'_>, analysis: &Analysis, now: u64) {
        self.segments += 1;
        self.bytes += u64::from(tcp.length);
        if !analysis.flags.is_empty() {
            let flagged = self.flagged.get_or_insert_default();
            for flag in analysis.flags.iter() {
                let count = &mut flagged.flags[flag as usize];
                *count = count.saturating_add(1);
            }
            if analysis.flags.has(Flag::ZeroWindow) {
                flagged.zero_since.get_or_insert(now);
            }
        }
        if tcp.window != 0 {
            self.has_room(now);
        }
    }

    /// The side has room again, or needs none any more.
    pub(super) fn has_room(&mut self, now: u64) {
        if let Some(flagged) = &mut self.flagged
            && let Some(since) = flagged.zero_since.take()
        {
            flagged.zero_window = flagged.zero_window.saturating_add(now.saturating_sub(since));
        }
    }

    /// The counts at `now`.
    pub(super) fn totals(&self, unique: u64, forced: u32, now: u64) -> Totals {
        let mut totals =
            Totals { segments: self.segments, bytes: self.bytes, unique, forced, ..Totals::default() };
        if let Some(flagged) = &self.flagged {
            let open = flagged.zero_since.map_or(0, |since| now.saturating_sub(since));
            totals.zero_window = flagged.zero_window.saturating_add(open);
            totals.flags = flagged.flags;
        }
        totals
    }
}
