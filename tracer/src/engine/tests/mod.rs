mod dns;
mod findings;
mod flows;
mod folded;
mod gone;
mod incident;
mod names;

use bytemuck::Zeroable as _;
use tracer_ebpf::record::{DATAGRAM_PREFIX, FlowRecord, PayloadRecord, flow_flag, kind, protocol, role};

use super::*;
use crate::{
    finding::Period,
    flow::address_bytes,
    proto::metadata::Step,
    request::{CallKind, Stages, What, folded::Folded},
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
    folded: u64,
    calls: Vec<(Call, Attribution)>,
    flows: Vec<FlowEvent>,
    findings: Vec<String>,
}

impl Observer for Seen {
    fn request(&mut self, request: &Request) {
        self.requests.push(request.clone());
    }

    fn folded(&mut self, _: &Arc<Pod>, folded: &Folded) {
        self.folded += folded.count;
    }

    fn call(&mut self, _: &Arc<Pod>, call: &Call, attribution: Attribution) {
        self.calls.push((call.clone(), attribution));
    }

    fn flow(&mut self, _: &Arc<Pod>, event: FlowEvent) {
        self.flows.push(event);
    }

    fn finding(&mut self, event: &Event<'_>) {
        self.findings.push(match event {
            Event::Opened(finding) => format!("opened {}", finding.id),
            Event::Closed(finding) => format!("closed {}", finding.id),
            Event::Evidence(finding, call) => {
                format!("evidence for {} at {} ms", finding.id, call.start / MS)
            }
        });
    }

    fn gone(&mut self, _: &Arc<Pod>) {}

    fn renamed(&mut self, _: &Arc<Pod>, _: &Arc<Pod>) {}
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
        self.engine.summary()
    }
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
