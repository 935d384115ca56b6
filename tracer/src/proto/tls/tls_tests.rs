use super::*;
use crate::proto::stream::{Exchange, Outcome, Part};

use Side::{Client, Server};

/// A packet of a flow; its time is its position.
type Packet = (Side, Vec<u8>);

/// A record.
fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [&[kind, 3, 3], length.as_slice(), body].concat()
}

fn data(length: usize) -> Vec<u8> {
    record(record::APPLICATION_DATA, &vec![0xee; length])
}

/// A handshake message.
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[kind], &length[1..], body].concat()
}

fn plain(kind: u8, body: &[u8]) -> Vec<u8> {
    record(record::HANDSHAKE, &message(kind, body))
}

fn vector(body: &[u8]) -> Vec<u8> {
    [u16::try_from(body.len()).unwrap().to_be_bytes().as_slice(), body].concat()
}

fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
    [kind.to_be_bytes().as_slice(), &vector(body)].concat()
}

fn client_hello() -> Vec<u8> {
    let name = vector(&[&[0], vector(b"shop.example").as_slice()].concat());
    let protocols = vector(b"\x02\x0a\x0a\x02h2\x08http/1.1");
    let extensions = [extension(0, &name), extension(16, &protocols), extension(45, &[1, 1])].concat();
    [&[3, 3], [7; 32].as_slice(), &[0, 0, 2, 0x13, 1, 1, 0], &vector(&extensions)].concat()
}

fn server_hello(random: [u8; 32], cipher: u16, extensions: &[u8]) -> Vec<u8> {
    [&[3, 3], random.as_slice(), &[0], &cipher.to_be_bytes(), &[0], &vector(extensions)].concat()
}

fn modern(more: &[u8]) -> Vec<u8> {
    plain(2, &server_hello([8; 32], 0x1301, &[extension(43, &[3, 4]), more.to_vec()].concat()))
}

fn change() -> Vec<u8> {
    record(record::CHANGE_CIPHER_SPEC, &[1])
}

/// `ChangeCipherSpec` and Finished of TLS 1.2.
fn finished() -> Vec<u8> {
    [change(), record(record::HANDSHAKE, &[0xff; 40])].concat()
}

/// Finished of TLS 1.3 with SHA-256.
const FINISHED: usize = 53;

fn old_handshake() -> Vec<Packet> {
    let server = server_hello([8; 32], 0xc02f, &extension(16, &vector(b"\x02h2")));
    vec![
        (Client, plain(1, &client_hello())),
        (Server, [plain(2, &server), plain(11, &[0; 900]), plain(14, &[])].concat()),
        (Client, [plain(16, &[0; 60]), finished()].concat()),
        (Server, finished()),
    ]
}

fn modern_handshake() -> Vec<Packet> {
    vec![
        (Client, plain(1, &client_hello())),
        (Server, [modern(&[]), change(), data(900), data(FINISHED)].concat()),
        (Client, [change(), data(FINISHED)].concat()),
    ]
}

fn at(packet: u64) -> Seen {
    Seen { time: packet * 10, packet }
}

/// A message; none of no bytes.
fn part(first: u64, last: u64, bytes: u64) -> Option<Part> {
    (bytes > 0).then_some(Part { first: at(first), head: at(first), last: at(last), bytes })
}

/// Reads the packets, each cut into pieces of `size` bytes after a first piece of `first` bytes.
fn read(packets: &[Packet], first: usize, size: usize, tls: &mut Tls) -> Vec<Event> {
    let mut events = Vec::new();
    for ((side, bytes), packet) in packets.iter().zip(1..) {
        let (head, tail) = bytes.split_at(first.min(bytes.len()));
        for piece in [head].into_iter().chain(tail.chunks(size)) {
            assert_eq!(tls.bytes(*side, at(packet), piece, &mut |event| events.push(event)), piece.len());
        }
    }
    events
}

