//! DNS over TCP, its messages read and matched: nothing panics, and it makes no difference where the bytes are
//! cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tracer::proto::{
    dns,
    dns_tcp::{Framing, KEPT_LIMIT},
    dns_transactions::{Conversation, Message, Transactions},
    stream::{Seen, Side},
};

type Told = Vec<(Side, Seen, Seen, Vec<u8>, u16)>;

/// An input is chunks: a byte that says whose, a byte of length, that many bytes. A length of 0 is a gap.
fn read(mut input: &[u8], size: usize, gaps: bool) -> Told {
    let (mut framing, mut told, mut time) = (Framing::default(), Vec::new(), 0);
    while let [what, length, rest @ ..] = input {
        time += 1;
        let seen = Seen { time, packet: time };
        let side = if what & 1 == 0 { Side::Client } else { Side::Server };
        let tell = &mut |m: tracer::proto::dns_tcp::Framed<'_>| {
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
    let mut known = Transactions::default();
    for (_, _, seen, bytes, _) in read(input, usize::MAX, true) {
        let _message = dns::Message::parse(&bytes);
        let _size = dns::edns_size(&bytes);
        let Some((id, answer)) = dns::transaction(&bytes) else { continue };
        let message = Message { id, transfer: Some(id & 1 == 1), seen };
        if answer {
            let _answer = known.answer(Conversation::Flow(1), message);
        } else {
            let _query = known.query(Conversation::Flow(1), message);
        }
    }
});
