//! Calls and requests for the tests of findings, and what a rule makes of them.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use super::{
    kind::{Proves, Rule, Verdict},
    threshold::Thresholds as _,
    window::{Period, Window},
};
use crate::{
    flow::{Messages, Transport},
    pod::Pod,
    proto::{
        http::Http,
        lookup::Lookup,
        stream::{Head, Protocol},
    },
    request::{Attribution, Call, CallKind, Marks, Request, Stages, Thread, What, folded::Folded},
};

pub(super) const MS: u64 = 1_000_000;
pub(super) const SECOND: u64 = 1000 * MS;

/// A rule with its default thresholds and what it has seen in a minute.
pub(super) struct Case<R: Rule> {
    window: Window<R::Tally>,
    thresholds: R::Thresholds,
}

impl<R: Rule> Case<R> {
    pub(super) fn new() -> Self {
        Self { window: Window::new(Period::LastMinute), thresholds: R::Thresholds::of(&[]) }
    }

    pub(super) fn request(&mut self, request: &Request) {
        R::request(&mut self.window, request);
    }

    pub(super) fn folded(&mut self, folded: &Folded) {
        R::folded(&mut self.window, folded);
    }

    pub(super) fn call(&mut self, call: &Call, attribution: Attribution) -> Proves {
        R::call(&mut self.window, call, attribution, &self.thresholds)
    }

    pub(super) fn verdicts(&self) -> Vec<Verdict<R::Evidence>> {
        R::judge(&self.window.sum(SECOND), &self.thresholds)
    }

    /// What it says of these calls, at most once.
    pub(super) fn of(calls: &[Call]) -> Option<Verdict<R::Evidence>> {
        let mut case = Self::new();
        for call in calls {
            case.call(call, Attribution::Exclusive);
        }
        let mut verdicts = case.verdicts();
        assert!(verdicts.len() <= 1);
        verdicts.pop()
    }
}

pub(super) fn pod() -> Arc<Pod> {
    Arc::new(Pod { uid: "pod".to_owned(), name: None })
}

pub(super) fn address(last: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, last], port))
}

/// A call from `from` to `to` ms.
pub(super) fn call(kind: CallKind, what: What, peer: SocketAddr, from: u64, to: u64) -> Call {
    Call {
        kind,
        start: from * MS,
        end: to * MS,
        flow: 1,
        number: 1,
        local: address(2, 40_000),
        peer,
        peer_name: None,
        thread: Thread::default(),
        what,
        messages: Messages::default(),
        answered: true,
    }
}

/// A GET or the like, answered with 200.
pub(super) fn http(method: &'static str, path: &str) -> Http {
    let head = Head { method: Some(method), path: Some(path.into()), status: Some(200), ..Head::default() };
    Http::Head(Protocol::Http1, head)
}

/// A call of the server 10.0.0.6:443, whose answer of 200 bytes came at once, at `to` ms.
pub(super) fn upstream(http: Http, from: u64, to: u64) -> Call {
    let mut call = call(CallKind::Upstream, What::Http(http), address(6, 443), from, to);
    call.messages = Messages {
        request_first: call.start,
        request_last: call.start,
        response_first: call.end,
        response_last: call.end,
        request_bytes: 100,
        response_bytes: 200,
    };
    call
}

/// A gRPC call of the server 10.0.0.6:443.
pub(super) fn grpc(path: &str, from: u64, to: u64) -> Call {
    let head = Head {
        method: Some("POST"),
        path: Some(path.into()),
        status: Some(200),
        grpc_status: Some(0),
        timeout: None,
    };
    upstream(Http::Head(Protocol::Http2 { grpc: true }, head), from, to)
}

/// A lookup that was answered, by the server 10.0.0.53.
pub(super) fn lookup(lookup: Lookup, from: u64, to: u64) -> Call {
    Call { flow: 0, number: 0, ..call(CallKind::Dns, What::Dns(Box::new(lookup)), address(53, 53), from, to) }
}

/// A request of 100 ms, of which so many went to the metadata service.
pub(super) fn request(metadata: u64) -> Request {
    let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 80);
    Request {
        pod: pod(),
        flow: 2,
        number: 1,
        transport: Transport { local: address, peer: address, srtt_us: 0, retransmits: 0 },
        messages: Messages { request_first: MS, response_last: 101 * MS, ..Messages::default() },
        thread: Thread::default(),
        http: None,
        stages: Stages { metadata: metadata * MS, own: (100 - metadata) * MS, ..Stages::default() },
        calls: Vec::new(),
        marks: Marks::default(),
    }
}
