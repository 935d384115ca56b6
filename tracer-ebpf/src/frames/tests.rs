extern crate std;

use std::{vec, vec::Vec};

use super::*;
use crate::segment::Direction;

mod cpus;

/// Where payload begins in the packets here.
const OFFSET: u32 = 40;
const FIRST: u32 = u32::MAX - 10_000;

struct Packet<'a>(&'a [u8]);

impl Bytes for Packet<'_> {
    fn byte(&self, at: u32) -> Option<u8> {
        self.0.get((at - OFFSET) as usize).copied()
    }

    fn word(&self, at: u32) -> Option<u32> {
        let start = (at - OFFSET) as usize;
        self.0.get(start..start + 4).map(|bytes| u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn find(&self, at: u32, word: u32) -> Option<u32> {
        (at..at + SEARCHED).find(|at| self.word(*at) == Some(word))
    }
}

/// A receiver's end: segments in, runs out, all places counted from the first byte of the stream.
struct Host {
    frames: Frames,
    protocol: u8,
    stream: Vec<u8>,
    /// Bytes up to the newest, up to the receiver's first hole, and which it has.
    next: usize,
    whole: usize,
    has: Vec<bool>,
    /// Which have passed the hook.
    passed: Vec<bool>,
    runs: Vec<Run>,
}

impl Host {
    fn new(protocol: u8, stream: Vec<u8>) -> Self {
        let mut frames = Frames::zeroed();
        frames.start(protocol, false);
        let has = vec![false; stream.len()];
        Self { frames, protocol, stream, next: 0, whole: 0, passed: has.clone(), has, runs: Vec::new() }
    }

    /// Whether it said that something was lost.
    fn has_lost(&self) -> bool {
        self.runs.iter().any(|run| run.flags & stream_flag::LOST != 0)
    }

    /// How many of the bytes that must cross did not.
    fn missing(&self, crosses: &[bool]) -> usize {
        let said = self.said();
        crosses.iter().zip(&said).filter(|(crosses, said)| **crosses && **said < 2).count()
    }

    /// The segment `from..until` arrives.
    fn segment(&mut self, from: usize, until: usize) {
        let Some(arrival) = self.arrive(from, until) else { return };
        let mut frames = self.frames;
        self.begin(&mut frames, &arrival);
        for _ in 0..33 {
            self.step(&mut frames, &arrival);
            if frames.is_done() {
                break;
            }
        }
        if !frames.is_done() {
            frames.give_up();
        }
        self.frames = frames;
        self.receive(&arrival);
    }

    /// What the state machine says of a segment, if it is to be walked.
    fn arrive(&mut self, from: usize, until: usize) -> Option<Arrival> {
        let fresh = until.saturating_sub(self.next);
        let fills = fresh == 0 && self.passed[from..until].contains(&false);
        if fresh == 0 && !fills {
            return None;
        }
        self.next = self.next.max(until);
        self.passed[from..until].fill(true);
        let segment = Segment {
            time: 1,
            sequence: FIRST.wrapping_add(from as u32),
            acknowledgment: 0,
            length: (until - from) as u32,
            window: 1,
            flags: 0,
            direction: Direction::Ingress,
        };
        let payload = self.stream[from..until].to_vec();
        Some(Arrival { segment, fresh: fresh as u32, payload, from })
    }

    fn begin(&self, frames: &mut Frames, arrival: &Arrival) {
        let in_order = frames.disorder == 0 || self.whole == arrival.from;
        frames.begin(&arrival.segment, arrival.fresh, OFFSET, in_order);
    }

    /// Whether the walk on one of several CPUs is over.
    fn is_over(&mut self, frames: &Frames, arrival: &Arrival) -> bool {
        if frames.is_done() {
            self.runs.extend(self.frames.close(frames));
            self.receive(arrival);
        }
        frames.is_done()
    }

    /// After the hook the receiver takes the segment.
    fn receive(&mut self, arrival: &Arrival) {
        self.has[arrival.from..][..arrival.payload.len()].fill(true);
        self.whole += self.has[self.whole..].iter().take_while(|has| **has).count();
    }

    /// One walk.
    fn step(&mut self, frames: &mut Frames, arrival: &Arrival) {
        let Some(run) = frames.run(self.protocol, &Packet(&arrival.payload)) else { return };
        let place = run.sequence.wrapping_sub(FIRST) as usize;
        assert!(run.length <= RUN_LIMIT && run.skipped as usize <= place);
        assert!(run.length == 0 || (run.offset - OFFSET) as usize + arrival.from == place, "{run:?}");
        self.runs.push(run);
    }

    /// For each byte: 2 when it crossed, 1 when it was told of, 0 when nothing was said.
    fn said(&self) -> Vec<u8> {
        let mut said = vec![0; self.stream.len()];
        for run in &self.runs {
            let place = run.sequence.wrapping_sub(FIRST) as usize;
            for byte in &mut said[place - run.skipped as usize..place] {
                *byte = 1.max(*byte);
            }
            said[place..place + run.length as usize].fill(2);
        }
        said
    }
}

/// A segment on its way through the hook.
struct Arrival {
    segment: Segment,
    fresh: u32,
    payload: Vec<u8>,
    /// Of its first byte in the stream.
    from: usize,
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit) as usize
    }
}

