//! OTLP: breakdowns as spans, and the metrics, in the messages of `opentelemetry-proto`. Pure: what sends them lives in
//! `cli::agent`.

pub mod metric;
pub mod span;

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    resource::v1::Resource,
};

use crate::pod::Pod;

/// The pod as OpenTelemetry names it (semantic conventions, resource attributes `service.*` and `k8s.*`).
#[must_use]
pub fn resource(pod: &Pod, node: Option<&str>) -> Resource {
    let mut attributes = Vec::new();
    match &pod.name {
        Some(name) => {
            attributes.push(text("service.name", &name.name));
            attributes.push(text("k8s.namespace.name", &name.namespace));
            attributes.push(text("k8s.pod.name", &name.name));
        }
        None => attributes.push(text("service.name", &pod.uid)),
    }
    attributes.push(text("k8s.pod.uid", &pod.uid));
    attributes.extend(node.map(|node| text("k8s.node.name", node)));
    Resource { attributes, ..Resource::default() }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "tracer".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

fn number(key: &str, value: impl Into<i64>) -> KeyValue {
    attribute(key, Value::IntValue(value.into()))
}

fn seconds(key: &str, nanoseconds: u64) -> KeyValue {
    attribute(key, Value::DoubleValue(std::time::Duration::from_nanos(nanoseconds).as_secs_f64()))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}
