use bytemuck::Zeroable as _;
use tracer_ebpf::record::{DATAGRAM_PREFIX, FlowRecord, PayloadRecord, flow_flag, kind, protocol, role};

use super::*;
use crate::{
    flow::address_bytes,
    proto::metadata::Step,
    request::{CallKind, What},
};

const MS: u64 = 1_000_000;
const SECOND: u64 = 1000 * MS;
/// Unix time at boot.
const EPOCH: u64 = 1_800_000_000 * SECOND;
const POD: u64 = 7;

/// A resolver whose pods are named after their cgroup.
struct Named;

impl Resolve for Named {
    fn resolve(&mut self, cgroup: u64) -> Resolved {
        Resolved { pod: Pod { uid: format!("pod-{cgroup}"), name: None }, known: true }
    }
}

#[derive(Default)]
struct Seen {
    requests: Vec<Request>,
    calls: Vec<(Call, Attribution)>,
    flows: Vec<FlowEvent>,
}

impl Observer for Seen {
    fn request(&mut self, request: &Request) {
        self.requests.push(request.clone());
    }

    fn call(&mut self, _: &Arc<Pod>, call: &Call, attribution: Attribution) {
        self.calls.push((call.clone(), attribution));
    }

    fn flow(&mut self, _: &Arc<Pod>, event: FlowEvent) {
        self.flows.push(event);
    }
}

struct Lab {
    engine: Engine<Named>,
    seen: Seen,
    flows: u64,
}

impl Lab {
    fn new() -> Self {
        Self {
            engine: Engine::new(Named, WallClock::new(0, EPOCH), Period::LastMinute),
            seen: Seen::default(),
            flows: 0,
        }
    }

    fn flow(&mut self, record: &FlowRecord) {
        self.engine.ingest(Record::Flow(record), &mut self.seen);
    }

    /// An exchange of the pod's thread 11, from `from` to `to` ms, on a flow of its own.
    fn exchange(&mut self, role: u8, from: u64, to: u64, request: &str, response: &str) -> FlowRecord {
        self.flows += 1;
        let mut record = FlowRecord {
            kind: kind::EXCHANGE,
            role,
            family: 4,
            protocol: protocol::HTTP1,
            local_port: 40000,
            remote_port: 80,
            exchange: 1,
            flow: self.flows,
            cgroup: POD,
            request_first: from * MS,
            request_last: from * MS,
            response_first: to * MS,
            response_last: to * MS,
            emitted: to * MS,
            thread: 11,
            process: 10,
            ..FlowRecord::zeroed()
        };
        record.request_prefix[..request.len()].copy_from_slice(request.as_bytes());
        record.request_prefix_length = u8::try_from(request.len()).unwrap();
        record.response_prefix[..response.len()].copy_from_slice(response.as_bytes());
        record.response_prefix_length = u8::try_from(response.len()).unwrap();
        record
    }

    /// A call for credentials that live `life` seconds from `from` on, answered at `to` ms.
    fn credentials(&mut self, from: u64, to: u64, life: u64) {
        let mut record = self.exchange(role::CLIENT, from, to, "GET /latest/meta-data/", "HTTP/1.1 200 OK");
        record.flags = flow_flag::METADATA;
        record.remote = address_bytes("169.254.169.254".parse().unwrap());
        let stamp = |ms: u64| {
            let ns = i128::from(EPOCH + ms * MS);
            jiff::Timestamp::from_nanosecond(ns).unwrap().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
        };
        let body = format!(
            "HTTP/1.1 200 OK\r\n\r\n{{\"LastUpdated\": \"{}\", \"SecretAccessKey\": \"canary\", \"Expiration\": \"{}\"}}",
            stamp(from),
            stamp(from + life * 1000)
        );
        self.payload(&record, 1, "GET /latest/meta-data/iam/security-credentials/role HTTP/1.1\r\n");
        self.payload(&record, 0, &body);
        self.flow(&record);
    }

    fn payload(&mut self, record: &FlowRecord, direction: u8, text: &str) {
        let mut payload =
            PayloadRecord { direction, exchange: 1, flow: record.flow, ..PayloadRecord::zeroed() };
        payload.payload_length = u32::try_from(text.len()).unwrap();
        payload.payload[..text.len()].copy_from_slice(text.as_bytes());
        self.engine.ingest(Record::Payload(&payload), &mut self.seen);
    }