/// Frames or records, for each byte whether it must cross, and where each frame begins.
fn stream(random: &mut Random, protocol: u8) -> (Vec<u8>, Vec<bool>, Vec<usize>) {
    let (mut bytes, mut crosses, mut begins) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..2 + random.below(20) {
        let length = match random.below(4) {
            0 => random.below(16_384),
            1 => random.below(4_000),
            _ => random.below(100),
        };
        let long = random.below(2) == 0;
        let head = match protocol {
            protocol::HTTP2 => {
                let [_, a, b, c] = (length as u32).to_be_bytes();
                vec![a, b, c, if long { 0 } else { 9 }, 4, 0, 0, 0, 1]
            }
            protocol::TLS => {
                let [a, b] = (length as u16).to_be_bytes();
                vec![if long { 23 } else { 22 }, 3, 3, a, b]
            }
            _ => (length as u16).to_be_bytes().to_vec(),
        };
        begins.push(bytes.len());
        crosses.extend(vec![true; head.len()]);
        bytes.extend(head);
        let copied = length <= COPIED as usize || !long || protocol == protocol::DNS;
        crosses.extend(vec![copied; length]);
        // What lies in frames looks like no header.
        bytes.extend(vec![0xee; length]);
    }
    (bytes, crosses, begins)
}

/// Cuts anywhere, header bytes included, or where frames begin, as senders do.
fn cuts(random: &mut Random, length: usize, begins: &[usize]) -> Vec<(usize, usize)> {
    let (mut from, mut all) = (0, Vec::new());
    let limit = [3, 60, 1_500, 30_000, 0][random.below(5)];
    if limit == 0 {
        let ends = begins.iter().skip(1).copied().chain([length]);
        return begins.iter().copied().zip(ends).collect();
    }
    while from < length {
        let until = (from + 1 + random.below(limit)).min(length);
        all.push((from, until));
        from = until;
    }
    all
}

#[test]
fn wherever_segments_end_the_same_bytes_cross() {
    let mut random = Random(7);
    for round in 0..300 {
        let protocol = [protocol::HTTP2, protocol::TLS, protocol::DNS][round % 3];
        let (bytes, crosses, begins) = stream(&mut random, protocol);
        let mut host = Host::new(protocol, bytes);
        for (from, until) in cuts(&mut random, crosses.len(), &begins) {
            host.segment(from, until);
        }
        let said = host.said();
        for (at, crosses) in crosses.iter().enumerate() {
            assert_eq!(said[at] == 2, *crosses, "byte {at} of round {round}");
        }
        // Each frame's end was told of, the last one's too.
        assert!(!said.contains(&0), "round {round}");
        assert!(host.runs.iter().all(|run| run.flags == 0));
    }
}

#[test]
fn whatever_comes_late_or_twice_nothing_that_must_cross_is_missing() {
    let mut random = Random(11);
    for round in 0..300 {
        let protocol = [protocol::HTTP2, protocol::TLS][round % 2];
        let (bytes, crosses, begins) = stream(&mut random, protocol);
        let mut host = Host::new(protocol, bytes);
        let mut segments = cuts(&mut random, crosses.len(), &begins);
        for at in 1..segments.len() {
            if random.below(10) == 0 {
                segments.swap(at - 1, at);
            }
        }
        for (from, until) in segments {
            host.segment(from, until);
            if random.below(10) == 0 {
                host.segment(from, until);
            }
        }
        let missing = host.missing(&crosses);
        assert!(missing == 0 || host.has_lost(), "{missing} bytes of round {round}");
    }
}

#[test]
fn a_hole_in_skipped_bytes_does_not_lose_the_place() {
    let mut bytes = vec![0, 0x20, 0, 0, 0, 0, 0, 0, 1];
    bytes.extend(vec![0xee; 0x2000]);
    bytes.extend([0, 0, 0, 4, 1, 0, 0, 0, 0]);
    let end = bytes.len();
    let mut host = Host::new(protocol::HTTP2, bytes);
    host.segment(0, 1000);
    host.segment(2000, end);
    let crossed: u32 = host.runs.iter().map(|run| run.length).sum();
    assert_eq!(crossed, 18, "the two headers");
    assert_eq!(host.said()[1000..2000], [0; 1000]);
    host.segment(1000, 2000);
    assert!(!host.said().contains(&0), "told of when the hole is filled");
}

