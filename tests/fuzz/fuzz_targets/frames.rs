//! Any segments with any bytes through the walk over frames: it ends, and every run lies in its segment.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tracer_ebpf::{
    frames::{Bytes, Frames, RUN_LIMIT, SEARCHED},
    record::protocol,
    segment::{Direction, Segment},
};

struct Packet<'a>(&'a [u8]);

impl Bytes for Packet<'_> {
    fn byte(&self, at: u32) -> Option<u8> {
        self.0.get(at as usize).copied()
    }

    fn word(&self, at: u32) -> Option<u32> {
        let bytes = self.0.get(at as usize..)?.first_chunk::<4>()?;
        Some(u32::from_be_bytes(*bytes))
    }

    fn find(&self, at: u32, word: u32) -> Option<u32> {
        (at..at.checked_add(SEARCHED)?).find(|at| self.word(*at) == Some(word))
    }
}

/// How far a segment is from where the last one ended, whether nothing before it is missing, and its bytes.
type Arrival = (i16, bool, Vec<u8>);

fuzz_target!(|input: (u8, bool, Vec<Arrival>)| {
    let (protocol, joined, segments) = input;
    let protocol = protocol::HTTP2 + protocol % 3;
    let mut frames: Frames = bytemuck::Zeroable::zeroed();
    if joined { frames.join() } else { frames.start(protocol, false) }
    let mut sequence = 0u32;
    for (jump, in_order, bytes) in segments {
        // Holes and overlaps.
        sequence = sequence.wrapping_add_signed(jump.into());
        let length = bytes.len() as u32;
        let flags = if in_order { 0 } else { 1 };
        let segment =
            Segment { time: 1, sequence, acknowledgment: 0, length, window: 1, flags, direction: Direction::Ingress };
        let mut place = frames;
        frames = place.open(&segment);
        frames.begin(&segment, length, 0, in_order);
        let mut walks = 0;
        loop {
            if let Some(run) = frames.run(protocol, &Packet(&bytes)) {
                assert!(run.length <= RUN_LIMIT && run.offset.saturating_add(run.length) <= length.max(run.offset));
            }
            if frames.is_done() {
                break;
            }
            walks += 1;
            assert!(walks <= bytes.len() + 4, "a walk that does not move");
        }
        if let Some(rest) = place.close(&frames) {
            assert!(rest.length == 0 && rest.skipped != 0);
        }
        frames = place;
        sequence = sequence.wrapping_add(length);
    }
});