    fn finish(&mut self, ms: u64) -> Vec<PodSummary> {
        self.engine.finish(ms * MS, &mut self.seen);
        self.engine.summary(ms * MS)
    }
}

/// Ten requests of 105 ms: 86 ms credentials, 18 ms elsewhere.
fn incident(life: u64) -> (Lab, Vec<PodSummary>) {
    let mut lab = Lab::new();
    for n in 0..10 {
        let t = 1000 + n * 200;
        lab.credentials(t, t + 86, life);
        let upstream = lab.exchange(role::CLIENT, t + 86, t + 104, "GET /items/_search", "HTTP/1.1 200 OK");
        lab.flow(&upstream);
        let request = lab.exchange(role::SERVER, t, t + 105, "GET /v1/items/1?key=canary", "HTTP/1.1 200 OK");
        lab.flow(&request);
    }
    let summary = lab.finish(4000);
    (lab, summary)
}

#[test]
fn the_metadata_incident_is_broken_down_and_named() {
    let (lab, summary) = incident(900);
    let [pod] = &summary[..] else { panic!("{summary:?}") };
    assert_eq!(pod.totals.requests, 10);
    assert_eq!(pod.totals.stages.values(), [0, 0, 0, 860 * MS, 180 * MS, 10 * MS, 0]);
    assert_eq!(pod.totals.attribution, [20, 0, 0, 0]);
    let [finding] = &pod.findings[..] else { panic!("{:?}", pod.findings) };
    assert_eq!(finding.id, "metadata-credentials");
    assert!(finding.explanation.contains("15 minutes"), "{}", finding.explanation);
    let path = lab.seen.requests[0].http.as_ref().and_then(|http| http.path().map(|path| path.to_string()));
    assert_eq!(path.as_deref(), Some("/v1/items/1"));
}

#[test]
fn credentials_that_outlive_the_threshold_are_no_finding() {
    let (lab, summary) = incident(6 * 3600);
    assert_eq!(summary[0].findings, []);
    let What::Metadata(metadata) = &lab.seen.calls[0].0.what else { panic!("{:?}", lab.seen.calls[0]) };
    assert_eq!((metadata.step, metadata.lifetime_seconds), (Step::Credentials, Some(6 * 3600)));
    assert!(metadata.what.ends_with("/security-credentials/role"), "the whole path, not the prefix");
}

#[test]
fn no_secret_is_in_what_the_engine_gives() {
    let (lab, summary) = incident(900);
    let everything = format!("{:?} {:?} {summary:?}", lab.seen.requests, lab.seen.calls);
    assert!(!everything.contains("canary"));
}

#[test]
fn the_id_in_an_ecs_path_is_not_shown() {
    let mut lab = Lab::new();
    let mut record = lab.exchange(role::CLIENT, 10, 20, "GET /v2/credentials/canary", "HTTP/1.1 200 OK");
    record.flags = flow_flag::METADATA;
    lab.flow(&record);
    lab.finish(1000);
    let What::Metadata(metadata) = &lab.seen.calls[0].0.what else { panic!("{:?}", lab.seen.calls[0]) };
    assert_eq!((metadata.step, metadata.what.as_str()), (Step::Credentials, "GET /v2/credentials/…"));
}

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
    dead.kind = kind::CLOSED;
    dead.updates = 2;
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
    assert!(lab.engine.summary(1000 * MS).is_empty(), "it enters no sum");
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

#[test]
fn pods_are_bounded() {
    let mut lab = Lab::new();
    for cgroup in 0..POD_LIMIT as u64 + 10 {
        let mut record = lab.exchange(role::SERVER, 10, 20, "GET /", "HTTP/1.1 200 OK");
        record.cgroup = cgroup;
        lab.flow(&record);
    }
    let summary = lab.finish(1000);
    assert_eq!(summary.len(), POD_LIMIT + 1);
    let other = summary.iter().find(|pod| pod.pod.uid == OVERFLOW_POD).unwrap();
    assert_eq!(other.totals.requests, 10);
}
