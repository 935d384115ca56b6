//! Both directions of an HTTP/2 connection, with bytes missing and ends anywhere. The first byte says how the
//! connection is met; then each operation is a byte that says what, a length, and bytes.
#![no_main]

use std::collections::HashSet;

use libfuzzer_sys::fuzz_target;
use tracer::proto::http2::Connection;
use tracer::proto::stream::{End, Event, Head, Outcome, PATH_LIMIT, Part, Seen, Side, Stream};

/// Each exchange ends once, after it began, and shows nothing that it may not.
#[derive(Default)]
struct Check {
    begun: HashSet<u32>,
    ended: HashSet<u32>,
    events: Vec<Event>,
}

impl Check {
    fn event(&mut self, event: Event) {
        let head = match &event {
            Event::Begun { number, head, .. } => {
                assert!(
                    !self.ended.contains(number) && self.begun.insert(*number),
                    "{number} began twice or too late"
                );
                head
            }
            Event::Ended(exchange) => {
                assert!(self.ended.insert(exchange.number), "{} ended twice", exchange.number);
                assert!(exchange.outcome != Outcome::Complete || exchange.response.is_some());
                &exchange.head
            }
            Event::Upgraded(_) => panic!("there is nothing to upgrade to"),
        };
        if let Some(path) = &head.path {
            assert!(path.len() <= PATH_LIMIT && !path.contains(['?', ';', '#']), "{path}");
        }
        self.events.push(event);
    }
}

/// All events of the input, with deliveries in pieces of at most `piece` bytes; none if frames were lost, because
/// a search depends on where deliveries begin, or if memory was, because what is held does.
fn run(input: &[u8], piece: usize) -> Option<Vec<Event>> {
    let (first, mut rest) = input.split_first()?;
    let mut connection = match first % 3 {
        0 => Connection::new(),
        1 => Connection::upgraded(Part::default(), Head::default()),
        _ => Connection::joined(),
    };
    let mut check = Check::default();
    let (mut packet, mut shed) = (0, false);
    while let [what, length, after @ ..] = rest {
        packet += 1;
        let seen = Seen { time: packet, packet };
        let from = if what & 1 == 0 { Side::Client } else { Side::Server };
        let mut tell = |event| check.event(event);
        let (bytes, after) = after.split_at(after.len().min((*length).into()));
        rest = after;
        match what >> 1 & 7 {
            5 => {
                let room = usize::from(*length) << (what >> 4);
                connection.shed(room, seen, &mut tell);
                assert!(connection.held() <= room, "{} bytes of {room}", connection.held());
                shed = true;
            }
            6 => connection.gap(from, seen, u64::from(*length) << (what >> 4), &mut tell),
            7 => {
                let end = [End::Fin, End::Reset, End::Unknown][usize::from(length % 3)];
                connection.end(from, seen, end, &mut tell);
            }
            _ => bytes.chunks(piece).for_each(|bytes| {
                assert_eq!(connection.bytes(from, seen, bytes, &mut tell), bytes.len());
            }),
        }
    }
    connection.end(Side::Client, Seen::default(), End::Unknown, &mut |event| check.event(event));
    assert!(check.begun.is_subset(&check.ended), "all ends with the connection");
    let counters = connection.counters();
    let lost = first % 3 == 2 || counters.client.losses + counters.server.losses > 0;
    (!lost && !shed).then_some(check.events)
}

fuzz_target!(|input: &[u8]| {
    let whole = run(input, usize::MAX);
    assert_eq!(whole, run(input, 1), "the same bytes in pieces tell the same");
});
