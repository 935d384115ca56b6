use std::net::Ipv4Addr;

use bytemuck::Zeroable as _;
use tracer_ebpf::record::{protocol, role};

use super::*;
use crate::{
    flow::{Messages, address_bytes},
    proto::{http::Http, stream},
    request::{CallKind, Thread, pod::Key},
};

const SECOND: u64 = 1_000_000_000;
const MS: u64 = 1_000_000;
const FLOW: u64 = 7;

fn server() -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 9], 50051))
}

fn record(kind: u8, flow: u64, time: u64) -> FlowRecord {
    FlowRecord {
        kind,
        role: role::CLIENT,
        family: 4,
        protocol: protocol::HTTP2,
        flow,
        local: address_bytes(Ipv4Addr::new(10, 0, 0, 1).into()),
        remote: address_bytes(server().ip()),
        local_port: 40_000,
        remote_port: server().port(),
        opened: time,
        emitted: time,
        ..FlowRecord::zeroed()
    }
}

/// A record of the flow that is established from the start.
fn of_flow(kind: u8, time: u64) -> FlowRecord {
    FlowRecord { opened: 1, established: 2, ..record(kind, FLOW, time) }
}

/// A pod's calls and servers.
#[derive(Default)]
struct Case {
    tracker: PodTracker,
    peers: Peers,
    told: Vec<Outage>,
}

impl Case {
    fn take(&mut self, record: &FlowRecord) {
        self.peers.record(record, &self.tracker);
    }

    /// A gRPC call that waits, and whose caller waits six seconds.
    fn call(&mut self, number: u32, start: u64) -> Call {
        let head = stream::Head { timeout: Some(6 * SECOND), ..stream::Head::default() };
        let call = Call {
            kind: CallKind::Upstream,
            start,
            end: start,
            flow: FLOW,
            number,
            local: SocketAddr::from(([10, 0, 0, 1], 40_000)),
            peer: server(),
            peer_name: None,
            thread: Thread::default(),
            what: What::Http(Http::Head(stream::Protocol::Http2 { grpc: true }, head)),
            answered: false,
            messages: Messages::default(),
        };
        self.tracker.call(Key { first: start, flow: FLOW, number }, call.clone(), true, start, 0);
        call
    }

    fn advance(&mut self, now: u64) {
        self.peers.advance(now, &self.tracker, &mut |outage| self.told.push(outage.clone()));
    }

    fn newest(&self) -> &Outage {
        self.told.last().expect("an outage")
    }
}

/// A call from 1 s on, and retransmissions of it.
fn hanging() -> Case {
    let mut case = Case::default();
    case.take(&of_flow(kind::OPENED, 2));
    case.call(5, SECOND);
    for after in [700, 1500, 3100] {
        case.take(&of_flow(kind::SILENT, SECOND + after * MS));
    }
    case
}

#[test]
fn a_call_hangs_as_long_as_nothing_is_acknowledged() {
    let mut case = hanging();
    case.advance(4 * SECOND + 200 * MS);
    let outage = case.newest();
    assert_eq!((outage.calls, outage.longest_call), (1, 3200 * MS));
    assert_eq!(outage.retransmissions, [700 * MS, 1500 * MS, 3100 * MS]);
    assert_eq!((outage.place.flow, outage.place.number), (FLOW, 5));
    case.advance(4 * SECOND + 300 * MS);
    assert_eq!(case.told.len(), 1, "once a second");
    case.advance(20 * SECOND);
    assert_eq!(case.newest().longest_call, 6 * SECOND, "its caller has gone");
    assert_eq!(case.newest().length(), 19 * SECOND);
}

#[test]
fn the_hang_ends_with_the_connection() {
    for rest in [[kind::CLOSED, kind::CLOSED], [kind::ABANDONED, kind::SILENT]] {
        let mut case = hanging();
        case.take(&of_flow(rest[0], 5 * SECOND));
        case.take(&of_flow(rest[1], 7 * SECOND));
        case.advance(10 * SECOND);
        assert_eq!((case.newest().longest_call, case.newest().until), (4 * SECOND, 5 * SECOND));
        case.advance(80 * SECOND);
        assert_eq!((case.told.len(), case.peers.troubled), (1, 0));
    }
}

