//! A settled request as spans: the server span, and below it a span per call and per stage of the pod's own.

use opentelemetry_proto::tonic::{
    common::v1::KeyValue,
    trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span::SpanKind, status::StatusCode},
};

use super::{number, resource, scope, seconds, text};
use crate::{
    clock::WallClock,
    export::text as words,
    proto::http::Http,
    request::{AttributedCall, Call, CallKind, Marks, Request, Stages, What},
};

/// Calls that become spans; a request with more says how many it had.
pub const CALL_LIMIT: usize = 128;

/// The bits of the W3C trace flags: sampled.
const SAMPLED: u32 = 1;

/// Where identities of traces come from: chosen once per process, so that two nodes never share one.
#[derive(Clone, Copy, Debug)]
pub struct Seed(pub u64);

/// A request and all below it, as one resource's spans.
///
/// The children of the server span are the calls (kind client), and `receive`, `send` and each piece of `self` (kind
/// internal). All times are those of the breakdown; a call that several requests share says its share.
#[must_use]
pub fn spans(request: &Request, clock: WallClock, seed: Seed, node: Option<&str>) -> ResourceSpans {
    let ids = Ids::of(request, seed);
    let mut spans = vec![server(request, clock, ids)];
    let calls = request.calls.iter().take(CALL_LIMIT);
    spans.extend(calls.enumerate().map(|(place, call)| client(call, clock, ids, place)));
    spans.extend(own(request).into_iter().enumerate().map(|(place, piece)| piece.span(clock, ids, place)));
    ResourceSpans {
        resource: Some(resource(&request.pod, node)),
        scope_spans: vec![ScopeSpans { scope: Some(scope()), spans, ..ScopeSpans::default() }],
        ..ResourceSpans::default()
    }
}

/// Identities of one request's spans: the same for the same request, seed and place.
#[derive(Clone, Copy)]
struct Ids {
    base: u64,
}

/// Places of spans: the server's, of calls from 1 on, of the pod's own stages behind those.
const SERVER: usize = 0;
const CALLS: usize = 1;
const OWN: usize = CALLS + CALL_LIMIT;

impl Ids {
    fn of(request: &Request, Seed(seed): Seed) -> Self {
        Self { base: mix(mix(seed ^ request.flow) ^ u64::from(request.number)) }
    }

    /// Sixteen bytes, never all zero (W3C Trace Context, section 3.2.2.3).
    fn trace(self) -> Vec<u8> {
        [mix(self.base ^ 1) | 1, mix(self.base ^ 2)].into_iter().flat_map(u64::to_be_bytes).collect()
    }

    /// Eight bytes, never all zero.
    fn span(self, place: usize) -> Vec<u8> {
        (mix(self.base.wrapping_add(3).wrapping_add(place as u64)) | 1).to_be_bytes().to_vec()
    }
}

