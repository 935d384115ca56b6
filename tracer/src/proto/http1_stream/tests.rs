use super::*;
use crate::proto::stream::{Exchange, Part};
use Side::{Client, Server};

/// What a connection carries, in order.
type Conversation<'a> = [(Side, &'a [u8])];

fn at(time: usize) -> Seen {
    Seen { time: time as u64, packet: 0 }
}

/// The events of deliveries of at most `sizes.next()` bytes; and for each byte the delivery that brought it.
/// A delivery's time is its first byte's number.
fn deliver(conversation: &Conversation, mut size: impl FnMut() -> usize) -> (Vec<Event>, Vec<usize>, usize) {
    let (mut http, mut events, mut times, mut taken) = (Http1::new(), Vec::new(), Vec::new(), 0);
    for (from, bytes) in conversation {
        let mut rest = *bytes;
        while !rest.is_empty() {
            let time = times.len();
            let (delivery, after) = rest.split_at(size().clamp(1, rest.len()));
            let used = http.bytes(*from, at(time), delivery, &mut |event| events.push(event));
            taken += used;
            if used < delivery.len() || matches!(events.last(), Some(Event::Upgraded(_))) {
                times.resize(time + delivery.len(), time);
                return (events, times, taken);
            }
            times.resize(time + delivery.len(), time);
            rest = after;
        }
    }
    http.end(Server, at(times.len()), End::Fin, &mut |event| events.push(event));
    http.end(Client, at(times.len()), End::Fin, &mut |event| events.push(event));
    assert_eq!(http.counts(), Counts::default());
    (events, times, taken)
}

/// The events as they would be had each byte come with the delivery in `times`.
fn moved(events: &[Event], times: &[usize]) -> Vec<Event> {
    let moved = |part: Part| {
        // The end comes after the last byte.
        let moved =
            |seen: Seen| times.get(usize::try_from(seen.time).unwrap()).map_or(seen, |time| at(*time));
        Part { first: moved(part.first), head: moved(part.head), last: moved(part.last), ..part }
    };
    let event = |event: &Event| match event.clone() {
        Event::Begun { number, protocol, head, request } => {
            Event::Begun { number, protocol, head, request: moved(request) }
        }
        Event::Ended(it) => {
            Event::Ended(Exchange { request: it.request.map(moved), response: it.response.map(moved), ..it })
        }
        upgraded @ Event::Upgraded(_) => upgraded,
    };
    events.iter().map(event).collect()
}

/// The events byte by byte. Every split in two per message, and many random splits, must give the same.
fn observe(conversation: &Conversation) -> Vec<Event> {
    let (events, _, taken) = deliver(conversation, || 1);
    let longest = conversation.iter().map(|(_, bytes)| bytes.len()).max().unwrap_or(0);
    for size in 1..=longest + 1 {
        let mut first = false;
        let (split, times, all) = deliver(conversation, || {
            first = !first;
            if first { size } else { usize::MAX }
        });
        assert_eq!((split, all), (moved(&events, &times), taken), "first {size} bytes, then the rest");
    }
    let mut random = 0x2545_f491_4f6c_dd1du64;
    for _ in 0..200 {
        let (split, times, all) = deliver(conversation, || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            1 << (random % 8)
        });
        assert_eq!((split, all), (moved(&events, &times), taken));
    }
    events
}

/// The exchanges in short: number, method and path, status, bytes both ways, outcome.
fn short(events: &[Event]) -> Vec<String> {
    let ended = events.iter().filter_map(|event| match event {
        Event::Ended(exchange) => Some(exchange),
        _ => None,
    });
    let bytes = |part: Option<Part>| part.map_or("-".into(), |part| part.bytes.to_string());
    ended
        .map(|it| {
            let (method, path) = (it.head.method.unwrap_or("-"), it.head.path.as_deref().unwrap_or("-"));
            let status = it.head.status.unwrap_or(0);
            let (request, response) = (bytes(it.request), bytes(it.response));
            format!("{} {method} {path} {status} {request}/{response} {:?}", it.number, it.outcome)
        })
        .collect()
}

const GET: &[u8] = b"GET /a?q HTTP/1.1\r\nHost: x\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

#[test]
fn a_request_and_its_response() {
    let (events, ..) = deliver(&[(Client, GET), (Server, OK)], || 10);
    let request = Part { first: at(0), head: at(20), last: at(20), bytes: 30 };
    let response = Part { first: at(30), head: at(60), last: at(70), bytes: 43 };
    let Event::Begun { number: 1, head, request: begun, .. } = &events[0] else { panic!("{events:?}") };
    assert_eq!((head.method, head.path.as_deref(), *begun), (Some("GET"), Some("/a"), request));
    let Event::Ended(ended) = &events[1] else { panic!("{events:?}") };
    assert_eq!((ended.request, ended.response), (Some(request), Some(response)));
    assert_eq!(short(&observe(&[(Client, GET), (Server, OK)])), ["1 GET /a 200 30/43 Complete"]);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let requests =
        [GET, b"\r\nPOST /b HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi", b"HEAD /c HTTP/1.0\n\n"].concat();
    let responses = [
        OK,
        b"HTTP/1.1 500 No\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nA: b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n",
    ];
    let events = observe(&[(Client, &requests), (Server, &responses.concat())]);
    assert_eq!(
        short(&events),
        ["1 GET /a 200 30/43 Complete", "2 POST /b 500 41/70 Complete", "3 HEAD /c 200 18/40 Complete"]
    );
    assert!(events[..3].iter().all(|event| matches!(event, Event::Begun { .. })));
}

