//! A capture taken in a pod, packet by packet: the breakdown, the findings' input and the lines of it.

use std::sync::Arc;

use etherparse::PacketBuilder;

use super::*;
use crate::{
    engine::FlowEvent,
    proto::{http::Http, http2, lookup::Lookup},
    request::{Attribution, Call, CallKind, Request, What, folded::Folded},
    source::pcap::LinkType,
};

const POD: [u8; 4] = [10, 0, 0, 1];
const CLIENT: [u8; 4] = [10, 0, 0, 9];
const SERVER: [u8; 4] = [10, 0, 0, 7];
const RESOLVER: [u8; 4] = [10, 96, 0, 10];
const METADATA: [u8; 4] = [169, 254, 169, 254];
const MS: u64 = 1_000_000;
const START: u64 = 1_700_000_000_000_000_000;

/// Packets of a capture as they are written down.
#[derive(Default)]
struct Capture {
    packets: Vec<(u64, Vec<u8>)>,
}

/// A connection whose next sequence numbers are known.
struct Tcp {
    client: ([u8; 4], u16),
    server: ([u8; 4], u16),
    next: [u32; 2],
}

impl Capture {
    fn udp(&mut self, ms: u64, from: ([u8; 4], u16), to: ([u8; 4], u16), payload: &[u8]) {
        let builder = PacketBuilder::ethernet2([1; 6], [2; 6]).ipv4(from.0, to.0, 64).udp(from.1, to.1);
        let mut bytes = Vec::new();
        builder.write(&mut bytes, payload).unwrap();
        self.packets.push((START + ms * MS, bytes));
    }

    /// A handshake that takes a millisecond.
    fn connect(&mut self, ms: u64, client: ([u8; 4], u16), server: ([u8; 4], u16)) -> Tcp {
        let mut tcp = Tcp { client, server, next: [100, 900] };
        self.segment(ms, &mut tcp, true, "S", b"");
        self.segment(ms + 1, &mut tcp, false, "SA", b"");
        self.segment(ms + 1, &mut tcp, true, "A", b"");
        tcp
    }

    fn segment(&mut self, ms: u64, tcp: &mut Tcp, from_client: bool, flags: &str, payload: &[u8]) {
        let (from, to) = if from_client { (tcp.client, tcp.server) } else { (tcp.server, tcp.client) };
        let own = usize::from(!from_client);
        let ip = PacketBuilder::ethernet2([1; 6], [2; 6]).ipv4(from.0, to.0, 64);
        let mut builder = ip.tcp(from.1, to.1, tcp.next[own], 4096);
        for flag in flags.chars() {
            builder = match flag {
                'S' => builder.syn(),
                'A' => builder.ack(tcp.next[1 - own]),
                'F' => builder.fin(),
                'R' => builder.rst(),
                _ => builder.psh(),
            };
        }
        let mut bytes = Vec::new();
        builder.write(&mut bytes, payload).unwrap();
        let length = u32::try_from(payload.len()).unwrap();
        tcp.next[own] += length + u32::from(flags.contains('S')) + u32::from(flags.contains('F'));
        self.packets.push((START + ms * MS, bytes));
    }

    /// What the analysis of POD's view says: its requests, and the lines.
    fn analyse(&self) -> (Seen, String) {
        let mut seen = Seen::default();
        let mut lines = Vec::new();
        let mut offline = Offline::new(&[POD.into()], vec![METADATA.into()], &mut seen, Some(&mut lines));
        for (number, (time, bytes)) in (1..).zip(&self.packets) {
            let original_length = u32::try_from(bytes.len()).unwrap();
            offline
                .packet(&Raw { number, time: *time, link: LinkType(1), original_length, bytes, origin: None })
                .unwrap();
        }
        offline.finish().unwrap();
        (seen, String::from_utf8(lines).unwrap())
    }
}

