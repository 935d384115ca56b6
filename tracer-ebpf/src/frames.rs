//! The frames of one direction of a flow: which bytes cross the ring.
//!
//! Of protocols whose messages stand in frames (HTTP/2, TLS, DNS over TCP) userspace reads the frames themselves,
//! so the host sends it the bytes of a flow without what is long and says nothing: the payload of DATA frames
//! and of encrypted records. The host walks from frame header to frame header, over segments that begin and end
//! anywhere, and asks for [`Run`]s to emit. What it skips is counted, so that userspace knows the place of every byte.
//!
//! A hole in the skipped bytes does not lose the place. After any other the bytes cross raw, because userspace can put
//! them in order when the hole is filled, until a segment begins with what looks like a frame header and nothing before
//! it is missing.

use bytemuck::{Pod, Zeroable};

use crate::{
    flow::{FlowState, Plan},
    record::{flow_flag, protocol, role, stream_flag},
    segment::{Direction, Segment, tcp_flag},
};

/// Bytes of one run at most.
pub const RUN_LIMIT: u32 = 4096;
/// Longest payload of a DATA frame or an encrypted record that crosses: one more record would cost more.
pub const COPIED: u32 = 3072;
/// Bytes that cross raw after a hole; then the place is lost.
pub const RAW_LIMIT: u32 = 1 << 20;
/// Steps of one walk: two per frame.
const STEPS: u32 = 128;
/// The client's preface (RFC 9113, section 3.4).
const PREFACE: u32 = 24;
/// What follows of an HTTP/2 frame header after length and type (RFC 9113, section 4.1).
const REST_OF_HEADER: u32 = 5;
/// Longest frame in which a search begins: what a peer may send that announced nothing (RFC 9113, section 4.2).
const FRAME_LIMIT: u32 = 1 << 14;
/// Longest TLS record, with what old ciphers add (RFC 5246, section 6.2.3).
const RECORD_LIMIT: u32 = (1 << 14) + 2048;
/// A TLS record of application data (RFC 8446, section 5.1).
const APPLICATION_DATA: u32 = 23;

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
    reserved: [u8; 5],
}

impl Frames {
    /// The next byte is the first of the direction.
    #[inline(always)]
    pub fn start(&mut self, protocol: u8, client: bool) {
        self.mode = mode::WALK;
        self.copy = if protocol == protocol::HTTP2 && client { PREFACE } else { 0 };
    }

    /// The flow was joined in the middle.
    #[inline(always)]
    pub fn join(&mut self) {
        self.mode = mode::SEEK;
        self.lost = 1;
    }

    /// A segment comes: `fresh` new bytes at its end, payload at `offset` of the packet. `in_order` says that the
    /// receiver has all bytes before it.
    #[inline(always)]
    pub fn begin(&mut self, segment: &Segment, fresh: u32, offset: u32, in_order: bool) {
        self.time = segment.time;
        self.ends = segment.flags & (tcp_flag::FIN | tcp_flag::RST);
        self.old = u8::from(fresh == 0 && segment.length != 0);
        self.end = offset.wrapping_add(segment.length);
        let hole = fresh.saturating_sub(segment.length);
        self.in_order = u8::from(in_order && hole == 0);
        if hole != 0 {
            self.hole(hole);
        }
        let mut known = segment.length.wrapping_sub(fresh.wrapping_sub(hole));
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
        self.disorder = 1;
        (self.copy, self.skip, self.have, self.unsaid) = (0, 0, 0, 0);
    }

    /// Whether the segment before is still being walked: segments of one flow can reach two CPUs at once.
    #[must_use]
    #[inline(always)]
    pub fn is_busy(&self) -> bool {
        reload(&self.claimed) != reload(&self.walked)
    }

    /// Takes a copy for the walk over a segment; nobody may write to this one but [`Frames::close`].
    #[inline(always)]
    pub fn open(&mut self, segment: &Segment) -> Self {
        let mut copy = *self;
        if self.is_busy() && copy.mode == mode::WALK {
            copy.lose_place();
        }
        copy.claimed = segment.sequence.wrapping_add(segment.length);
        store(&mut self.claimed, copy.claimed);
        copy
    }

