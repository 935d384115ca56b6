//! One request of the metadata incident, for the exporters' tests.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use tracer_ebpf::record::{REQUEST_PREFIX, RESPONSE_PREFIX};

use crate::{
    finding::{Evidence, Finding, Severity, Value},
    flow::{Messages, Transport},
    pod::{Pod, PodName},
    proto::{
        http::Http,
        http1::Exchange,
        lookup::Lookup,
        metadata::{MetadataCall, Step},
    },
    request::{
        AttributedCall, Attribution, Call, CallKind, Marks, Request, Stages, Thread, What,
        folded::Folded,
        totals::{Accounting, PodSummary, Summary, Totals},
    },
};

/// When the request begins.
pub(crate) const T0: u64 = 1_000_000_000;

pub(crate) fn pod() -> Arc<Pod> {
    let name = PodName { namespace: "shop".into(), name: "backend-0".into(), workload: None };
    Arc::new(Pod { uid: "0b3f1c9e-5a7d-4c53-9d0e-2f4a6b8c0d1e".into(), name: Some(name) })
}

/// Two requests that the kernel added up, of 3 and 0.6 ms, all of it the pod's own time but for 0.1 ms.
pub(crate) fn folded() -> Folded {
    Folded {
        count: 2,
        first: T0,
        last: T0 + 4_000_000,
        longest: 3_000_000,
        stages: Stages { receive: 100_000, own: 3_500_000, ..Stages::default() },
        thread: Thread::default(),
        buckets: [0, 1, 0, 1, 0, 0, 0, 0, 0],
    }
}

pub(crate) fn unnamed_pod(uid: &str) -> Arc<Pod> {
    Arc::new(Pod { uid: uid.into(), name: None })
}

pub(crate) fn http(request: &str, response: &str) -> Exchange {
    fn prefix<const N: usize>(text: &str) -> ([u8; N], u8) {
        let mut bytes = [0; N];
        let length = text.len().min(N);
        bytes[..length].copy_from_slice(&text.as_bytes()[..length]);
        (bytes, u8::try_from(length).unwrap())
    }
    let (request, request_length) = prefix::<REQUEST_PREFIX>(request);
    let (response, response_length) = prefix::<RESPONSE_PREFIX>(response);
    Exchange::new(request, request_length, response, response_length)
}

pub(crate) fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A call that takes `duration` from `offset` after [`T0`] on.
pub(crate) fn call(kind: CallKind, offset: u64, duration: u64, peer: &str, what: What) -> Call {
    Call {
        kind,
        start: T0 + offset,
        end: T0 + offset + duration,
        flow: 8,
        number: 1,
        local: address("10.0.0.7:40000"),
        peer: address(peer),
        peer_name: None,
        thread: Thread { thread: 4, process: 3 },
        what,
        messages: Messages::default(),
        answered: true,
    }
}

pub(crate) fn metadata(step: Step, what: &str) -> What {
    What::Metadata(MetadataCall {
        step,
        what: what.into(),
        status: Some(200),
        token: Some(true),
        remaining_seconds: (step == Step::Credentials).then_some(893),
        lifetime_seconds: (step == Step::Credentials).then_some(900),
    })
}

pub(crate) fn lookup() -> What {
    What::Dns(Box::new(Lookup {
        name: "elastic.example.com".into(),
        queries: 8,
        over_tcp: 0,
        truncated: 0,
        wasted: 6,
        search_domains: vec!["shop.svc.cluster.local".into()],
        rcodes: vec![3, 3, 3, 3, 3, 3, 0, 0],
        answer_times: vec![1_000_000; 8],
        ..Lookup::default()
    }))
}

pub(crate) fn attributed(call: Call, attribution: Attribution, requests: u32) -> AttributedCall {
    AttributedCall { call: Arc::new(call), attribution, requests }
}

/// Four calls one after the other: 105.23 ms of which the metadata service takes 86.
pub(crate) fn calls() -> Vec<AttributedCall> {
    let role = metadata(Step::RoleList, "GET /latest/meta-data/iam/security-credentials/");
    let credentials =
        metadata(Step::Credentials, "GET /latest/meta-data/iam/security-credentials/backend-role");
    let search =
        What::Http(Http::Prefix(http("GET /items/_search?token=s3cr3t HTTP/1.1", "HTTP/1.1 200 OK")));
    vec![
        attributed(
            call(CallKind::Metadata, 400_000, 43_050_000, "169.254.169.254:80", role),
            Attribution::Thread,
            1,
        ),
        attributed(
            call(CallKind::Metadata, 43_500_000, 43_060_000, "169.254.169.254:80", credentials),
            Attribution::Thread,
            1,
        ),
        attributed(
            call(CallKind::Dns, 86_600_000, 150_000, "10.96.0.10:53", lookup()),
            Attribution::Shared,
            3,
        ),
        attributed(
            call(CallKind::Upstream, 86_800_000, 18_200_000, "10.0.1.9:9200", search),
            Attribution::Exclusive,
            1,
        ),
    ]
}

/// Request 17 of the lab.
pub(crate) fn request() -> Request {
    request_with(calls())
}

/// A request of 105.234567 ms with these calls.
pub(crate) fn request_with(calls: Vec<AttributedCall>) -> Request {
    let messages = Messages {
        request_first: T0,
        request_last: T0 + 12_345,
        response_first: T0 + 105_200_000,
        response_last: T0 + 105_234_567,
        request_bytes: 120,
        response_bytes: 4_000,
    };
    Request {
        pod: pod(),
        flow: 7,
        number: 2,
        transport: Transport {
            local: address("10.0.0.7:8080"),
            peer: address("10.0.0.1:50123"),
            srtt_us: 80,
            retransmits: 0,
        },
        messages,
        thread: Thread { thread: 4, process: 3 },
        http: Some(Http::Prefix(http("GET /v1/items/17?key=s3cr3t HTTP/1.1", "HTTP/1.1 200 OK"))),
        stages: Stages::of(&messages, &calls),
        calls,
        marks: Marks::default(),
    }
}

#[derive(Debug)]
struct Seen;

impl Evidence for Seen {
    fn values(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("calls_per_request", Value::Number(2.0)),
            ("lifetime_seconds", Value::Seconds(900.0)),
            ("share", Value::Share(0.8183)),
        ]
    }
}

pub(crate) fn finding() -> Finding {
    Finding {
        id: "metadata-credentials",
        severity: Severity::Critical,
        subject: pod(),
        destination: None,
        destination_name: None,
        since: T0,
        evidence: Arc::new(Seen),
        explanation:
            "Every request asks the metadata service for credentials: they live 900 s, and SDKs that \
                      refresh at 900 s or less never cache them."
                .into(),
        remedy: "Let the credentials live longer than the SDK's refresh threshold.".into(),
    }
}

/// The fixture's request, twice, as a summary.
pub(crate) fn summary() -> Summary {
    let mut totals = Totals::default();
    for _ in 0..2 {
        let request = request();
        totals.add_request(&request);
        for call in &request.calls {
            totals.add_call(call.call.kind, call.call.end - call.call.start, call.attribution);
        }
    }
    Summary {
        pods: vec![PodSummary { pod: pod(), totals, findings: vec![finding()] }],
        accounting: Accounting {
            emitted: 40,
            consumed: 40,
            dropped: BTreeMap::from([("ring-full", 0)]),
            oddities: BTreeMap::from([("late", 0)]),
        },
    }
}
