//! DNS over TCP, its messages read, matched and made lookups: nothing panics, and it makes no difference where the
//! bytes are cut.
#![no_main]

use std::{collections::BTreeSet, net::SocketAddr};

use libfuzzer_sys::fuzz_target;
use tracer::{
    proto::{
        dns,
        dns_tcp::{Framed, Framing, KEPT_LIMIT},
        dns_transactions::{Conversation, Message, Transactions},
        lookup::{Lookups, Report, Sighting},
        stream::{Seen, Side},
    },
    request::Thread,
};

type Told = Vec<(Side, Seen, Seen, Vec<u8>, u16)>;

/// An input is chunks: a byte that says whose, a byte of length, that many bytes. A length of 0 is a gap.
fn read(mut input: &[u8], size: usize, gaps: bool) -> Told {
    let (mut framing, mut told, mut time) = (Framing::default(), Vec::new(), 0);
    while let [what, length, rest @ ..] = input {
        time += 1;
        let seen = Seen { time, packet: time };
        let side = if what & 1 == 0 { Side::Client } else { Side::Server };
        let tell = &mut |m: Framed<'_>| {
            assert!(m.bytes.len() <= KEPT_LIMIT && m.bytes.len() <= m.length.into());
            told.push((m.from, m.first, m.last, m.bytes.to_vec(), m.length));
        };
        let (bytes, after) = rest.split_at(rest.len().min((*length).into()));
        for piece in bytes.chunks(size) {
            framing.bytes(side, seen, piece, tell);
        }
        if gaps && *length == 0 {
            framing.gap(side, seen, u64::from(what >> 1), tell);
        }
        input = after;
    }
    told
}

fuzz_target!(|input: &[u8]| {
    assert_eq!(read(input, usize::MAX, false), read(input, 1, false));
    let messages: Vec<_> = read(input, usize::MAX, true)
        .into_iter()
        .filter_map(|(_, _, seen, bytes, _)| Some((seen, dns::Message::parse(&bytes).ok()?)))
        .collect();
    match_messages(&messages);
    look_up(messages);
});

fn match_messages(messages: &[(Seen, dns::Message)]) {
    let mut known = Transactions::default();
    for (seen, dns::Message { id, answer, .. }) in messages {
        let message = Message { id: *id, transfer: Some(id & 1 == 1), seen: *seen };
        if *answer {
            let _answer = known.answer(Conversation::Flow(1), message);
        } else {
            let _query = known.query(Conversation::Flow(1), message);
        }
    }
}

/// The messages as those of a pod that asks, over datagrams and two connections: each lookup begins once and ends
/// once.
fn look_up(messages: Vec<(Seen, dns::Message)>) {
    let (mut lookups, mut open, mut last) = (Lookups::default(), BTreeSet::new(), 0);
    let mut check = |reports: Vec<Report>| {
        for report in reports {
            assert!(report.start <= report.end);
            assert_eq!(report.updates == 0, open.insert(report.number));
            assert!(report.lookup.over_tcp <= report.lookup.queries);
            if !report.open {
                open.remove(&report.number);
            }
        }
        open.len()
    };
    for (seen, message) in messages {
        // In steps of 20 ms, so that some end by time.
        let time = seen.time * 20_000_000;
        let flow = u64::from(message.id % 3);
        let local = SocketAddr::from(([10, 0, 0, 2], 40_000 + u16::from(message.truncated)));
        let (peer, thread) = (SocketAddr::from(([10, 0, 0, 53], 53)), Thread::default());
        check(lookups.ingest(&Sighting { time, flow, local, peer, thread, message }));
        if seen.time % 5 == 0 {
            check(lookups.closed(flow.max(1), time));
        }
        check(lookups.advance(time));
        last = time;
    }
    assert_eq!(check(lookups.finish(last)), 0);
}
