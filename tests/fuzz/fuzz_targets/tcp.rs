//! Any segments of both sides through a connection: bytes come in order and once, and memory stays bounded.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tracer::{
    flow::tcp::{Budget, Connection, Opening, PATIENCE, Piece, WAITING_LIMIT},
    packet::Tcp,
    proto::stream::{End, Seen, Side},
};

/// Small, so that it is spent.
const BUDGET: usize = 100_000;

/// Payload of every segment, from its first byte on.
static RAMP: LazyLock<Vec<u8>> = LazyLock::new(|| (0..=u8::MAX).cycle().take(70_000).collect());

/// What came of one side.
#[derive(Default)]
struct Heard {
    /// The byte with sequence number `s` is `s % 256`.
    next: Option<u8>,
    bytes: u64,
    packet: u64,
    has_ended: bool,
}

impl Heard {
    fn piece(&mut self, piece: Piece<'_>) {
        // The end of both sides may follow the end of one.
        let is_last = matches!(piece, Piece::End(End::Reset | End::Unknown, _));
        assert!(!self.has_ended || is_last, "something came after the end");
        let seen = match piece {
            Piece::Bytes(bytes, seen) => {
                assert!(!bytes.is_empty());
                for byte in bytes {
                    assert_eq!(self.next.unwrap_or(*byte), *byte, "bytes are not in order");
                    self.next = Some(byte.wrapping_add(1));
                }
                self.bytes += bytes.len() as u64;
                seen
            }
            Piece::Gap(length, seen) => {
                assert_ne!(length, 0);
                self.next = self.next.map(|next| next.wrapping_add(length as u8));
                seen
            }
            Piece::End(_, seen) => {
                self.has_ended = true;
                seen
            }
        };
        assert!(seen.packet >= self.packet, "packets go back");
        self.packet = seen.packet;
    }
}

type Step = (u8, u8, i16, i16, u16, u8);

fuzz_target!(|input: (u32, Vec<Step>)| {
    let (start, steps) = input;
    let mut budget = Budget::new(BUDGET);
    let mut connection = Connection::new(Opening::Joined, start % 2 == 1);
    let mut heard = [Heard::default(), Heard::default()];
    let mut time = 0_u64;
    let mut captured = 0;
    for (packet, (flags, how, sequence, acknowledgment, length, window)) in (1..).zip(steps) {
        let from = if how & 1 == 0 { Side::Client } else { Side::Server };
        // Mostly near; sometimes anywhere.
        let scale = if how & 6 == 6 { 40_000 } else { 16 };
        let near = |by: i16| start.wrapping_add_signed(i32::from(by) * scale);
        let sequence = near(sequence);
        let first = usize::from(sequence.wrapping_add(u32::from(flags & 2 != 0)) as u8);
        let whole = usize::from(length);
        let kept = if how & 8 == 0 { whole } else { whole / 2 };
        let tcp = Tcp {
            source_port: 1,
            destination_port: 2,
            sequence,
            acknowledgment: near(acknowledgment),
            flags,
            window: window.into(),
            window_scale: (how & 16 != 0).then_some(how >> 5),
            length: length.into(),
            payload: &RAMP[first..first + kept],
        };
        time += u64::from(how >> 4) * PATIENCE / 8;
        captured += kept as u64;
        let _new = connection.begins_new(from, &tcp);
        let seen = Seen { time, packet };
        connection.segment(from, &tcp, seen, &mut budget, &mut |side, piece| heard[side as usize].piece(piece));
        assert!(BUDGET - budget.left() <= 2 * WAITING_LIMIT);
    }
    connection.finish(&mut budget, &mut |side, piece| heard[side as usize].piece(piece));
    assert_eq!(budget.left(), BUDGET, "memory was not given back");
    assert!(heard.iter().map(|side| side.bytes).sum::<u64>() <= captured);
    for side in [Side::Client, Side::Server] {
        let totals = connection.totals(side);
        assert!(totals.unique <= totals.bytes && heard[side as usize].bytes <= totals.unique);
    }
});
