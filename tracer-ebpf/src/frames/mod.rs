//! The frames of one direction of a flow: which bytes cross the ring.
//!
//! Of protocols whose messages stand in frames (HTTP/2, TLS, DNS over TCP) userspace reads the frames themselves,
//! so the host sends it the bytes of a flow without what is long and says nothing: the payload of DATA frames
//! and of encrypted records. The host walks from frame header to frame header, over segments that begin and end
//! anywhere, and asks for [`Run`]s to emit. What it skips is counted, so that userspace knows the place of every byte.
//!
//! A hole in the skipped bytes does not lose the place. After any other the bytes cross raw, because userspace can put
//! them in order when the hole is filled. The place is found again where a segment begins with what looks like a frame
//! header and nothing before it is missing, or behind a header like that of the last long frame.

mod flow;
mod header;
mod search;
mod walk;

use bytemuck::{Pod, Zeroable};

pub(crate) use self::header::{begins_http2, begins_tls, is_headers, is_record};
use crate::{
    record::{protocol, stream_flag},
    segment::{Segment, tcp_flag},
};

/// Bytes of one run at most.
pub const RUN_LIMIT: u32 = 4096;
/// Longest payload of a DATA frame or an encrypted record that crosses: one more record would cost more.
pub const COPIED: u32 = 3072;
/// Bytes that are searched at once.
pub const SEARCHED: u32 = 64;
/// Bytes that cross raw after a hole; then the place is lost.
pub const RAW_LIMIT: u32 = 1 << 20;
/// Sequence numbers further ahead are behind (RFC 9293, section 3.4).
const HALF: u32 = 1 << 31;
/// The client's preface (RFC 9113, section 3.4).
const PREFACE: u32 = 24;

/// How the place in the frames is known.
mod mode {
    /// It is.
    pub(super) const WALK: u8 = 1;
    /// A hole hides it: all bytes cross.
    pub(super) const RAW: u8 = 2;
    /// Not at all: none does.
    pub(super) const SEEK: u8 = 3;
}

/// The bytes of a packet.
pub trait Bytes {
    /// The byte at an offset.
    fn byte(&self, at: u32) -> Option<u8>;
    /// The four bytes at an offset, in network order.
    fn word(&self, at: u32) -> Option<u32>;
    /// Where such four bytes first begin in the [`SEARCHED`] at an offset, if the packet has as many.
    fn find(&self, at: u32, word: u32) -> Option<u32>;
}

/// Bytes to emit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Of the first, in the packet.
    pub offset: u32,
    /// How many; 0 when only skipped ones are to be told of.
    pub length: u32,
    /// Sequence number of the first.
    pub sequence: u32,
    /// Bytes before it that did not cross.
    pub skipped: u32,
    /// Bits of [`stream_flag`].
    pub flags: u8,
}

/// Where one direction stands. All zeroes: nothing known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Frames {
    /// When the segment passed the hook.
    pub time: u64,
    /// Bytes from here on that cross.
    copy: u32,
    /// Bytes after those that do not.
    skip: u32,
    /// Bytes before `at` that no run told of.
    unsaid: u32,
    /// Bytes of a frame header so far, `have` of them.
    head: u32,
    /// Bytes that may still cross raw.
    raw: u32,
    /// Offset of the next byte in the packet, of the byte after the last, and of the first of the run.
    at: u32,
    end: u32,
    start: u32,
    /// Sequence number of the byte at `at`.
    sequence: u32,
    /// Bytes before a hole that no run told of, and the sequence number after them.
    before: u32,
    before_end: u32,
    /// Sequence numbers after the newest segment whose walk has begun, and after the newest one whose walk is over.
    claimed: u32,
    walked: u32,
    /// Sequence number after the newest byte.
    next: u32,
    /// How the header of the last long frame began; 0 if there was none.
    pattern: u32,
    /// Sequence number of what must be a header if the one found before is one.
    expect: u32,
    have: u8,
    /// One of [`mode`].
    mode: u8,
    /// 1 from a hole until a segment comes before which nothing is missing.
    pub disorder: u8,
    /// 1 when nothing is missing before the segment.
    in_order: u8,
    /// 1 when the segment has only bytes that fill a hole, or that came before.
    old: u8,
    /// FIN and RST of the segment, see [`tcp_flag`].
    ends: u8,
    /// 1 when bytes before `at` will never come.
    lost: u8,
    /// 1 when `next` is known.
    begun: u8,
    /// 1 when `expect` is set.
    expects: u8,
    /// 1 when headers may lie in a hole: what fills it must cross.
    hidden: u8,
    reserved: [u8; 6],
}