#[test]
fn a_joined_flow_is_silent_until_a_segment_begins_with_a_frame() {
    let mut bytes = vec![0xee; 100];
    bytes.extend([0, 0, 2, 1, 4, 0, 0, 0, 5, 0x88, 0x89]);
    bytes.extend([0, 0, 0, 0, 1, 0, 0, 0, 5]);
    let mut host = Host::new(protocol::HTTP2, bytes);
    host.frames.join();
    host.segment(0, 60);
    host.segment(60, 100);
    assert!(host.runs.is_empty());
    host.segment(100, 120);
    assert_eq!(host.runs.len(), 1);
    assert_eq!((host.runs[0].length, host.runs[0].flags), (20, stream_flag::LOST));
}

/// Long frames as senders of much make them.
fn bulk(protocol: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in 0..20 {
        bytes.extend(match protocol {
            protocol::HTTP2 => vec![0, 0x40, 0, 0, 0, 0, 0, 0, 1 + 2 * (number % 3)],
            _ => vec![23, 3, 3, 0x40, 0x11],
        });
        bytes.extend(vec![0x40; if protocol == protocol::HTTP2 { 0x4000 } else { 0x4011 }]);
    }
    bytes
}

#[test]
fn a_hole_in_a_long_transfer_costs_two_frames() {
    for protocol in [protocol::HTTP2, protocol::TLS] {
        let bytes = bulk(protocol);
        let segments: Vec<_> = (0..bytes.len()).step_by(40_000).collect();
        let length = bytes.len();
        let mut host = Host::new(protocol, bytes);
        for from in &segments {
            // The third comes after the fourth.
            let from = match from {
                80_000 => 120_000,
                120_000 => 80_000,
                other => *other,
            };
            host.segment(from, (from + 40_000).min(length));
        }
        let crossed: u32 = host.runs.iter().map(|run| run.length).sum();
        assert!(crossed < 40_000 + 2 * 16_500, "{crossed}");
        assert!(host.runs.iter().all(|run| run.flags == 0));
        assert!(!host.said().contains(&0));
        assert_eq!(host.frames.mode, mode::WALK);
    }
}

#[test]
fn payload_that_looks_like_a_header_is_not_taken_for_one() {
    let mut bytes = bulk(protocol::HTTP2);
    for at in (40_100..60_000).step_by(100) {
        bytes[at..at + 9].copy_from_slice(&[0, 0x40, 0, 0, 0, 0, 0, 0, 1]);
    }
    let length = bytes.len();
    let mut host = Host::new(protocol::HTTP2, bytes);
    host.segment(0, 20_000);
    host.segment(40_000, length);
    host.segment(20_000, 40_000);
    assert_eq!(host.frames.mode, mode::WALK);
    let said = host.said();
    for frame in 0..20 {
        let header = frame * 16_393;
        assert_eq!(said[header..header + 9], [2; 9], "frame {frame}");
    }
}

#[test]
fn raw_bytes_have_a_limit() {
    let length = 3 * RAW_LIMIT as usize;
    let mut bytes = vec![0xee; length];
    bytes[..9].copy_from_slice(&[0, 0, 0, 4, 0, 0, 0, 0, 0]);
    let mut host = Host::new(protocol::HTTP2, bytes);
    host.segment(0, 9);
    for from in (20..length - 40_000).step_by(40_000) {
        host.segment(from, from + 40_000);
    }
    let crossed: u32 = host.runs.iter().map(|run| run.length).sum();
    assert_eq!(crossed, 9 + RAW_LIMIT);
    assert_eq!(host.frames.mode, mode::SEEK);
}

#[test]
fn first_bytes_tell_the_protocol() {
    assert!(begins_http2(false, *b"PRI * HTT") && !begins_http2(true, *b"PRI * HTT"));
    assert!(
        begins_http2(true, [0, 0, 12, 4, 0, 0, 0, 0, 0]) && begins_http2(true, [0, 0, 0, 4, 0, 0, 0, 0, 0])
    );
    for other in [[0, 0, 13, 4, 0, 0, 0, 0, 0], [0, 0, 12, 4, 1, 0, 0, 0, 0], [0; 9], *b"HTTP/1.1 "] {
        assert!(!begins_http2(true, other), "{other:?}");
    }
    assert!(begins_tls([22, 3, 1, 2, 0, 1, 0, 1, 0xfc]));
    for other in [[22, 3, 5, 2, 0, 1, 0, 1, 0xfc], [23, 3, 1, 2, 0, 1, 0, 1, 0xfc], [0; 9], *b"GET / HTT"] {
        assert!(!begins_tls(other), "{other:?}");
    }
    assert!(is_headers([0, 0, 20, 1, 4, 0, 0, 0, 7]) && is_headers([0, 1, 20, 1, 0x25, 0, 0, 1, 7]));
    for other in
        [[0, 0, 20, 1, 4, 0, 0, 0, 8], [0, 0, 20, 1, 0, 0, 0, 0, 7], [0, 0, 20, 0, 0, 0, 0, 0, 7], [0; 9]]
    {
        assert!(!is_headers(other), "{other:?}");
    }
    assert!(is_record([23, 3, 3, 0, 30, 1, 2, 3, 4]) && !is_record([24, 3, 3, 0, 30, 1, 2, 3, 4]));
}
