//! The two sides of a TLS flow with gaps and ends: each exchange begins and ends once, and it makes no
//! difference where the bytes are cut.
#![no_main]

use std::collections::HashSet;

use libfuzzer_sys::fuzz_target;
use tracer::proto::{
    stream::{End, Event, Seen, Side, Stream},
    tls::{Handshake, Tls},
};

/// An input is chunks: a byte that says whose and what, two bytes of length, that many bytes.
fn read(mut input: &[u8], size: usize) -> (Handshake, Vec<Event>, u64) {
    let (mut tls, mut events, mut time) = (Tls::new(), Vec::new(), 0);
    while let [what, high, low, rest @ ..] = input {
        time += 1;
        let seen = Seen { time, packet: time };
        let side = if what & 1 == 0 { Side::Client } else { Side::Server };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let tell = &mut |event| events.push(event);
        input = match what >> 1 {
            0..=111 => {
                let (bytes, after) = rest.split_at(length.min(rest.len()));
                for piece in bytes.chunks(size) {
                    assert_eq!(tls.bytes(side, seen, piece, tell), piece.len());
                }
                after
            }
            kind => {
                match kind {
                    112..=119 => tls.gap(side, seen, length as u64, tell),
                    120..=122 => tls.end(side, seen, End::Fin, tell),
                    123..=125 => tls.end(side, seen, End::Reset, tell),
                    _ => tls.end(side, seen, End::Unknown, tell),
                }
                rest
            }
        };
    }
    tls.end(Side::Client, Seen::default(), End::Unknown, &mut |event| events.push(event));
    (tls.handshake().clone(), events, tls.skipped())
}

fuzz_target!(|input: &[u8]| {
    let whole = read(input, usize::MAX);
    assert_eq!(whole, read(input, 1), "cut byte by byte");
    let (mut open, mut over) = (HashSet::new(), HashSet::new());
    for event in whole.1 {
        match event {
            Event::Begun { number, .. } => assert!(open.insert(number) && !over.contains(&number)),
            Event::Ended(exchange) => {
                assert!(over.insert(exchange.number), "ended twice");
                assert_eq!(open.remove(&exchange.number), exchange.request.is_some());
                assert!(exchange.request.is_some() || exchange.response.is_some());
            }
            Event::Upgraded(_) => panic!("TLS is never left"),
        }
    }
    assert!(open.is_empty(), "begun and never ended");
});