    /// The walk with a copy is over: what follows goes on from there, unless a walk has begun meanwhile, which
    /// did not know its place.
    #[inline(always)]
    pub fn close(&mut self, copy: &Self) {
        if reload(&self.claimed) == copy.claimed {
            *self = *copy;
            store(&mut self.walked, copy.claimed);
        } else if copy.lost == 1 {
            self.lost = 1;
        }
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
            mode::RAW => self.pass(),
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
                self.disorder = 0;
            }
            return;
        }
        if self.mode == mode::RAW && self.in_order == 0 {
            return;
        }
        if is_header(protocol, self.at, bytes) {
            self.mode = mode::WALK;
            self.disorder = 0;
            (self.copy, self.skip, self.have) = (0, 0, 0);
        }
        // Only the first byte of a segment may begin a frame.
        self.in_order = 0;
    }

    /// Walks over frames until a run ends; returns where it began.
    #[inline(always)]
    fn walk(&mut self, protocol: u8, bytes: &impl Bytes) -> u32 {
        self.start = self.at;
        for _ in 0..STEPS {
            if !self.step(protocol, bytes) {
                break;
            }
        }
        reload(&self.start)
    }

    /// One step of the walk. Says whether the run goes on.
    ///
    /// Between steps all that moves lies in memory, where the verifier knows nothing of it: so each step is like
    /// the one before, and it follows the ways through one of them and not through all together.
    #[inline(always)]
    fn step(&mut self, protocol: u8, bytes: &impl Bytes) -> bool {
        let (at, start) = (reload(&self.at), reload(&self.start));
        let left = self.end.wrapping_sub(at);
        let room = RUN_LIMIT.wrapping_sub(at.wrapping_sub(start));
        if at >= self.end || room < 4 {
            return false;
        }
        let taken;
        if self.copy != 0 {
            taken = self.copy.min(left).min(room);
            self.copy = self.copy.wrapping_sub(taken);
        } else if self.skip != 0 {
            if at != start {
                return false;
            }
            taken = self.skip.min(left);
            self.skip = self.skip.wrapping_sub(taken);
            self.unsaid = self.unsaid.wrapping_add(taken);
            store(&mut self.start, at.wrapping_add(taken));
        } else if let Some(read) = self.header(protocol, at, left, bytes) {
            taken = read;
        } else {
            self.give_up();
            store(&mut self.start, self.end);
            return false;
        }
        store(&mut self.at, at.wrapping_add(taken));
        true
    }

    /// Reads on in a frame header; returns how many bytes it took.
    #[inline(always)]
    fn header(&mut self, protocol: u8, at: u32, left: u32, bytes: &impl Bytes) -> Option<u32> {
        let whole = match protocol {
            protocol::HTTP2 => 4,
            protocol::TLS => 5,
            _ => 2,
        };
        if self.have == 0 && left >= 4 && whole >= 4 {
            let word = bytes.word(at)?;
            if whole == 4 {
                self.decode(protocol, word);
            } else {
                (self.head, self.have) = (word, 4);
            }
            return Some(4);
        }
        let byte = u32::from(bytes.byte(at)?);
        self.have = self.have.wrapping_add(1);
        if self.have >= whole {
            self.have = 0;
            if protocol == protocol::TLS {
                self.record(self.head, byte);
            } else {
                self.decode(protocol, self.head.wrapping_shl(8) | byte);
            }
            self.head = 0;
        } else {
            self.head = self.head.wrapping_shl(8) | byte;
        }
        Some(1)
    }

    /// The length of an HTTP/2 frame and its type, or of a DNS message (RFC 1035, section 4.2.2).
    #[inline(always)]
    fn decode(&mut self, protocol: u8, head: u32) {
        (self.head, self.have) = (0, 0);
        if protocol == protocol::DNS {
            self.copy = head & 0xffff;
            return;
        }
        let length = head.wrapping_shr(8);
        if head & 0xff == 0 && length > COPIED {
            (self.copy, self.skip) = (REST_OF_HEADER, length);
        } else {
            self.copy = REST_OF_HEADER.wrapping_add(length);
        }
    }

    /// A TLS record: type, version and the length's first byte are in `head`.
    #[inline(always)]
    fn record(&mut self, head: u32, last: u32) {
        let length = (head & 0xff).wrapping_shl(8) | last;
        if head.wrapping_shr(24) == APPLICATION_DATA && length > COPIED {
            self.skip = length;
        } else {
            self.copy = length;
        }
    }

    /// All bytes cross, as many as may.
    #[inline(always)]
    fn pass(&mut self) -> u32 {
        let start = self.at;
        let taken = self.end.wrapping_sub(start).min(RUN_LIMIT).min(self.raw);
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

impl FlowState {
    /// Whether userspace reads the flow's frames: its exchanges are not the host's to tell.
    #[must_use]
    #[inline(always)]
    pub const fn is_framed(&self) -> bool {
        self.record.protocol > protocol::OPAQUE
    }

    /// The frames of a direction.
    #[inline(always)]
    pub fn frames(&mut self, direction: Direction) -> &mut Frames {
        match direction {
            Direction::Ingress => &mut self.ingress,
            Direction::Egress => &mut self.egress,
        }
    }

    /// Whether the host is to walk over the segment's frames. After a hole any old segment may fill one.
    #[must_use]
    #[inline(always)]
    pub fn wants_frames(&self, segment: &Segment, plan: &Plan) -> bool {
        let fills = plan.again && self.ingress.disorder == 1;
        self.is_framed() && (plan.fresh != 0 || fills || segment.has(tcp_flag::FIN | tcp_flag::RST))
    }

    /// The first message shows that the flow has frames. Of the other direction all is to come, unless the flow was
    /// joined, or its beginning was not seen.
    #[inline(always)]
    pub(crate) fn begin_frames(&mut self, spoken: u8, response: bool) {
        self.record.protocol = spoken;
        let joined = self.record.flags & flow_flag::JOINED != 0;
        let unseen = response && self.record.flags & flow_flag::UNSOLICITED == 0;
        let is_server = self.record.role == role::SERVER;
        for (direction, of_client) in [(Direction::Ingress, is_server), (Direction::Egress, !is_server)] {
            let frames = self.frames(direction);
            // DNS messages have no header that could be found in the middle: the first bytes begin one.
            if joined && spoken != protocol::DNS || unseen && of_client {
                frames.join();
            } else {
                frames.start(spoken, of_client);
            }
        }
    }
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

/// Whether the first segment of a flow begins HTTP/2: the client's preface, or the server's SETTINGS (RFC 9113,
/// section 3.4).
#[inline(always)]
pub(crate) fn begins_http2(response: bool, first: [u8; 9]) -> bool {
    let [a, b, c, d, ..] = first;
    if response { is_settings(first) } else { [a, b, c, d] == *b"PRI " }
}

#[inline(always)]
fn is_settings(first: [u8; 9]) -> bool {
    let [high, middle, low, kind, flags, stream @ ..] = first;
    [high, middle] == [0, 0] && low % 6 == 0 && kind == 4 && flags == 0 && stream == [0; 4]
}

/// Whether the first segment of a flow begins TLS: a handshake record of version 3.x.
#[inline(always)]
pub(crate) fn begins_tls(first: [u8; 9]) -> bool {
    let [kind, major, minor, high, low, message, ..] = first;
    let length = u16::from_be_bytes([high, low]);
    kind == 22 && major == 3 && minor <= 4 && length >= 4 && length as u32 <= RECORD_LIMIT && message <= 2
}

/// Whether a message in the middle of a flow begins with the head of an HTTP/2 request or response.
#[inline(always)]
pub(crate) fn is_headers(first: [u8; 9]) -> bool {
    let [a, b, c, kind, flags, d, e, f, g] = first;
    kind == 1
        && flags & !0x2d == 0
        && flags & 4 != 0
        && is_http2(u32::from_be_bytes([a, b, c, kind]), u32::from_be_bytes([d, e, f, g]))
}

/// Whether a message in the middle of a flow begins with a TLS record.
#[inline(always)]
pub(crate) fn is_record(first: [u8; 9]) -> bool {
    let [kind, major, minor, high, low, ..] = first;
    is_tls(u32::from_be_bytes([kind, major, minor, high]), low)
}

/// Whether a frame may begin here.
#[inline(always)]
fn is_header(protocol: u8, at: u32, bytes: &impl Bytes) -> bool {
    let Some(word) = bytes.word(at) else { return false };
    if protocol == protocol::TLS {
        return bytes.byte(at.wrapping_add(4)).is_some_and(|low| is_tls(word, low));
    }
    protocol == protocol::HTTP2 && bytes.word(at.wrapping_add(5)).is_some_and(|stream| is_http2(word, stream))
}

#[inline(always)]
fn is_tls(word: u32, low: u8) -> bool {
    let length = (word & 0xff).wrapping_shl(8) | u32::from(low);
    let kind = word.wrapping_shr(24);
    let version = word.wrapping_shr(8) & 0xffff;
    kind.wrapping_sub(20) <= 3 && version.wrapping_sub(0x300) <= 4 && length != 0 && length <= RECORD_LIMIT
}

/// The lengths and streams that RFC 9113, section 6, allows; frames that only go on with others begin nothing.
#[inline(always)]
fn is_http2(word: u32, stream: u32) -> bool {
    let length = word.wrapping_shr(8);
    let (is_stream, is_asked) = (stream != 0 && stream >> 31 == 0, stream & 1 == 1);
    match word & 0xff {
        0 => is_stream && length <= FRAME_LIMIT,
        1 => is_stream && is_asked && length != 0 && length <= FRAME_LIMIT,
        3 => is_stream && length == 4,
        4 => stream == 0 && length % 6 == 0 && length <= 240,
        6 => stream == 0 && length == 8,
        7 => stream == 0 && length >= 8 && length <= FRAME_LIMIT,
        8 => stream >> 31 == 0 && length == 4,
        _ => false,
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "a test may panic")]
#[path = "frames_tests.rs"]
mod tests;
