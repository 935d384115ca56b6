//! Two byte streams in any pieces, with gaps and ends, through the HTTP/1 observer and the one of turns: both agree
//! with themselves whatever the pieces, tell of each exchange once, and never show a query string.
//!
//! Each step is three bytes and what they announce: whose, what, how much.
#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use tracer::proto::{
    detect,
    http1_stream::{Counts, Http1},
    stream::{End, Event, PATH_LIMIT, Part, Protocol, Seen, Side, Stream},
    turns::Turns,
};

enum Step<'a> {
    Bytes(Side, &'a [u8]),
    Gap(Side, u64),
    End(Side, End),
}

fuzz_target!(|input: &[u8]| {
    let steps = steps(input);
    for step in &steps {
        if let Step::Bytes(side, bytes) = step {
            detects(*side, bytes);
        }
    }
    let whole = watch(&mut Http1::new(), &steps, usize::MAX);
    let split = watch(&mut Http1::new(), &steps, 1);
    // Where a start line is looked for at the beginning of a delivery, the pieces matter.
    if in_step(&steps) {
        assert_eq!(whole, split);
    }
    let whole = watch(&mut Turns::new(Protocol::Opaque), &steps, usize::MAX);
    assert_eq!(whole, watch(&mut Turns::new(Protocol::Tls), &steps, 1));
});

fn steps(mut input: &[u8]) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    while let [what, low, high, rest @ ..] = input {
        let side = if what & 1 == 0 { Side::Client } else { Side::Server };
        let length = usize::from(u16::from_le_bytes([*low, *high]));
        let (bytes, after) = rest.split_at(length.min(rest.len()));
        (input, _) = match what >> 1 & 15 {
            0 => (rest, steps.push(Step::Gap(side, length as u64))),
            1 => (rest, steps.push(Step::Gap(side, u64::MAX - length as u64))),
            2 => (rest, steps.push(Step::End(side, End::Fin))),
            3 => (rest, steps.push(Step::End(side, End::Reset))),
            4 => (rest, steps.push(Step::End(side, End::Unknown))),
            _ => (after, steps.push(Step::Bytes(side, bytes))),
        };
    }
    steps
}

/// Whether the observer never looks for a start line at the beginning of a delivery.
fn in_step(steps: &[Step]) -> bool {
    let mut http = Http1::new();
    feed(&mut http, steps, usize::MAX, &mut |_| {});
    http.counts() == Counts::default()
}

fn detects(side: Side, bytes: &[u8]) {
    let opening = detect::opening(side, 80, bytes);
    assert!(opening.is_some() || bytes.len() < detect::OPENING_LIMIT);
    let _joined = detect::joined(side, 80, bytes);
}

/// What is told, without times and kinds.
fn watch(stream: &mut dyn Stream, steps: &[Step], size: usize) -> Vec<String> {
    let (mut told, mut begun, mut ended) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    let bytes = |part: Option<Part>| part.map(|part| part.bytes);
    let mut tell = |event: Event| match event {
        Event::Begun { number, head, .. } => {
            assert!(begun.insert(number) && !ended.contains(&number));
            told.push(format!("begun {number} {head:?}"));
        }
        Event::Ended(it) => {
            assert!(ended.insert(it.number));
            assert_eq!(it.request.is_some(), begun.contains(&it.number));
            for part in [it.request, it.response].into_iter().flatten() {
                assert!(part.first <= part.head && part.head <= part.last && part.bytes > 0);
            }
            let path = it.head.path.as_deref().unwrap_or_default();
            assert!(path.len() <= PATH_LIMIT && !path.contains(['?', ';', ' ']));
            assert!(path.is_empty() || path == "*" || path.starts_with('/'));
            let (request, response) = (bytes(it.request), bytes(it.response));
            told.push(format!("ended {} {:?} {request:?} {response:?} {:?}", it.number, it.head, it.outcome));
        }
        Event::Upgraded(upgrade) => told.push(format!("{upgrade:?}")),
    };
    if feed(stream, steps, size, &mut tell) {
        stream.end(Side::Client, Seen { time: u64::MAX, packet: 0 }, End::Unknown, &mut tell);
    }
    assert_eq!(begun.difference(&ended).count(), 0, "each exchange ends");
    told
}

/// Deliveries of at most `size` bytes; false after an upgrade.
fn feed(stream: &mut dyn Stream, steps: &[Step], size: usize, tell: &mut dyn FnMut(Event)) -> bool {
    let mut now = 0u64;
    for step in steps {
        match step {
            Step::Bytes(side, bytes) => {
                for piece in bytes.chunks(size) {
                    now += 1;
                    let mut upgraded = false;
                    let taken = stream.bytes(*side, Seen { time: now, packet: 0 }, piece, &mut |event| {
                        upgraded |= matches!(event, Event::Upgraded(_));
                        tell(event);
                    });
                    if upgraded {
                        assert!(taken <= piece.len());
                        return false;
                    }
                    assert_eq!(taken, piece.len());
                }
            }
            Step::Gap(side, length) => {
                now += 1;
                stream.gap(*side, Seen { time: now, packet: 0 }, *length, tell);
            }
            Step::End(side, end) => {
                now += 1;
                stream.end(*side, Seen { time: now, packet: 0 }, *end, tell);
            }
        }
    }
    true
}