/// A capture does not see that the connection is closed.
#[test]
fn who_connects_again_has_given_up_unless_the_kernel_goes_on() {
    let mut case = hanging();
    case.take(&record(kind::SILENT, 8, 4500 * MS));
    case.advance(10 * SECOND);
    assert_eq!(case.newest().longest_call, 3500 * MS);
    case.take(&of_flow(kind::SILENT, 11 * SECOND));
    case.advance(12 * SECOND);
    assert_eq!(case.newest().longest_call, 6 * SECOND);
}

/// The kernel keeps what was closed until it gives up sending the rest.
#[test]
fn who_connects_again_before_the_kernel_closes_has_given_up_then() {
    let mut case = hanging();
    case.take(&of_flow(kind::CLOSED, 5500 * MS));
    case.take(&FlowRecord { emitted: 5500 * MS, ..record(kind::SILENT, 8, 4500 * MS) });
    case.advance(10 * SECOND);
    assert_eq!(case.newest().longest_call, 3500 * MS);
}

#[test]
fn an_acknowledgment_ends_it() {
    let mut case = hanging();
    case.take(&of_flow(kind::HEARD, 4200 * MS));
    case.advance(10 * SECOND);
    assert!(case.told.is_empty() && case.peers.troubled == 0);
}

/// A watch that has been open for an hour is not what hangs for an hour.
#[test]
fn a_stream_waits_from_the_silence_on() {
    let mut case = Case::default();
    let hour = 3600 * SECOND;
    let mut call = case.call(1, SECOND);
    call.what = What::Opaque;
    case.tracker.call(Key { first: SECOND, flow: FLOW, number: 1 }, call, true, SECOND, 1);
    case.take(&of_flow(kind::SILENT, hour));
    case.advance(hour + 4 * SECOND);
    assert_eq!(case.newest().longest_call, 4 * SECOND);
}

#[test]
fn connects_that_fail_are_an_outage_until_one_succeeds() {
    let mut case = Case::default();
    case.take(&of_flow(kind::OPENED, 2));
    case.peers.goaway(server(), 3);
    for second in 1..=6 {
        let failed = record(kind::CONNECT_FAILED, 10 + second, second * SECOND);
        let refused = if second < 3 { flow_flag::RESET_IN } else { 0 };
        case.take(&FlowRecord { flags: refused, opened: failed.opened - MS, ..failed });
    }
    case.advance(7 * SECOND);
    let outage = case.newest();
    assert_eq!((outage.connects, outage.refused, outage.goaway, outage.was_there), (6, 2, true, true));
    assert_eq!((outage.since, outage.until, outage.longest_connect), (999 * MS, 6 * SECOND, MS));
    let opened = record(kind::OPENED, 20, 8 * SECOND);
    case.take(&FlowRecord { established: 8 * SECOND, ..opened });
    case.advance(20 * SECOND);
    assert_eq!((case.told.len(), case.peers.troubled), (1, 0));
}

#[test]
fn a_server_that_was_never_there_is_not_said_to_have_been() {
    let mut case = Case::default();
    case.take(&record(kind::CONNECT_FAILED, 10, SECOND));
    case.advance(2 * SECOND);
    assert!(!case.newest().was_there && !case.newest().goaway);
}

#[test]
fn servers_are_bounded_and_those_in_trouble_stay() {
    let mut case = hanging();
    for last in 0..2 * PEER_LIMIT {
        let port = u16::try_from(last + 1).unwrap();
        case.take(&FlowRecord { remote_port: port, established: 3, ..record(kind::OPENED, 100, SECOND) });
    }
    assert_eq!(case.peers.servers.len(), PEER_LIMIT);
    case.advance(5 * SECOND);
    assert_eq!(case.newest().calls, 1);
}