/// What is read of the packets, whichever way they are cut; the flow ends by the server's FIN.
fn run(packets: &[Packet]) -> (Handshake, Vec<Exchange>) {
    let whole = |first, size| {
        let mut tls = Tls::new();
        let mut events = read(packets, first, size, &mut tls);
        tls.end(Server, at(99), End::Fin, &mut |event| events.push(event));
        (tls.handshake().clone(), events)
    };
    let (handshake, events) = whole(usize::MAX, 1);
    let longest = packets.iter().map(|(_, bytes)| bytes.len()).max().unwrap();
    assert_eq!(whole(0, 1), (handshake.clone(), events.clone()), "byte by byte");
    for first in 1..longest {
        assert_eq!(whole(first, usize::MAX), (handshake.clone(), events.clone()), "cut at {first}");
    }
    let begun = events.iter().filter(|event| matches!(event, Event::Begun { .. })).count();
    let exchanges: Vec<_> = events
        .into_iter()
        .filter_map(|event| if let Event::Ended(exchange) = event { Some(exchange) } else { None })
        .collect();
    assert_eq!(begun, exchanges.iter().filter(|exchange| exchange.request.is_some()).count());
    (handshake, exchanges)
}

fn parts(exchanges: &[Exchange]) -> Vec<(Option<Part>, Option<Part>)> {
    exchanges.iter().map(|exchange| (exchange.request, exchange.response)).collect()
}

#[test]
fn reads_a_handshake_of_tls_1_2_and_the_turns_after_it() {
    let mut packets = old_handshake();
    packets.extend([
        (Client, data(100)),
        (Server, data(1000)),
        (Server, data(200)),
        (Client, data(50)),
        (Server, data(60)),
    ]);
    let (handshake, exchanges) = run(&packets);
    assert_eq!(handshake.server_name.as_deref(), Some("shop.example"));
    assert_eq!(handshake.alpn_offered.as_deref(), Some("h2,http/1.1"));
    assert_eq!(handshake.alpn.as_deref(), Some("h2"));
    assert_eq!(handshake.version.unwrap().to_string(), "TLS 1.2");
    assert_eq!(
        (handshake.begun, handshake.answered, handshake.ended),
        (Some(at(1)), Some(at(2)), Some(at(4)))
    );
    assert_eq!((handshake.resumed, handshake.aborted), (Some(false), None));
    assert_eq!(parts(&exchanges), [(part(5, 5, 105), part(6, 7, 1210)), (part(8, 8, 55), part(9, 9, 65))]);
    assert!(exchanges.iter().all(|exchange| exchange.outcome == Outcome::Complete));
}

#[test]
fn data_before_the_servers_finished_is_data() {
    let mut packets = old_handshake();
    let last = packets.pop().unwrap();
    packets.extend([(Client, data(100)), last, (Server, data(10))]);
    let (handshake, exchanges) = run(&packets);
    assert_eq!(handshake.ended, Some(at(5)));
    assert_eq!(parts(&exchanges), [(part(4, 4, 105), part(6, 6, 15))]);
}

#[test]
fn an_abbreviated_handshake_resumes_a_session() {
    let server = plain(2, &server_hello([8; 32], 0xc02f, &[]));
    let packets = [
        (Client, plain(1, &client_hello())),
        (Server, [server, plain(4, &[0; 200]), finished()].concat()),
        (Client, finished()),
    ];
    let (handshake, _) = run(&packets);
    assert_eq!((handshake.resumed, handshake.ended), (Some(true), Some(at(3))));
}

#[test]
fn the_clients_finished_ends_a_handshake_of_tls_1_3() {
    let mut packets = modern_handshake();
    packets.extend([(Client, data(300)), (Server, data(5000)), (Client, data(19)), (Server, data(19))]);
    let (handshake, exchanges) = run(&packets);
    assert_eq!(handshake.version.unwrap().to_string(), "TLS 1.3");
    assert_eq!((handshake.ended, handshake.resumed, handshake.alpn), (Some(at(3)), Some(false), None));
    assert_eq!(parts(&exchanges), [(part(4, 4, 305), part(5, 5, 5005))], "close alerts are not data");
}

#[test]
fn a_pre_shared_key_resumes_a_session() {
    let mut packets = modern_handshake();
    packets[1].1 = [modern(&extension(41, &[0, 0])), change(), data(23), data(FINISHED)].concat();
    assert_eq!(run(&packets).0.resumed, Some(true));
}