impl Frames {
    /// The next byte is the first of the direction.
    #[inline(always)]
    pub fn start(&mut self, protocol: u8, client: bool) {
        self.mode = mode::WALK;
        self.copy = if protocol == protocol::HTTP2 && client { PREFACE } else { 0 };
    }

    /// The sequence number of the direction's first byte is known.
    #[inline(always)]
    pub fn expect_first(&mut self, sequence: u32) {
        (self.next, self.begun) = (sequence, 1);
    }

    /// The flow was joined in the middle.
    #[inline(always)]
    pub fn join(&mut self) {
        self.mode = mode::SEEK;
        self.lost = 1;
    }

    /// A segment comes: `fresh` new bytes at its end, if it is not known what came before; payload at `offset` of the packet. `in_order`
    /// says that the receiver has all bytes before it.
    #[inline(always)]
    pub fn begin(&mut self, segment: &Segment, fresh: u32, offset: u32, in_order: bool) {
        let fresh = self.fresh(segment, fresh);
        self.time = segment.time;
        self.ends = segment.flags & (tcp_flag::FIN | tcp_flag::RST);
        self.old = u8::from(fresh == 0 && segment.length != 0);
        self.end = offset.wrapping_add(segment.length);
        if fresh != 0 {
            (self.next, self.begun) = (end(segment), 1);
        }
        let hole = fresh.saturating_sub(segment.length);
        self.in_order = u8::from(in_order && hole == 0);
        if hole != 0 {
            self.hole(hole);
        }
        let mut known = segment.length.wrapping_sub(fresh.wrapping_sub(hole));
        if self.old == 0 && known != 0 && self.hidden == 1 {
            self.lose_place();
        }
        if self.disorder == 1 && self.mode == mode::WALK && self.old == 0 {
            self.unsaid = self.unsaid.wrapping_add(known);
        }
        // Raw bytes may come twice, and those of an old segment are all known: userspace puts them in order.
        if self.mode == mode::RAW || self.old == 1 {
            known = 0;
        }
        self.at = offset.wrapping_add(known);
        self.sequence = segment.sequence.wrapping_add(known);
    }

    /// Bytes from the newest one so far to the segment's last. Two CPUs may tell of segments in an order and walk in
    /// the other: so what was walked counts.
    #[inline(always)]
    fn fresh(&self, segment: &Segment, told: u32) -> u32 {
        if self.begun == 0 || segment.length == 0 {
            return told;
        }
        let fresh = end(segment).wrapping_sub(self.next);
        if fresh < HALF { fresh } else { 0 }
    }

    /// Bytes are missing before the segment.
    #[inline(always)]
    fn hole(&mut self, length: u32) {
        self.disorder = 1;
        if self.mode != mode::WALK {
            return;
        }
        (self.before, self.before_end) = (self.unsaid, self.sequence);
        self.unsaid = 0;
        if self.copy == 0 && self.have == 0 && length <= self.skip {
            self.skip = self.skip.wrapping_sub(length);
            return;
        }
        self.lose_place();
    }

    #[inline(always)]
    fn lose_place(&mut self) {
        self.mode = mode::RAW;
        self.raw = RAW_LIMIT;
        (self.disorder, self.hidden, self.expects) = (1, 1, 0);
        (self.copy, self.skip, self.have, self.unsaid) = (0, 0, 0, 0);
    }

    /// Whether the segment before is still being walked: segments of one flow can reach two CPUs at once.
    #[must_use]
    #[inline(always)]
    pub fn is_busy(&self) -> bool {
        reload(&self.claimed) != reload(&self.walked)
    }

    /// Takes a copy for the walk over a segment; nobody may write to this one but [`Frames::close`].
    #[must_use]
    #[inline(always)]
    pub fn open(&mut self, segment: &Segment) -> Self {
        let mut copy = *self;
        if self.is_busy() && copy.mode == mode::WALK {
            copy.lose_place();
        }
        // What an old segment fills moves no place.
        if self.begun == 0 || self.fresh(segment, 0) != 0 || segment.length == 0 {
            copy.claimed = end(segment);
            store(&mut self.claimed, copy.claimed);
        }
        copy
    }

    /// The walk with a copy is over: what follows goes on from there, unless a walk has begun meanwhile, which
    /// did not know its place. Then this one's last bytes may be left to be told of.
    #[inline(always)]
    pub fn close(&mut self, copy: &Self) -> Option<Run> {
        if copy.old == 1 {
            self.raw = copy.raw;
        } else if reload(&self.claimed) == copy.claimed {
            *self = *copy;
            store(&mut self.walked, copy.claimed);
            return None;
        }
        self.lost |= copy.lost;
        let Self { at: offset, sequence, unsaid: skipped, .. } = *copy;
        (skipped != 0 && copy.old == 0).then_some(Run { offset, length: 0, sequence, skipped, flags: 0 })
    }

