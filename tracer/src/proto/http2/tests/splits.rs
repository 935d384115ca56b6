//! The same bytes in other pieces tell the same.

use super::*;

/// A conversation that has a bit of everything: who sends what, in order.
fn conversation() -> Vec<(Side, Vec<u8>)> {
    let call = [(":method", "POST"), ("+:path", "/pkg.S/M"), ("+content-type", "application/grpc")];
    let promise = [&[2, 0, 0, 0, 2][..], &block(&[("+:path", "/push")]), &[0, 0]].concat();
    let client = [
        PREFACE.to_vec(),
        settings(&[(1, 8192), (4, 50)]),
        headers(1, END_HEADERS, &call),
        data(1, 0, 30),
        frame(0, 0x9, 1, &[2, 7, 0, 0]),
        frame(1, END_STREAM, 3, &[0x83]),
        frame(9, END_HEADERS, 3, &[0xbf, 0xbe]),
        frame(6, 0, 0, &[0; 8]),
        get(5, "/cut"),
        reset(5, 8),
    ];
    let server = [
        settings(&[(5, 16_384)]),
        frame(4, 1, 0, &[]),
        frame(5, 0x0c, 1, &promise),
        answer(2, "200"),
        headers(1, END_HEADERS, &[("+:status", "100")]),
        headers(1, END_HEADERS, &[(":status", "200")]),
        data(1, 0, 60),
        headers(1, WHOLE, &[("grpc-status", "0")]),
        frame(0xaa, 0, 0, b"extension"),
        answer(3, "404"),
        goaway(3, 0),
    ];
    vec![(Side::Client, client.concat()), (Side::Server, server.concat())]
}

/// The events, and the counters, of a conversation in pieces: `next` says how long each is.
fn told(mut next: impl FnMut() -> usize) -> (Vec<Event>, Counters) {
    let mut connection = Connection::new();
    let mut events = Vec::new();
    for (packet, (side, bytes)) in (1..).zip(conversation()) {
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(next().clamp(1, rest.len()));
            rest = after;
            connection.bytes(side, seen(packet), piece, &mut |event| events.push(event));
        }
    }
    (events, *connection.counters())
}

#[test]
fn any_split_in_two() {
    let whole = told(|| usize::MAX);
    assert_eq!(whole.0.len(), 7, "{:?}", whole.0);
    assert!(!whole.1.broken);
    for at in 0..conversation()[0].1.len() {
        let mut first = Some(at);
        assert_eq!(told(|| first.take().unwrap_or(usize::MAX)), whole, "{at}");
        let mut pieces = [usize::MAX, at].into_iter();
        assert_eq!(told(|| pieces.next().unwrap_or(usize::MAX)), whole, "{at}");
    }
}

#[test]
fn any_split_at_all() {
    let whole = told(|| usize::MAX);
    assert_eq!(told(|| 1), whole);
    let mut state = 0x2545_f491u32;
    for _ in 0..500 {
        let pieces = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as usize % 40
        };
        assert_eq!(told(pieces), whole);
    }
}

#[test]
fn every_end_is_an_end() {
    // Cut anywhere, each exchange that began ends once.
    for at in 0..conversation()[0].1.len() {
        let mut lab = Lab::over(Connection::new());
        for (side, bytes) in conversation() {
            lab.from(side, &bytes[..at.min(bytes.len())]);
        }
        lab.end(Side::Client, End::Unknown);
        let begun = lab.begun();
        let ended: Vec<_> = lab
            .ended()
            .into_iter()
            .filter(|exchange| exchange.request.is_some())
            .map(|exchange| exchange.number)
            .collect();
        let (mut begun, mut ended) = (begun, ended);
        begun.sort_unstable();
        ended.sort_unstable();
        assert_eq!(begun, ended, "{at}");
    }
}