#[test]
fn keep_alive_without_bodies() {
    let not_modified = b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n";
    let events = observe(&[
        (Client, GET),
        (Server, not_modified),
        (Client, GET),
        (Server, b"HTTP/1.1 204 No Content\r\n\r\n"),
        (Client, GET),
        (Server, b"HTTP/1.0 200 OK\n\nuntil the end"),
    ]);
    assert_eq!(
        short(&events),
        ["1 GET /a 304 30/48 Complete", "2 GET /a 204 30/27 Complete", "3 GET /a 200 30/30 Complete"]
    );
}

#[test]
fn interim_responses_are_not_the_response() {
    let events = observe(&[
        (Client, b"PUT /f HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"),
        (Server, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
        (Client, b"body"),
        (Server, b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"),
    ]);
    assert_eq!(short(&events), ["1 PUT /f 201 64/43 Complete"]);
}

#[test]
fn an_early_response_waits_for_the_request() {
    let early = (Server, b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n".as_slice());
    let post = (Client, b"POST /f HTTP/1.1\r\nContent-Length: 4\r\n\r\nbo".as_slice());
    let events = observe(&[post, early, (Client, b"dy"), (Client, GET), (Server, OK)]);
    assert_eq!(short(&events), ["1 POST /f 413 43/45 Complete", "2 GET /a 200 30/43 Complete"]);
    assert_eq!(short(&observe(&[post, early])), ["1 POST /f 413 41/45 Complete"]);
}

#[test]
fn a_refused_body_is_not_awaited() {
    let mut watch = Watch::default();
    watch.client(b"PUT /f HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 99\r\n\r\n");
    watch.server(b"HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n");
    watch.client(GET);
    watch.server(OK);
    assert_eq!(short(&watch.events), ["1 PUT /f 417 61/38 Complete", "2 GET /a 200 30/43 Complete"]);
}

#[test]
fn a_tunnel_is_something_else() {
    let events = observe(&[
        (Client, b"CONNECT user:secret@host:443 HTTP/1.1\r\n\r\n"),
        (Server, b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n\x16\x03\x03"),
    ]);
    assert_eq!(short(&events), ["1 CONNECT - 200 41/38 Complete"]);
    assert_eq!(events.last(), Some(&Event::Upgraded(Upgrade::Unknown)));
    let refused = observe(&[
        (Client, b"CONNECT host:443 HTTP/1.1\r\n\r\n"),
        (Server, b"HTTP/1.1 407 No\r\nContent-Length: 2\r\n\r\nno"),
        (Client, GET),
        (Server, OK),
    ]);
    assert_eq!(short(&refused), ["1 CONNECT - 407 29/40 Complete", "2 GET /a 200 30/43 Complete"]);
}

#[test]
fn upgrades_tell_to_what() {
    let ask = (Client, b"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n".as_slice());
    for (response, upgrade) in [
        (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x05".as_slice(),
            Upgrade::Unknown,
        ),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n\0\0\0", Upgrade::Http2),
    ] {
        let (events, _, taken) = deliver(&[ask, (Server, response)], || usize::MAX);
        assert_eq!(events.last(), Some(&Event::Upgraded(upgrade)));
        assert_eq!(short(&events).len(), 1);
        let head = response.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        assert_eq!(taken, ask.1.len() + head);
        assert_eq!(observe(&[ask, (Server, response)]).len(), 3);
    }
}

#[test]
fn responses_nobody_was_seen_to_ask_for() {
    let events = observe(&[(Server, OK), (Server, b"HTTP/1.0 408 Timeout\r\n\r\nbye")]);
    assert_eq!(short(&events), ["1 - - 200 -/43 Complete", "2 - - 408 -/27 Complete"]);
}

#[test]
fn lenient_where_servers_are() {
    let events = observe(&[
        (Client, b"\r\n\r\nBREW /a b;c HTTP/1.1\r\nx\r\n: y\r\ncontent-LENGTH :\r\n 3\r\n\r\nabc"),
        (Server, b"\nHTTP/1.1 200\nTRANSFER-ENCODING:chunked\n\n1\nx\n0\n\n"),
    ]);
    assert_eq!(short(&events), ["1 - /a 200 57/47 Complete"]);
}

#[test]
fn repeated_paths_are_shared() {
    let events = observe(&[(Client, GET), (Server, OK), (Client, GET), (Server, OK)]);
    let paths: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Ended(exchange) => exchange.head.path.clone(),
            _ => None,
        })
        .collect();
    assert!(std::sync::Arc::ptr_eq(&paths[0], &paths[1]));
}

/// A connection that is watched step by step.
#[derive(Default)]
pub(super) struct Watch {
    pub(super) http: Http1,
    pub(super) events: Vec<Event>,
    time: usize,
}

impl Watch {
    pub(super) fn client(&mut self, bytes: &[u8]) {
        self.bytes(Client, bytes);
    }

    pub(super) fn server(&mut self, bytes: &[u8]) {
        self.bytes(Server, bytes);
    }

    pub(super) fn gap(&mut self, from: Side, length: u64) {
        self.time += 1;
        self.http.gap(from, at(self.time), length, &mut |event| self.events.push(event));
    }

    pub(super) fn end(&mut self, from: Side, end: End) {
        self.time += 1;
        self.http.end(from, at(self.time), end, &mut |event| self.events.push(event));
    }

    pub(super) fn shed(&mut self, room: usize) {
        self.time += 1;
        self.http.shed(room, at(self.time), &mut |event| self.events.push(event));
    }

    /// The exchanges that ended, in short.
    pub(super) fn ended(&self) -> Vec<String> {
        short(&self.events)
    }

    fn bytes(&mut self, from: Side, bytes: &[u8]) {
        self.time += 1;
        assert_eq!(
            self.http.bytes(from, at(self.time), bytes, &mut |event| self.events.push(event)),
            bytes.len()
        );
    }
}

#[path = "hostile_tests.rs"]
mod hostile;