    /// Whether the segment is walked.
    #[must_use]
    #[inline(always)]
    pub fn is_done(&self) -> bool {
        self.at >= self.end
    }

    /// The host cannot go on: the rest of the segment is not seen.
    #[inline(always)]
    pub fn give_up(&mut self) {
        self.at = self.end;
        self.mode = mode::SEEK;
        self.lost = 1;
        (self.copy, self.skip, self.have, self.unsaid) = (0, 0, 0, 0);
    }

    /// A run was not taken: what it had will not come again.
    #[inline(always)]
    pub fn lose(&mut self) {
        self.lost = 1;
    }

    /// The next bytes to emit, if there are any before the segment ends or one walk is over. Ask again until
    /// [`Frames::is_done`].
    #[inline(always)]
    pub fn run(&mut self, protocol: u8, bytes: &impl Bytes) -> Option<Run> {
        if self.before != 0 {
            let (sequence, skipped) = (self.before_end, self.before);
            self.before = 0;
            return Some(Run { offset: self.at, length: 0, sequence, skipped, flags: 0 });
        }
        if self.old == 0 {
            self.settle(protocol, bytes);
        }
        let from = self.at;
        let start = match self.mode {
            mode::WALK if self.old == 0 => self.walk(protocol, bytes),
            mode::RAW if self.old == 0 => self.search(protocol, bytes),
            mode::RAW => self.pass(RUN_LIMIT),
            mode::WALK if self.hidden == 1 => self.pass(RUN_LIMIT),
            mode::WALK if self.disorder == 1 => self.skip_all(),
            _ => {
                self.at = self.end;
                self.at
            }
        };
        let sequence = self.sequence.wrapping_add(start.wrapping_sub(from));
        let length = self.at.wrapping_sub(start);
        self.sequence = sequence.wrapping_add(length);
        let ends = if self.is_done() { self.ends } else { 0 };
        // Skipped bytes are told of when they end a frame, or when they may have come before others.
        let whole = self.copy == 0 && self.skip == 0 && self.have == 0;
        let told = self.unsaid != 0 && (whole || self.disorder == 1);
        if length == 0 && !told && ends == 0 {
            return None;
        }
        let flags = ends | if self.lost == 1 { stream_flag::LOST } else { 0 };
        let run = Run { offset: start, length, sequence, skipped: self.unsaid, flags };
        (self.unsaid, self.lost) = (0, 0);
        Some(run)
    }

    /// Finds the place again at the beginning of a segment.
    #[inline(always)]
    fn settle(&mut self, protocol: u8, bytes: &impl Bytes) {
        if self.mode == mode::WALK {
            if self.in_order == 1 {
                (self.disorder, self.hidden) = (0, 0);
            }
            return;
        }
        if self.mode == mode::RAW && self.in_order == 0 {
            return;
        }
        if header::may_begin(protocol, self.at, bytes) {
            self.mode = mode::WALK;
            (self.disorder, self.hidden) = (0, 0);
            (self.copy, self.skip, self.have) = (0, 0, 0);
        }
        // Only the first byte of a segment may begin a frame.
        self.in_order = 0;
    }

    /// All bytes cross, as many as may.
    #[inline(always)]
    fn pass(&mut self, limit: u32) -> u32 {
        let start = self.at;
        let taken = self.end.wrapping_sub(start).min(limit).min(self.raw);
        self.raw = self.raw.wrapping_sub(taken);
        if taken == 0 && start < self.end {
            self.give_up();
            return self.at;
        }
        self.at = start.wrapping_add(taken);
        start
    }

    /// An old segment: its place is known to be among skipped bytes.
    #[inline(always)]
    fn skip_all(&mut self) -> u32 {
        self.unsaid = self.end.wrapping_sub(self.at);
        self.at = self.end;
        self.at
    }
}

/// Sequence number after a segment's payload.
#[inline(always)]
const fn end(segment: &Segment) -> u32 {
    segment.sequence.wrapping_add(segment.length)
}

/// Reads a field from memory again, whatever the compiler knows of it.
#[inline(always)]
fn reload(field: &u32) -> u32 {
    // SAFETY: a reference is valid and aligned.
    unsafe { core::ptr::from_ref(field).read_volatile() }
}

/// Writes a field to memory now.
#[inline(always)]
fn store(field: &mut u32, value: u32) {
    // SAFETY: as above.
    unsafe { core::ptr::from_mut(field).write_volatile(value) }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "a test may panic")]
#[expect(clippy::cast_possible_truncation, reason = "streams of some hundred kilobytes")]
mod tests;
