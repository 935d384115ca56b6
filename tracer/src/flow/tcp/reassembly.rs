//! Segments of one direction → its bytes in order, each once.
//!
//! Bytes in order are handed out as they come, without a copy. What comes early waits until the hole before it is
//! filled, and is then handed out with the time of the segment that filled it, because that made it readable: so
//! tshark dates messages with `-o tcp.reassemble_out_of_order:TRUE`. Where bytes come twice, the first ones count.
//!
//! tshark waits for ever for bytes that were not captured. Here a hole is given up, and the bytes behind it are
//! handed out with the times at which they were seen,
//!
//! - when the receiver has acknowledged it, thus has the bytes, and either answers with bytes of its own or
//!   [`PATIENCE`] has passed since something behind the hole was seen: nothing fills it any more;
//! - when more would wait than [`WAITING_LIMIT`](super::WAITING_LIMIT) or the [`Budget`] allow;
//! - at the end of the connection, when the receiver has acknowledged it or none of its acknowledgments was seen.
//!   Else the receiver never had the bytes, could not read those behind them, and they are not handed out.

use tracer_ebpf::segment::tcp_flag::{FIN, SYN};

use super::{
    Budget, Piece,
    sequence::{before, distance},
    waiting::Waiting,
};
use crate::{
    packet::Tcp,
    proto::stream::{End, Seen},
};

/// Nanoseconds by which a capture may show a segment later than one that was sent after it.
pub const PATIENCE: u64 = 1_000_000;

/// A RST that lies further from what is due is not the sender's (RFC 5961, section 3.2, without the exact window).
const NEAR: u32 = 16 << 20;

/// Where bytes go.
pub(super) struct Sink<'a, D> {
    pub(super) budget: &'a mut Budget,
    pub(super) deliver: D,
}

/// The bytes of one direction.
#[derive(Debug)]
pub(super) struct Reassembly {
    /// Sequence number of the next byte to hand out, once `has_begun`.
    next: u32,
    /// What the receiver has acknowledged, once `is_heard`.
    acknowledged: u32,
    /// Place of the next byte in the stream, from 0.
    position: i64,
    /// See [`super::Totals::unique`].
    unique: u64,
    /// What waits for a hole to be filled; none when nothing does.
    waiting: Option<Box<Waiting>>,
    /// See [`super::Totals::forced`].
    forced: u32,
    has_begun: bool,
    is_heard: bool,
    /// Nothing more is handed out.
    has_ended: bool,
}

impl Reassembly {
    pub(super) const fn new() -> Self {
        Self {
            next: 0,
            acknowledged: 0,
            position: 0,
            unique: 0,
            waiting: None,
            forced: 0,
            has_begun: false,
            is_heard: false,
            has_ended: false,
        }
    }

    pub(super) fn unique(&self) -> u64 {
        self.unique
    }

    pub(super) fn forced(&self) -> u32 {
        self.forced
    }

    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Whether the receiver may take a RST with this sequence number for its sender's.
    pub(super) fn is_near(&self, sequence: u32) -> bool {
        let is_near = |other| distance(other, sequence).unsigned_abs() <= NEAR;
        !self.has_begun || is_near(self.next) || self.is_heard && is_near(self.acknowledged)
    }

    /// Whether no byte was seen, and no end.
    pub(super) fn is_blank(&self) -> bool {
        self.unique == 0 && self.waiting.is_none() && !self.has_ended
    }

    /// The receiver says what it has, in a segment with bytes of its own (`answers`) or without.
    pub(super) fn acknowledge<D: FnMut(Piece<'_>)>(
        &mut self,
        acknowledgment: u32,
        answers: bool,
        now: u64,
        sink: &mut Sink<'_, D>,
    ) {
        if !self.is_heard || before(self.acknowledged, acknowledgment) {
            self.acknowledged = acknowledgment;
            self.is_heard = true;
        }
        if self.waiting.is_some() {
            self.give_up(answers, now, sink);
        }
    }

    /// Takes a segment that is not a RST. No stream begins with a keep-alive, whose byte is an old one.
    pub(super) fn segment<D: FnMut(Piece<'_>)>(
        &mut self,
        tcp: &Tcp<'_>,
        is_keep_alive: bool,
        seen: Seen,
        sink: &mut Sink<'_, D>,
    ) {
        let (is_syn, is_fin) = (tcp.flags & SYN != 0, tcp.flags & FIN != 0);
        let start = tcp.sequence.wrapping_add(u32::from(is_syn));
        let is_empty = tcp.length == 0 && !is_fin;
        let begins = !self.has_begun && !is_empty && !is_keep_alive;
        if begins || is_syn && self.position == 0 && self.waiting.is_none() {
            self.next = start;
            self.has_begun = true;
        }
        if self.has_ended || !self.has_begun || is_empty {
            return;
        }
        let ahead = distance(self.next, start);
        if ahead == 0 && self.waiting.is_none() {
            self.unique += u64::from(tcp.length);
            self.hand_out(tcp.payload, tcp.length, seen, sink);
            if is_fin {
                self.end(seen, sink);
            }
            return;
        }
        let first = self.position + i64::from(ahead);
        self.place(first, tcp, seen, sink);
        if is_fin && !self.has_ended {
            self.place_end(first + i64::from(tcp.length), seen, sink);
        }
        self.give_up(false, seen.time, sink);
    }

    /// The connection is over: hands out what the receiver had, and forgets the rest.
    pub(super) fn finish<D: FnMut(Piece<'_>)>(&mut self, sink: &mut Sink<'_, D>) {
        while let Some((hole, _)) = self.hole() {
            if self.is_heard && !self.has_acknowledged(hole) {
                break;
            }
            self.skip(hole, Seen::default(), sink);
        }
        self.has_ended = true;
        self.release(sink);
    }