#[derive(Default)]
struct Seen {
    requests: Vec<Request>,
    calls: Vec<Call>,
}

impl Observer for Seen {
    fn request(&mut self, request: &Request) {
        self.requests.push(request.clone());
    }

    fn folded(&mut self, _: &Arc<Pod>, _: &Folded) {}

    fn call(&mut self, _: &Arc<Pod>, call: &Call, _: Attribution) {
        self.calls.push(call.clone());
    }

    fn flow(&mut self, _: &Arc<Pod>, _: FlowEvent) {}

    fn gone(&mut self, _: &Arc<Pod>) {}

    fn renamed(&mut self, _: &Arc<Pod>, _: &Arc<Pod>) {}
}

/// A DNS message about `a.example`, type A.
fn dns(answer: bool) -> Vec<u8> {
    dns_message(7, if answer { 0x81 } else { 1 }, 0)
}

fn dns_message(id: u8, flags: u8, answers: u8) -> Vec<u8> {
    let mut bytes = vec![0, id, flags, 0x80, 0, 1, 0, answers, 0, 0, 0, 0];
    bytes.extend_from_slice(b"\x01a\x07example\x00\x00\x01\x00\x01");
    bytes
}

/// The same over TCP.
fn framed(id: u8, flags: u8, answers: u8) -> Vec<u8> {
    let message = dns_message(id, flags, answers);
    [&[0, u8::try_from(message.len()).unwrap()], &message[..]].concat()
}