#[test]
fn a_retry_costs_a_round_trip() {
    let retry = server_hello(hello::RETRY, 0x1301, &extension(43, &[3, 4]));
    let mut packets = modern_handshake();
    let hello = packets[0].1.clone();
    packets.splice(
        1..1,
        [(Server, [plain(2, &retry), change()].concat()), (Client, [change(), hello].concat())],
    );
    let (handshake, exchanges) = run(&packets);
    assert!(handshake.retried);
    assert_eq!(
        (handshake.begun, handshake.answered, handshake.ended),
        (Some(at(1)), Some(at(2)), Some(at(5)))
    );
    assert_eq!((handshake.resumed, exchanges.len()), (Some(false), 0));
}

#[test]
fn a_client_certificate_comes_before_its_finished() {
    let mut packets = modern_handshake();
    packets[2].1 = [change(), data(1100), data(280)].concat();
    packets.extend([(Client, data(FINISHED)), (Client, data(40)), (Server, data(2000))]);
    let (handshake, exchanges) = run(&packets);
    assert_eq!(handshake.ended, Some(at(4)));
    assert_eq!(parts(&exchanges), [(part(5, 5, 45), part(6, 6, 2005))]);
}

#[test]
fn a_flight_in_one_record_ends_the_handshake() {
    let mut packets = modern_handshake();
    packets[2].1 = [change(), data(1500)].concat();
    packets.extend([(Client, data(40)), (Client, data(10)), (Server, data(2000))]);
    let (handshake, exchanges) = run(&packets);
    assert_eq!(handshake.ended, Some(at(3)));
    assert_eq!(parts(&exchanges), [(part(4, 5, 60), part(6, 6, 2005))]);
}

#[test]
fn early_data_is_a_request_and_may_be_answered_early() {
    let packets = [
        (Client, [plain(1, &client_hello()), change(), data(200)].concat()),
        (Server, [modern(&extension(41, &[0, 0])), change(), data(23), data(FINISHED)].concat()),
        (Server, data(3000)),
        (Client, [data(21), data(FINISHED)].concat()),
    ];
    let (handshake, exchanges) = run(&packets);
    assert_eq!(handshake.ended, Some(at(4)));
    assert_eq!(parts(&exchanges), [(part(1, 1, 205), part(3, 3, 3005))]);
}

#[test]
fn session_tickets_are_no_response() {
    let with = |packets: Vec<Packet>| {
        let mut all = modern_handshake();
        all.extend(packets);
        parts(&run(&all).1)
    };
    let tickets = || [data(250), data(250)].concat();
    let request = part(4, 4, 305);
    assert_eq!(with(vec![(Server, tickets())]), [], "nobody asked");
    let slow = with(vec![(Client, data(300)), (Server, tickets()), (Server, data(90))]);
    assert_eq!(slow, [(request, part(6, 6, 95))], "tickets and then a response");
    let once = with(vec![(Client, data(300)), (Server, [data(90), data(500)].concat())]);
    assert_eq!(once, [(request, part(5, 5, 600))], "a response in two records");
    let quick = with(vec![(Client, data(300)), (Server, [tickets(), data(5000)].concat())]);
    assert_eq!(quick, [(request, part(5, 5, 5515))], "tickets with the response cannot be told apart");
    let upload =
        with(vec![(Client, data(300)), (Server, tickets()), (Client, data(900)), (Server, data(90))]);
    assert_eq!(upload, [(part(4, 6, 1210), part(7, 7, 95))], "tickets in the middle of a request");
    let late = with(vec![(Client, data(1)), (Server, data(2000)), (Client, data(1)), (Server, data(90))]);
    assert_eq!(late[1].1, part(7, 7, 95), "only the first records may be tickets");
}

#[test]
fn a_client_that_takes_no_tickets_gets_none() {
    let mut packets = modern_handshake();
    packets[0].1 = plain(1, &client_hello()[..2 + 32 + 7]);
    packets.extend([(Client, data(300)), (Server, data(250)), (Server, data(250))]);
    assert_eq!(parts(&run(&packets).1), [(part(4, 4, 305), part(5, 6, 510))]);
}

#[path = "broken_tests.rs"]
mod broken;