    /// Gives up every hole.
    pub(super) fn skip_all<D: FnMut(Piece<'_>)>(&mut self, sink: &mut Sink<'_, D>) {
        while let Some((hole, seen)) = self.hole() {
            self.skip(hole, seen, sink);
        }
    }

    /// Puts a segment's bytes, the first of which is `first` in the stream, to their places.
    fn place<D: FnMut(Piece<'_>)>(&mut self, first: i64, tcp: &Tcp<'_>, seen: Seen, sink: &mut Sink<'_, D>) {
        let end = first + i64::from(tcp.length);
        let mut at = first;
        while !self.has_ended
            && let Some((from, until)) = self.free(at.max(self.position), end)
        {
            let bytes = part(tcp.payload, from - first, until - first);
            let length = u32::try_from(until - from).unwrap_or(u32::MAX);
            if from == self.position {
                self.hand_out(bytes, length, seen, sink);
                self.drain(seen, sink);
            } else if !self.waiting.get_or_insert_default().insert(from, bytes, length, seen, sink.budget) {
                self.forced = self.forced.saturating_add(1);
                let hole = self.hole().map_or(from, |(hole, _)| hole.min(from));
                self.skip(hole, seen, sink);
                at = from;
                continue;
            }
            self.unique += u64::from(length);
            at = until;
        }
    }

    /// Puts a FIN to its place.
    fn place_end<D: FnMut(Piece<'_>)>(&mut self, at: i64, seen: Seen, sink: &mut Sink<'_, D>) {
        if at > self.position {
            self.waiting.get_or_insert_default().end.get_or_insert((at, seen));
        } else if at == self.position {
            self.end(seen, sink);
        }
    }

    /// The first part of `from..until` for which no bytes wait.
    fn free(&self, from: i64, until: i64) -> Option<(i64, i64)> {
        match &self.waiting {
            Some(waiting) => waiting.free(from, until),
            None => (from < until).then_some((from, until)),
        }
    }

    /// Where the first hole ends, and when that was seen.
    pub(super) fn hole(&self) -> Option<(i64, Seen)> {
        self.waiting.as_ref()?.hole()
    }

    /// Whether the receiver has all before `at`.
    fn has_acknowledged(&self, at: i64) -> bool {
        self.is_heard && i64::from(distance(self.next, self.acknowledged)) >= at - self.position
    }

    /// Gives up the holes that nothing fills any more.
    fn give_up<D: FnMut(Piece<'_>)>(&mut self, answers: bool, now: u64, sink: &mut Sink<'_, D>) {
        while let Some((hole, seen)) = self.hole()
            && self.has_acknowledged(hole)
            && (answers || seen.time.saturating_add(PATIENCE) <= now)
        {
            self.skip(hole, seen, sink);
        }
    }

    /// Gives up the hole before `at`, seen not before `seen`.
    fn skip<D: FnMut(Piece<'_>)>(&mut self, at: i64, seen: Seen, sink: &mut Sink<'_, D>) {
        let waiting = self.waiting.get_or_insert_default();
        let at_hole = waiting.hole().filter(|(hole, _)| *hole == at);
        let seen = later(at_hole.map_or(seen, |(_, seen)| seen), waiting.latest);
        let length = u32::try_from(at - self.position).unwrap_or(u32::MAX);
        self.hand_out(&[], length, seen, sink);
        self.drain(seen, sink);
    }

    /// Hands out what waits no longer.
    fn drain<D: FnMut(Piece<'_>)>(&mut self, mut seen: Seen, sink: &mut Sink<'_, D>) {
        while let Some(waiting) = &mut self.waiting {
            waiting.latest = seen;
            if let Some(chunk) = waiting.take(self.position, sink.budget) {
                seen = later(seen, chunk.seen);
                self.hand_out(&chunk.bytes, chunk.length, seen, sink);
            } else if let Some((_, end)) = waiting.end.filter(|(at, _)| *at <= self.position) {
                self.end(later(seen, end), sink);
            } else {
                if waiting.is_empty() {
                    self.waiting = None;
                }
                return;
            }
        }
    }

    /// Hands out `length` bytes of which `bytes` were captured.
    fn hand_out<D: FnMut(Piece<'_>)>(
        &mut self,
        bytes: &[u8],
        length: u32,
        seen: Seen,
        sink: &mut Sink<'_, D>,
    ) {
        self.next = self.next.wrapping_add(length);
        self.position += i64::from(length);
        if !bytes.is_empty() {
            (sink.deliver)(Piece::Bytes(bytes, seen));
        }
        let captured = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let missing = u64::from(length).saturating_sub(captured);
        if missing > 0 {
            (sink.deliver)(Piece::Gap(missing, seen));
        }
    }

    /// The stream ends here.
    fn end<D: FnMut(Piece<'_>)>(&mut self, seen: Seen, sink: &mut Sink<'_, D>) {
        (sink.deliver)(Piece::End(End::Fin, seen));
        self.has_ended = true;
        self.release(sink);
    }

    /// Forgets what waits.
    fn release<D>(&mut self, sink: &mut Sink<'_, D>) {
        if let Some(waiting) = self.waiting.take() {
            waiting.release(sink.budget);
        }
    }
}

/// Which comes later in the capture: its clock may go back.
fn later(a: Seen, b: Seen) -> Seen {
    if (a.packet, a.time) < (b.packet, b.time) { b } else { a }
}

/// What was captured of a part of a payload.
fn part(payload: &[u8], from: i64, until: i64) -> &[u8] {
    let place = |at: i64| usize::try_from(at).unwrap_or(0).min(payload.len());
    payload.get(place(from)..place(until)).unwrap_or_default()
}

#[cfg(test)]
#[path = "reassembly_tests.rs"]
mod tests;
