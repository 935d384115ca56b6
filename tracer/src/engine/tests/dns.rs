use super::*;

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
