use super::*;

#[test]
fn connects_are_calls_and_to_the_metadata_service_metadata() {
    let mut lab = Lab::new();
    for (flags, kind) in [(0, kind::OPENED), (flow_flag::METADATA, kind::OPENED), (0, kind::CONNECT_FAILED)] {
        let mut record = lab.exchange(role::CLIENT, 0, 0, "", "");
        record.kind = kind;
        record.flags = flags;
        record.exchange = 0;
        record.opened = 10 * MS;
        record.established = 12 * MS;
        record.emitted = 13 * MS;
        lab.flow(&record);
    }
    lab.finish(1000);
    let calls: Vec<_> =
        lab.seen.calls.iter().map(|(c, _)| (c.kind, (c.end - c.start) / MS, c.answered)).collect();
    let expected =
        [(CallKind::Connect, 2, true), (CallKind::Metadata, 2, true), (CallKind::Connect, 3, false)];
    assert_eq!(calls, expected);
    let failed = FlowEvent::Connect { established: false, refused: false, nanoseconds: 3 * MS };
    assert_eq!(lab.seen.flows[2], failed);
}

#[test]
fn a_wait_ends_when_the_pod_closes_not_when_the_kernel_forgets_the_flow() {
    let mut lab = Lab::new();
    let request = lab.exchange(role::SERVER, 0, 5000, "GET /", "HTTP/1.1 503 ");
    let mut dead = lab.exchange(role::CLIENT, 10, 0, "GET /dead", "");
    dead.emitted = 60 * MS;
    lab.flow(&dead);
    dead.flags |= flow_flag::FIN_OUT;
    dead.updates = 1;
    dead.emitted = 1010 * MS;
    lab.flow(&dead);
    lab.flow(&request);
    // The FIN again, which the peer did not acknowledge either.
    dead.updates = 2;
    dead.emitted = 1400 * MS;
    lab.flow(&dead);
    dead.kind = kind::CLOSED;
    dead.updates = 3;
    dead.emitted = 90_000 * MS;
    lab.flow(&dead);
    lab.finish(100_000);
    assert_eq!(lab.seen.requests[0].stages.upstream, 1000 * MS);
    assert_eq!(lab.seen.calls[0].0.end, 1010 * MS);
}

#[test]
fn a_request_that_is_never_answered_ends_with_its_flow_and_is_marked() {
    let mut lab = Lab::new();
    let mut record = lab.exchange(role::SERVER, 10, 0, "GET /", "");
    record.emitted = 12 * MS;
    lab.flow(&record);
    record.kind = kind::CLOSED;
    record.updates = 1;
    record.emitted = 50 * MS;
    lab.flow(&record);
    lab.finish(1000);
    let [request] = &lab.seen.requests[..] else { panic!("{:?}", lab.seen.requests) };
    assert_eq!((request.total(), request.marks.names().collect::<Vec<_>>()), (40 * MS, vec!["unanswered"]));
    assert_eq!(lab.engine.oddities().unanswered, 1);
    assert!(lab.engine.summary().is_empty(), "it enters no sum");
}

#[test]
fn the_close_of_a_flow_does_not_repeat_its_last_exchange() {
    let mut lab = Lab::new();
    let mut record = lab.exchange(role::SERVER, 10, 20, "GET /", "HTTP/1.1 200 OK");
    lab.flow(&record);
    assert_eq!(lab.engine.oldest_unsettled(SECOND), Some(10 * MS));
    lab.engine.advance(3 * SECOND, &mut lab.seen);
    assert_eq!(lab.engine.oldest_unsettled(3 * SECOND), None);
    record.kind = kind::CLOSED;
    record.updates = 1;
    record.emitted = 4 * SECOND;
    lab.flow(&record);
    lab.finish(5000);
    assert_eq!(lab.seen.requests.len(), 1);
    assert_eq!(lab.engine.oddities().late, 0);
}

#[test]
fn retransmissions_are_counted_as_they_grow() {
    let mut lab = Lab::new();
    let mut record = lab.exchange(role::SERVER, 10, 20, "GET /", "HTTP/1.1 200 OK");
    for (exchange, retransmits) in [(1, 2), (2, 2), (3, 5)] {
        record.exchange = exchange;
        record.retransmits = retransmits;
        lab.flow(&record);
    }
    assert_eq!(lab.seen.flows, [FlowEvent::Retransmits(2), FlowEvent::Retransmits(3)]);
}

#[test]
fn of_a_joined_flow_only_new_retransmissions_count() {
    let mut lab = Lab::new();
    let mut record = lab.exchange(role::SERVER, 10, 20, "GET /", "HTTP/1.1 200 OK");
    record.flags = flow_flag::JOINED;
    for (exchange, retransmits) in [(1, 7), (2, 7), (3, 9)] {
        record.exchange = exchange;
        record.retransmits = retransmits;
        lab.flow(&record);
    }
    assert_eq!(lab.seen.flows, [FlowEvent::Retransmits(2)]);
}

#[test]
fn retransmissions_are_followed_at_the_limit_and_none_counts_twice() {
    let mut lab = Lab::new();
    let mut record = lab.exchange(role::SERVER, 10, 20, "GET /", "HTTP/1.1 200 OK");
    record.retransmits = 1;
    for flow in 1..=20_000 {
        record.flow = flow;
        lab.flow(&record);
    }
    assert_eq!(lab.seen.flows.len(), 20_000);
    lab.flow(&FlowRecord { flow: 1, ..record });
    assert_eq!(lab.seen.flows.len(), 20_000);
}

#[test]
fn an_answered_metadata_call_leaves_no_body_behind() {
    let mut lab = Lab::new();
    let mut record = lab.exchange(role::CLIENT, 10, 20, "GET /latest/meta-data/", "HTTP/1.1 200 OK");
    record.flags = flow_flag::METADATA;
    lab.payload(&record, 0, "HTTP/1.1 200 OK\r\n\r\n{\"SecretAccessKey\": \"canary\"");
    lab.flow(&FlowRecord { response_first: 0, response_last: 0, ..record });
    assert!(lab.engine.metadata.holds_bodies());
    lab.flow(&FlowRecord { updates: 1, ..record });
    assert!(!lab.engine.metadata.holds_bodies());
}

#[test]
fn a_call_has_the_times_and_bytes_of_its_exchange() {
    let mut lab = Lab::new();
    let mut record = lab.exchange(role::CLIENT, 10, 30, "GET /big", "HTTP/1.1 200");
    record.response_last = 80 * MS;
    record.response_bytes = 1_000_000;
    record.emitted = 80 * MS;
    lab.flow(&record);
    lab.finish(1000);
    let call = &lab.seen.calls[0].0;
    assert_eq!((call.messages.response_first, call.end), (30 * MS, 80 * MS));
    assert_eq!(call.messages.response_bytes, 1_000_000);
}

/// Found by the fuzzer: sums of times that no clock shows.
#[test]
fn what_lasts_implausibly_long_is_left_out() {
    let mut lab = Lab::new();
    for role in [role::SERVER, role::CLIENT] {
        for start in [1, 2, 3] {
            let mut record = lab.exchange(role, start, 20, "GET /", "HTTP/1.1 200 ");
            record.response_last = u64::MAX - start;
            lab.flow(&record);
        }
    }
    lab.finish(1000);
    assert!(lab.seen.requests.is_empty() && lab.seen.calls.is_empty());
    assert_eq!(lab.engine.oddities().implausible, 6);
}
