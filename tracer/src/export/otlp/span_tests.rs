use opentelemetry_proto::tonic::common::v1::any_value::Value;

use super::*;
use crate::export::fixture;

fn spans_of(request: &Request) -> Vec<Span> {
    let resource = spans(request, WallClock::UNIX, Seed(5), Some("node-1"));
    resource.scope_spans.into_iter().flat_map(|scope| scope.spans).collect()
}

fn attribute(span: &Span, key: &str) -> Option<Value> {
    span.attributes.iter().find(|attribute| attribute.key == key)?.value.clone()?.value
}

fn named<'a>(spans: &'a [Span], name: &str) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.name == name).collect()
}

#[test]
fn a_request_is_a_server_span_with_its_calls_and_stages_below_it() {
    let request = fixture::request();
    let spans = spans_of(&request);
    let server = &spans[0];
    assert_eq!((server.kind(), server.name.as_str()), (SpanKind::Server, "GET"));
    assert!(server.parent_span_id.is_empty());
    assert_eq!(server.end_time_unix_nano - server.start_time_unix_nano, request.total());
    for child in &spans[1..] {
        assert_eq!(child.parent_span_id, server.span_id, "{child:?}");
        assert_eq!(child.trace_id, server.trace_id);
        assert!(child.start_time_unix_nano >= server.start_time_unix_nano);
        assert!(child.end_time_unix_nano <= server.end_time_unix_nano);
    }
    let clients = spans.iter().filter(|span| span.kind() == SpanKind::Client).count();
    assert_eq!(clients, request.calls.len());
    assert_eq!(named(&spans, "metadata credentials").len(), 1);
    assert_eq!(named(&spans, "DNS lookup").len(), 1);
}

#[test]
fn the_server_span_says_how_long_each_stage_took() {
    let request = fixture::request();
    let server = spans_of(&request).swap_remove(0);
    let of = |stage: &str| match attribute(&server, &format!("tracer.stage.{stage}")) {
        Some(Value::DoubleValue(seconds)) => seconds,
        other => panic!("{stage}: {other:?}"),
    };
    let sum: f64 = Stages::NAMES.into_iter().map(of).sum();
    assert!((sum - std::time::Duration::from_nanos(request.total()).as_secs_f64()).abs() < 1e-9);
    assert!(of("metadata") > 0.08, "{}", of("metadata"));
}

#[test]
fn what_no_call_covers_are_spans_of_the_pod_itself() {
    let request = fixture::request();
    let spans = spans_of(&request);
    let length = |name: &str| -> u64 {
        named(&spans, name).iter().map(|span| span.end_time_unix_nano - span.start_time_unix_nano).sum()
    };
    assert_eq!(length("receive"), request.stages.receive);
    assert_eq!(length("send"), request.stages.send);
    assert!(length("self") <= request.stages.own, "a shared call leaves the rest of its time to `self`");
}

#[test]
fn no_query_string_leaves() {
    let spans = format!("{:?}", spans_of(&fixture::request()));
    assert!(!spans.contains("s3cr3t"), "{spans}");
}

#[test]
fn each_request_has_a_trace_of_its_own_and_the_same_each_time() {
    let request = fixture::request();
    let other = Request { number: request.number + 1, ..request.clone() };
    let trace = |request: &Request| spans_of(request).swap_remove(0).trace_id;
    assert_eq!(trace(&request), trace(&request));
    assert_ne!(trace(&request), trace(&other));
    let mut ids: Vec<_> = spans_of(&request).into_iter().map(|span| span.span_id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), spans_of(&request).len());
}

#[test]
fn an_unanswered_request_is_an_error() {
    let mut request = fixture::request();
    assert_eq!(spans_of(&request)[0].status, None);
    request.marks.set(Marks::UNANSWERED);
    let status = spans_of(&request).swap_remove(0).status;
    assert_eq!(status.map(|status| status.code()), Some(StatusCode::Error));
}

#[test]
fn the_resource_names_the_pod() {
    let spans = spans(&fixture::request(), WallClock::UNIX, Seed(5), Some("node-1"));
    let attributes = spans.resource.unwrap().attributes;
    let keys: Vec<_> = attributes.iter().map(|attribute| attribute.key.as_str()).collect();
    assert_eq!(keys, ["service.name", "k8s.namespace.name", "k8s.pod.name", "k8s.pod.uid", "k8s.node.name"]);
}
