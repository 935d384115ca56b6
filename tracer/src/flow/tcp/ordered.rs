//! One direction's bytes as the hooks send them: parts of it, in order as a rule.

use tracer_ebpf::segment::tcp_flag;

use super::{
    Budget, Piece,
    reassembly::{Reassembly, Sink},
};
use crate::{packet::Tcp, proto::stream::Seen};

/// The bytes of one direction, of which some do not cross the ring. The hooks say when bytes are lost for good; what
/// else is missing comes later.
#[derive(Debug)]
pub struct Ordered(Reassembly);

/// A part of the stream.
#[derive(Clone, Copy, Debug)]
pub struct Span<'a> {
    /// Sequence number of its first byte.
    pub sequence: u32,
    /// Its bytes, or those of them that crossed.
    pub bytes: &'a [u8],
    /// Bytes on the wire.
    pub length: u32,
    /// The sender ends its bytes here.
    pub is_last: bool,
    /// The segment.
    pub seen: Seen,
}

impl Ordered {
    /// Nothing came yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Reassembly::new())
    }

    /// Takes a part of the stream, and hands out what became readable.
    pub fn span(&mut self, span: Span<'_>, budget: &mut Budget, deliver: &mut impl FnMut(Piece<'_>)) {
        let tcp = Tcp {
            sequence: span.sequence,
            length: span.length,
            payload: span.bytes,
            flags: if span.is_last { tcp_flag::FIN } else { 0 },
            ..Tcp::default()
        };
        self.0.segment(&tcp, false, span.seen, &mut Sink { budget, deliver });
    }

    /// When the first bytes were seen that wait for missing ones.
    #[must_use]
    pub fn waits_since(&self) -> Option<u64> {
        self.0.hole().map(|(_, seen)| seen.time)
    }

    /// What is missing will not come: hands out what waits for it.
    pub fn give_up(&mut self, budget: &mut Budget, deliver: &mut impl FnMut(Piece<'_>)) {
        self.0.skip_all(&mut Sink { budget, deliver });
    }

    /// Nothing more comes: hands out what waits.
    pub fn finish(&mut self, budget: &mut Budget, deliver: &mut impl FnMut(Piece<'_>)) {
        self.0.finish(&mut Sink { budget, deliver });
    }
}

impl Default for Ordered {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes, gaps and their times, as handed out.
    fn read(spans: &[(u32, &'static [u8], u32, u64)], lost: bool) -> Vec<(Vec<u8>, u64, u64)> {
        let (mut ordered, mut budget, mut pieces) = (Ordered::new(), Budget::new(1 << 20), Vec::new());
        let mut deliver = |piece: Piece<'_>| match piece {
            Piece::Bytes(bytes, seen) => pieces.push((bytes.to_vec(), 0, seen.time)),
            Piece::Gap(length, seen) => pieces.push((Vec::new(), length, seen.time)),
            Piece::End(..) => {}
        };
        for (sequence, bytes, length, time) in spans {
            let seen = Seen { time: *time, packet: 0 };
            let span = Span { sequence: *sequence, bytes, length: *length, is_last: false, seen };
            ordered.span(span, &mut budget, &mut deliver);
        }
        if lost {
            ordered.give_up(&mut budget, &mut deliver);
        }
        pieces
    }

    #[test]
    fn what_comes_early_waits_and_is_readable_when_the_hole_is_filled() {
        let spans: [(u32, &[u8], u32, u64); 3] = [(10, b"ab", 2, 1), (14, b"ef", 2, 2), (12, b"", 2, 9)];
        let expected = vec![(b"ab".to_vec(), 0, 1), (Vec::new(), 2, 9), (b"ef".to_vec(), 0, 9)];
        assert_eq!(read(&spans, false), expected);
    }

    #[test]
    fn lost_bytes_are_a_gap() {
        let spans: [(u32, &[u8], u32, u64); 2] = [(10, b"ab", 2, 1), (14, b"ef", 2, 2)];
        assert_eq!(read(&spans, true), [(b"ab".to_vec(), 0, 1), (Vec::new(), 2, 2), (b"ef".to_vec(), 0, 2)]);
    }
}