/// A request of 100 ms: 10 DNS, 30 metadata (1 of it the connect), 20 upstream (and 1 connect).
fn incident() -> Capture {
    let mut capture = Capture::default();
    let mut inbound = capture.connect(0, (CLIENT, 40_000), (POD, 8080));
    capture.segment(10, &mut inbound, true, "AP", b"GET /v1/items?key=s3cr3t HTTP/1.1\r\nHost: x\r\n\r\n");
    capture.udp(15, (POD, 5000), (RESOLVER, 53), &dns(false));
    capture.udp(25, (RESOLVER, 53), (POD, 5000), &dns(true));
    let mut metadata = capture.connect(30, (POD, 41_000), (METADATA, 80));
    capture.segment(
        31,
        &mut metadata,
        true,
        "AP",
        b"GET /latest/meta-data/iam/security-credentials/ HTTP/1.1\r\n\r\n",
    );
    capture.segment(60, &mut metadata, false, "AP", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nrole");
    let mut upstream = capture.connect(70, (POD, 42_000), (SERVER, 9200));
    capture.segment(71, &mut upstream, true, "AP", b"GET /items/_search HTTP/1.1\r\n\r\n");
    capture.segment(91, &mut upstream, false, "AP", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    capture.segment(110, &mut inbound, false, "AP", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    capture
}

#[test]
fn a_request_is_split_as_live() {
    let (seen, _) = incident().analyse();
    let [request] = seen.requests.as_slice() else { panic!("one request: {:?}", seen.requests) };
    let stages = &request.stages;
    assert_eq!(request.total(), 100 * MS);
    assert_eq!((stages.dns, stages.metadata, stages.connect), (10 * MS, 30 * MS, MS));
    assert_eq!((stages.upstream, stages.own), (20 * MS, 39 * MS));
    let http = request.http.as_ref().unwrap();
    assert_eq!((http.method(), http.status()), (Some("GET"), Some(200)));
    assert_eq!(http.path().map(|path| path.text), Some("/v1/items"));
}

#[test]
fn each_call_says_what_it_was() {
    let (seen, lines) = incident().analyse();
    let kinds: Vec<CallKind> = seen.calls.iter().map(|call| call.kind).collect();
    let count = |kind| kinds.iter().filter(|k| **k == kind).count();
    assert_eq!((count(CallKind::Dns), count(CallKind::Metadata), count(CallKind::Connect)), (1, 2, 1));
    assert_eq!(count(CallKind::Upstream), 1);
    assert!(
        seen.calls.iter().any(|call| matches!(&call.what, What::Dns(lookup) if lookup.name == "a.example"))
    );
    assert!(!lines.contains("s3cr3t"));
    let search = seen.calls.iter().find(|call| call.kind == CallKind::Upstream).unwrap();
    assert_eq!((search.messages.response_first, search.messages.response_bytes), (START + 91 * MS, 40));
}

#[test]
fn lines_name_frames_as_wireshark_does() {
    let (_, lines) = incident().analyse();
    for line in [
        r#"{"kind":"dns","packet":6,"query_packet":5,"time":10000000,"rcode":0,"id":7,"name":"a.example","type":1}"#,
        r#"{"kind":"http","flow":0,"packet":17,"request_packet":4,"time":100000000,"method":"GET","path":"/v1/items","status":200}"#,
        r#"{"kind":"flow","flow":0,"client":"10.0.0.9:40000","server":"10.0.0.1:8080","handshake_rtt":1000000,"bytes_client":46,"bytes_server":38,"packets":5,"resets":[]}"#,
    ] {
        assert!(lines.lines().any(|found| found == line), "{line}\nis not in\n{lines}");
    }
}

/// A capture of a whole node sees a datagram leave one pod and enter the other.
#[test]
fn a_datagram_captured_twice_is_one() {
    let mut capture = incident();
    let twice: Vec<_> =
        capture.packets.iter().filter(|(_, bytes)| bytes.get(23) == Some(&17)).cloned().collect();
    assert_eq!(twice.len(), 2);
    capture.packets.extend(twice.into_iter().map(|(time, bytes)| (time + 5000, bytes)));
    capture.packets.sort_by_key(|(time, _)| *time);
    let (seen, _) = capture.analyse();
    let lookups = seen.calls.iter().filter_map(|call| match &call.what {
        What::Dns(lookup) => Some(lookup.queries),
        _ => None,
    });
    assert_eq!(lookups.collect::<Vec<_>>(), [1]);
}

#[test]
fn a_capture_that_lacks_a_segment_is_partial() {
    let mut capture = Capture::default();
    let mut inbound = capture.connect(0, (CLIENT, 40_000), (POD, 8080));
    capture.segment(10, &mut inbound, true, "AP", b"GET / HTTP/1.1\r\n\r\n");
    inbound.next[1] += 500;
    capture.segment(20, &mut inbound, false, "AP", b"the rest of the answer");
    let (mut seen, locals) = (Seen::default(), [POD.into()]);
    let mut offline = Offline::new(&locals, Vec::new(), &mut seen, None);
    for (number, (time, bytes)) in (1..).zip(&capture.packets) {
        let original_length = u32::try_from(bytes.len()).unwrap();
        offline
            .packet(&Raw { number, time: *time, link: LinkType(1), original_length, bytes, origin: None })
            .unwrap();
    }
    offline.finish().unwrap();
    let accounting = offline.summary().accounting;
    assert!(accounting.is_partial() && accounting.is_complete(), "{accounting:?}");
    assert_eq!(accounting.oddities["not_captured"], 1);
}

#[test]
fn a_request_that_is_reset_is_not_answered() {
    let mut capture = Capture::default();
    let mut inbound = capture.connect(0, (CLIENT, 40_000), (POD, 8080));
    capture.segment(10, &mut inbound, true, "AP", b"GET / HTTP/1.1\r\n\r\n");
    capture.segment(50, &mut inbound, false, "RA", b"");
    let (seen, lines) = capture.analyse();
    let [request] = seen.requests.as_slice() else { panic!("one request: {:?}", seen.requests) };
    assert_eq!(request.marks.names().collect::<Vec<_>>(), ["unanswered"]);
    assert_eq!(request.total(), 40 * MS);
    assert!(lines.contains(r#""resets":[5]"#), "{lines}");
}

#[test]
fn an_unknown_protocol_is_timed_by_its_turns() {
    let mut capture = Capture::default();
    let mut inbound = capture.connect(0, (CLIENT, 40_000), (POD, 7000));
    for at in [10, 30] {
        capture.segment(at, &mut inbound, true, "AP", b"\x00\x01what");
        capture.segment(at + 5, &mut inbound, false, "AP", b"\x00\x02that");
    }
    let (seen, lines) = capture.analyse();
    assert_eq!(seen.requests.iter().map(Request::total).collect::<Vec<_>>(), [5 * MS, 5 * MS]);
    assert_eq!(lines.matches(r#""protocol":"opaque""#).count(), 2, "{lines}");
}

/// Each lookup with its start and end, in milliseconds.
fn lookups(seen: &Seen) -> Vec<(u64, u64, &Lookup)> {
    let ms = |time: u64| (time - START) / MS;
    let calls = seen.calls.iter().filter_map(|call| match &call.what {
        What::Dns(lookup) => Some((ms(call.start), ms(call.end), &**lookup)),
        _ => None,
    });
    calls.collect()
}

/// The connect for it is a call of its own, within the lookup.
#[test]
fn a_truncated_answer_and_its_retry_over_tcp_are_one_lookup() {
    let mut capture = Capture::default();
    let mut inbound = capture.connect(0, (CLIENT, 40_000), (POD, 8080));
    capture.segment(10, &mut inbound, true, "AP", b"GET / HTTP/1.1\r\n\r\n");
    capture.udp(20, (POD, 5000), (RESOLVER, 53), &dns_message(7, 1, 0));
    capture.udp(30, (RESOLVER, 53), (POD, 5000), &dns_message(7, 0x83, 0));
    let mut tcp = capture.connect(31, (POD, 41_000), (RESOLVER, 53));
    capture.segment(33, &mut tcp, true, "AP", &framed(7, 1, 0));
    capture.segment(50, &mut tcp, false, "AP", &framed(7, 0x81, 9));
    capture.segment(51, &mut tcp, true, "FA", b"");
    capture.segment(52, &mut tcp, false, "FA", b"");
    capture.segment(53, &mut tcp, true, "A", b"");
    capture.segment(110, &mut inbound, false, "AP", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let (seen, lines) = capture.analyse();
    let [(20, 50, lookup)] = lookups(&seen)[..] else { panic!("{:?}", seen.calls) };
    assert_eq!((lookup.queries, lookup.over_tcp, lookup.truncated), (2, 1, 1));
    let kinds: Vec<CallKind> = seen.calls.iter().map(|call| call.kind).collect();
    assert_eq!(kinds, [CallKind::Dns; 2], "the connect and the lookup: {:?}", seen.calls);
    let stages = &seen.requests[0].stages;
    assert_eq!((stages.dns, stages.connect, stages.own), (30 * MS, 0, 70 * MS));
    assert_eq!(lines.matches(r#""kind":"dns""#).count(), 2);
}

/// Many queries on one connection, answered in another order, one never.
#[test]
fn pipelined_queries_over_tcp_are_lookups() {
    let mut capture = Capture::default();
    let mut tcp = capture.connect(0, (POD, 41_000), (RESOLVER, 53));
    let queries = [framed(1, 1, 0), framed(2, 1, 0), framed(3, 1, 0)].concat();
    capture.segment(10, &mut tcp, true, "AP", &queries[..40]);
    capture.segment(11, &mut tcp, true, "AP", &queries[40..]);
    capture.segment(20, &mut tcp, false, "AP", &framed(3, 0x81, 1));
    capture.segment(30, &mut tcp, false, "AP", &framed(1, 0x81, 1));
    capture.segment(40, &mut tcp, false, "RA", b"");
    let (seen, lines) = capture.analyse();
    let found: Vec<_> = lookups(&seen).into_iter().map(|(start, end, l)| (start, end, l.timeouts)).collect();
    assert_eq!(found, [(10, 30, 0), (10, 40, 1), (11, 20, 0)]);
    assert_eq!(lines.matches(r#""kind":"dns""#).count(), 2, "{lines}");
}

#[path = "offline_pods_tests.rs"]
mod pods;

#[test]
fn a_connect_says_how_many_syns_it_took() {
    let mut capture = Capture::default();
    let mut tcp = Tcp { client: (POD, 40_000), server: (SERVER, 9200), next: [100, 900] };
    for ms in [0, 1000] {
        tcp.next[0] = 100;
        capture.segment(ms, &mut tcp, true, "S", b"");
    }
    capture.segment(1001, &mut tcp, false, "SA", b"");
    capture.segment(1001, &mut tcp, true, "A", b"");
    let (seen, _) = capture.analyse();
    let [call] = seen.calls.as_slice() else { panic!("one call: {:?}", seen.calls) };
    assert_eq!(call.what, What::Connect { established: true, syns: 2 });
    assert_eq!(call.end - call.start, 1001 * MS);
}

#[test]
fn the_line_of_a_flow_says_what_could_not_be_read() {
    let mut capture = Capture::default();
    let mut tcp = capture.connect(0, (CLIENT, 40_000), (POD, 8080));
    capture.segment(10, &mut tcp, true, "AP", b"GET / HTTP/1.1\r\n\r\n");
    capture.segment(
        20,
        &mut tcp,
        false,
        "AP",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnot hex\r\n",
    );
    let (_, lines) = capture.analyse();
    assert!(lines.contains(r#""http1":{"bad_framings":1,"#), "{lines}");
    let (_, quiet) = incident().analyse();
    assert!(quiet.contains(r#""kind":"flow""#) && !quiet.contains("http1\":"), "{quiet}");
}

#[test]
fn an_http2_server_may_speak_first() {
    let frame = |kind: u8, flags: u8, stream: u8, payload: &[u8]| {
        let length = u8::try_from(payload.len()).unwrap();
        [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
    };
    let opened = [http2::PREFACE.as_slice(), &frame(4, 0, 0, &[])].concat();
    for cut in [0, 5, 24, opened.len()] {
        let mut capture = Capture::default();
        let mut tcp = capture.connect(0, (CLIENT, 40_000), (POD, 50051));
        capture.segment(5, &mut tcp, true, "AP", &opened[..cut]);
        capture.segment(6, &mut tcp, false, "AP", &frame(4, 0, 0, &[0, 3, 0, 0, 0, 100]));
        capture.segment(7, &mut tcp, true, "AP", &opened[cut..]);
        capture.segment(10, &mut tcp, true, "AP", &frame(1, 5, 1, &[0x82, 0x84]));
        capture.segment(30, &mut tcp, false, "AP", &frame(1, 5, 1, &[0x88]));
        let (seen, lines) = capture.analyse();
        let [request] = seen.requests.as_slice() else { panic!("{cut}: {:?}", seen.requests) };
        assert_eq!((request.total(), request.http.as_ref().and_then(Http::status)), (20 * MS, Some(200)));
        assert!(lines.contains(r#""http2":{"client":{},"server":{}}"#), "{lines}");
    }
}

#[test]
fn an_answer_that_looks_like_settings_does_not_make_another_protocol_http2() {
    let mut capture = Capture::default();
    let mut tcp = capture.connect(0, (CLIENT, 40_000), (POD, 9092));
    capture.segment(10, &mut tcp, true, "AP", b"\0\0\0\x08whatever");
    capture.segment(20, &mut tcp, false, "AP", b"\0\0\0\x04\0\0\0\0\0");
    let (seen, lines) = capture.analyse();
    assert_eq!(seen.requests.len(), 1);
    assert!(lines.contains(r#""protocol":"opaque""#), "{lines}");
}
