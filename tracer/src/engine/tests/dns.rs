use std::net::SocketAddr;

use tracer_ebpf::{record::DatagramRecord, segment::Direction};

use super::*;
use crate::{
    flow::Transport,
    proto::{
        dns_tcp::Framed,
        stream::{Seen as At, Side},
    },
};

/// A query for `a`, type A, by the pod's thread 11.
fn query(ms: u64) -> DatagramRecord {
    let mut record = DatagramRecord {
        direction: Direction::Egress as u8,
        cgroup: POD,
        time: ms * MS,
        thread: 11,
        process: 10,
        local_port: 40000,
        remote_port: 53,
        ..DatagramRecord::zeroed()
    };
    let message = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x01a\0\0\x01\0\x01";
    record.payload[..message.len()].copy_from_slice(message);
    record.payload_length = u32::try_from(message.len()).unwrap();
    record
}

#[test]
fn waiting_for_a_dead_dns_server_is_dns() {
    let mut lab = Lab::new();
    for ms in [1, 5001] {
        lab.engine.ingest(Record::Datagram(&query(ms)), &mut lab.seen);
    }
    let request = lab.exchange(role::SERVER, 0, 10_001, "GET /", "HTTP/1.1 503");
    let request = FlowRecord { flags: flow_flag::FINAL, ..request };
    lab.flow(&request);
    lab.engine.advance(11 * SECOND, &mut lab.seen);
    assert_eq!(lab.seen.requests[0].stages.values(), [0, 10 * SECOND, 0, 0, 0, MS, 0]);
    lab.finish(30_000);
    let calls: Vec<_> = lab.seen.calls.iter().map(|(call, _)| (call.kind, call.answered)).collect();
    assert_eq!((calls, lab.engine.oddities().late), (vec![(CallKind::Dns, false)], 0));
}

#[test]
fn dns_over_tcp_is_dns() {
    let mut lab = Lab::new();
    for kind in [kind::OPENED, kind::EXCHANGE] {
        let mut record = lab.exchange(role::CLIENT, 10, 30, "", "");
        record.kind = kind;
        record.exchange = u32::from(kind == kind::EXCHANGE);
        record.remote_port = 53;
        record.opened = 10 * MS;
        record.established = 12 * MS;
        lab.flow(&record);
    }
    lab.finish(1000);
    assert!(lab.seen.calls.iter().all(|(call, _)| call.kind == CallKind::Dns), "{:?}", lab.seen.calls);
    assert_eq!(lab.seen.calls.len(), 2);
}

#[test]
fn a_flow_that_was_never_identified_is_counted_and_skipped() {
    let mut lab = Lab::new();
    let record = lab.exchange(role::SERVER, 10, 20, "GET /", "HTTP/1.1 200 OK");
    lab.flow(&FlowRecord { flow: 0, retransmits: 3, ..record });
    lab.finish(1000);
    assert!(lab.seen.requests.is_empty() && lab.seen.flows.is_empty());
    assert_eq!(lab.engine.oddities().unidentified, 1);
}

#[test]
fn a_dns_server_pod_makes_no_lookups() {
    let mut lab = Lab::new();
    let mut record =
        DatagramRecord { cgroup: POD, local_port: 53, remote_port: 40000, ..DatagramRecord::zeroed() };
    record.payload[2] = 1;
    record.payload[5] = 1;
    record.payload_length = u32::try_from(DATAGRAM_PREFIX).unwrap();
    lab.engine.ingest(Record::Datagram(&record), &mut lab.seen);
    record.payload_length = 5;
    lab.engine.ingest(Record::Datagram(&record), &mut lab.seen);
    lab.finish(1000);
    assert!(lab.seen.calls.is_empty());
    assert_eq!(lab.engine.oddities().malformed_dns, 1);
}

/// A query for `a`, type A, or its answer with one record, over TCP from `first` to `last` ms.
fn over_tcp(lab: &mut Lab, side: Side, answer: bool, first: u64, last: u64) {
    let mut bytes = *b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x01a\0\0\x01\0\x01";
    (bytes[2], bytes[7]) = if answer { (0x81, 1) } else { (1, 0) };
    let at = |ms| At { time: ms * MS, packet: 0 };
    let from = if answer { Side::Server } else { Side::Client };
    let (first, last) = (at(first), at(last));
    let framed = Framed { from, first, last, bytes: &bytes, length: u16::try_from(bytes.len()).unwrap() };
    let (local, peer) = (SocketAddr::from(([10, 0, 0, 2], 40000)), SocketAddr::from(([10, 0, 0, 53], 53)));
    let on = On {
        flow: 9,
        role: role::CLIENT,
        cgroup: POD,
        transport: Transport { local, peer, srtt_us: 0, retransmits: 0 },
        kind: CallKind::Dns,
        joined: false,
    };
    lab.engine.dns_message(&on, side, &framed);
}

#[test]
fn a_lookup_over_tcp_lasts_from_the_first_byte_to_the_last() {
    let mut lab = Lab::new();
    over_tcp(&mut lab, Side::Client, false, 10, 12);
    over_tcp(&mut lab, Side::Client, true, 28, 30);
    lab.finish(1000);
    let [(call, _)] = lab.seen.calls.as_slice() else { panic!("one call: {:?}", lab.seen.calls) };
    assert_eq!((call.kind, call.start, call.end, call.answered), (CallKind::Dns, 10 * MS, 30 * MS, true));
    let What::Dns(lookup) = &call.what else { panic!("{:?}", call.what) };
    assert_eq!((lookup.name.as_str(), lookup.queries, lookup.over_tcp), ("a", 1, 1));
}

#[test]
fn a_dns_server_pod_makes_no_lookups_over_tcp_either() {
    let mut lab = Lab::new();
    over_tcp(&mut lab, Side::Server, false, 10, 10);
    over_tcp(&mut lab, Side::Server, true, 20, 20);
    lab.finish(1000);
    assert!(lab.seen.calls.is_empty());
    assert_eq!(lab.engine.oddities(), Oddities::default());
}

#[test]
fn a_lookup_over_tcp_ends_with_its_connection() {
    let mut lab = Lab::new();
    over_tcp(&mut lab, Side::Client, false, 10, 10);
    let close = lab.exchange(role::CLIENT, 0, 30, "", "");
    lab.flow(&FlowRecord { kind: kind::CLOSED, flow: 9, exchange: 0, remote_port: 53, ..close });
    lab.engine.advance(100 * MS, &mut lab.seen);
    lab.finish(20_000);
    let calls: Vec<_> =
        lab.seen.calls.iter().map(|(call, _)| (call.start, call.end, call.answered)).collect();
    assert_eq!(calls, [(10 * MS, 30 * MS, false)]);
}

/// Somebody who takes a truncated answer as it is waits no longer than for that, however long a retry may take.
#[test]
fn a_request_is_not_charged_for_a_retry_that_may_come() {
    let mut lab = Lab::new();
    let mut cut = query(20);
    cut.direction = Direction::Ingress as u8;
    cut.payload[2] = 0x83;
    lab.engine.ingest(Record::Datagram(&query(10)), &mut lab.seen);
    lab.engine.ingest(Record::Datagram(&cut), &mut lab.seen);
    let request = lab.exchange(role::SERVER, 0, 100, "GET /", "HTTP/1.1 200 OK");
    lab.flow(&FlowRecord { flags: flow_flag::FINAL, ..request });
    lab.engine.advance(5 * SECOND, &mut lab.seen);
    assert_eq!(lab.seen.requests[0].stages.values(), [0, 10 * MS, 0, 0, 0, 90 * MS, 0]);
}