/// A bijection whose results look random (splitmix64, Steele et al. 2014).
fn mix(value: u64) -> u64 {
    let mut value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

fn server(request: &Request, clock: WallClock, ids: Ids) -> Span {
    let http = request.http.as_ref();
    let start = request.messages.request_first;
    let mut attributes = vec![
        text("server.address", &request.transport.local.ip().to_string()),
        number("server.port", request.transport.local.port()),
        text("client.address", &request.transport.peer.ip().to_string()),
        number("client.port", request.transport.peer.port()),
    ];
    attributes.extend(http.into_iter().flat_map(of_http));
    let stages = Stages::NAMES.into_iter().zip(request.stages.values());
    attributes.extend(stages.map(|(name, time)| seconds(&format!("tracer.stage.{name}"), time)));
    let marks: Vec<_> = request.marks.names().collect();
    if !marks.is_empty() {
        attributes.push(text("tracer.marks", &marks.join(",")));
    }
    let hidden = request.calls.len().saturating_sub(CALL_LIMIT);
    if hidden > 0 {
        attributes.push(number("tracer.calls_cut", u32::try_from(hidden).unwrap_or(u32::MAX)));
    }
    let name = http.and_then(Http::method).unwrap_or("exchange").to_owned();
    let failed = request.marks.has(Marks::UNANSWERED) || http.is_some_and(has_failed_as_server);
    Span {
        parent_span_id: Vec::new(),
        status: status(failed),
        ..span(name, SpanKind::Server, attributes, Times::new(start, request.total(), clock), ids, SERVER)
    }
}

fn client(one: &AttributedCall, clock: WallClock, ids: Ids, place: usize) -> Span {
    let call = &one.call;
    let mut attributes = vec![
        text("server.address", &call.peer.ip().to_string()),
        number("server.port", call.peer.port()),
        text("tracer.stage", call.kind.name()),
        text("tracer.attribution", one.attribution.name()),
    ];
    if one.requests > 1 {
        attributes.push(number("tracer.shared_by", one.requests));
    }
    attributes.extend(of_call(call));
    let times = Times::new(call.start, call.end.saturating_sub(call.start), clock);
    let failed = !call.answered || matches!(&call.what, What::Http(http) if has_failed_as_client(http));
    let span = span(name_of(call), SpanKind::Client, attributes, times, ids, CALLS + place);
    Span { status: status(failed), ..span }
}

/// Low in number, as span names are to be: never a path or a host.
fn name_of(call: &Call) -> String {
    match (&call.what, call.kind) {
        (What::Dns(_), _) => "DNS lookup".to_owned(),
        (What::Connect { .. }, _) => "connect".to_owned(),
        (What::Tls { .. }, _) => "TLS handshake".to_owned(),
        (What::Metadata(metadata), _) => format!("metadata {}", metadata.step.name()),
        (What::Http(http), _) => http.method().unwrap_or("exchange").to_owned(),
        (What::Opaque, CallKind::Metadata) => "metadata".to_owned(),
        (What::Opaque, _) => "exchange".to_owned(),
    }
}

fn of_call(call: &Call) -> Vec<KeyValue> {
    match &call.what {
        What::Dns(lookup) => vec![
            text("dns.question.name", &words::printable(&lookup.name)),
            number("tracer.dns.queries", lookup.queries),
            number("tracer.dns.wasted_queries", lookup.wasted),
        ],
        What::Connect { syns, .. } => vec![number("tracer.tcp.syns", *syns)],
        What::Tls { server_name } => {
            server_name.iter().map(|name| text("tls.server_name", &words::printable(name))).collect()
        }
        What::Metadata(metadata) => {
            let what = words::printable(&metadata.what);
            let status = metadata.status.map(|status| number("http.response.status_code", status));
            [text("tracer.metadata.request", &what)].into_iter().chain(status).collect()
        }
        What::Http(http) => of_http(http).collect(),
        What::Opaque => Vec::new(),
    }
}

/// Method, path without its query, status: what every output shows.
fn of_http(http: &Http) -> impl Iterator<Item = KeyValue> {
    let method = http.method().map(|method| text("http.request.method", &words::printable(method)));
    let path = http.path().map(|path| text("url.path", &words::printable(&path.to_string())));
    let status = http.status().map(|status| number("http.response.status_code", status));
    let grpc = http.grpc_status().map(|status| number("rpc.grpc.status_code", status));
    [method, path, status, grpc].into_iter().flatten()
}

/// OpenTelemetry's semantic conventions: of a server 5xx is an error, of a client 4xx too; of gRPC servers the codes that
/// the server is to blame for.
fn has_failed_as_server(http: &Http) -> bool {
    let grpc = http.grpc_status().is_some_and(|status| matches!(status, 2 | 4 | 12 | 13 | 14 | 15));
    grpc || http.status().is_some_and(|status| status >= 500)
}

fn has_failed_as_client(http: &Http) -> bool {
    http.grpc_status().is_some_and(|status| status != 0) || http.status().is_some_and(|status| status >= 400)
}

fn status(failed: bool) -> Option<Status> {
    failed.then(|| Status { code: StatusCode::Error.into(), message: String::new() })
}

/// A piece of time in which the pod itself was busy, or its peer.
struct Piece {
    stage: &'static str,
    start: u64,
    end: u64,
}

impl Piece {
    fn span(&self, clock: WallClock, ids: Ids, place: usize) -> Span {
        let times = Times::new(self.start, self.end.saturating_sub(self.start), clock);
        let attributes = vec![text("tracer.stage", self.stage)];
        span(self.stage.to_owned(), SpanKind::Internal, attributes, times, ids, OWN + place)
    }
}

/// `receive`, the gaps between the calls, `send`; none of no length.
fn own(request: &Request) -> Vec<Piece> {
    let t0 = request.messages.request_first;
    let t1 = t0.saturating_add(request.stages.receive);
    let t3 = t0.saturating_add(request.total());
    let t2 = t3.saturating_sub(request.stages.send).max(t1);
    let mut pieces = vec![Piece { stage: "receive", start: t0, end: t1 }];
    let mut at = t1;
    for call in &request.calls {
        pieces.push(Piece { stage: "self", start: at, end: call.call.start.min(t2) });
        at = at.max(call.call.end);
    }
    pieces.push(Piece { stage: "self", start: at, end: t2 });
    pieces.push(Piece { stage: "send", start: t2, end: t3 });
    pieces.retain(|piece| piece.end > piece.start);
    pieces.truncate(CALL_LIMIT);
    pieces
}

/// Unix nanoseconds.
#[derive(Clone, Copy)]
struct Times {
    start: u64,
    end: u64,
}

impl Times {
    fn new(start: u64, duration: u64, clock: WallClock) -> Self {
        let start = clock.unix_ns(start);
        Self { start, end: start.saturating_add(duration) }
    }
}

fn span(
    name: String,
    kind: SpanKind,
    attributes: Vec<KeyValue>,
    times: Times,
    ids: Ids,
    place: usize,
) -> Span {
    Span {
        trace_id: ids.trace(),
        span_id: ids.span(place),
        parent_span_id: ids.span(SERVER),
        flags: SAMPLED,
        name,
        kind: kind.into(),
        start_time_unix_nano: times.start,
        end_time_unix_nano: times.end,
        attributes,
        ..Span::default()
    }
}

#[cfg(test)]
#[path = "span_tests.rs"]
mod tests;
