//! Takes what an OpenTelemetry collector passes on, and writes it down.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value as Any};
use opentelemetry_proto::tonic::metrics::v1::{Metric, metric::Data, number_data_point};
use opentelemetry_proto::tonic::trace::v1::Span;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tonic::codec::CompressionEncoding;
use tonic::{Request, Response, Status};

use crate::log::Log;

/// Flags of the receiver.
#[derive(Args)]
pub struct Receiver {
    /// Where it listens
    #[arg(long)]
    listen: SocketAddr,
    /// What it got, a line per span and per point of a metric
    #[arg(long)]
    log: PathBuf,
    /// File for every field of what it got, an export after the other
    #[arg(long)]
    fields: Option<PathBuf>,
}

/// What came.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// A span.
    Span(SpanLine),
    /// A point of a metric.
    Point(PointLine),
}

/// A span, ids in hexadecimal digits.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SpanLine {
    /// What the resource is.
    pub resource: BTreeMap<String, Value>,
    /// Of the span.
    pub name: String,
    /// 1 internal, 2 server, 3 client.
    pub kind: i32,
    /// The trace's id.
    pub trace: String,
    /// Its own id.
    pub span: String,
    /// Its parent's id; empty for none.
    pub parent: String,
    /// Unix nanoseconds.
    pub start: u64,
    /// Unix nanoseconds.
    pub end: u64,
    /// What it says.
    pub attributes: BTreeMap<String, Value>,
}

/// A point: a number, or a histogram's count and sum.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PointLine {
    /// The metric's name.
    pub name: String,
    /// The point's labels.
    pub attributes: BTreeMap<String, Value>,
    /// The number, or the sum.
    pub value: f64,
    /// Of a histogram.
    pub count: Option<u64>,
}

impl Receiver {
    /// Serves until it is killed.
    pub fn run(&self) -> Result<()> {
        let fields = self.fields.as_deref().map(Log::create).transpose()?;
        let sink = Arc::new(Sink { log: Log::create(&self.log)?, fields });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        // Collectors compress.
        let traces = TraceServiceServer::from_arc(Arc::clone(&sink));
        let traces = traces.accept_compressed(CompressionEncoding::Gzip);
        let metrics = MetricsServiceServer::from_arc(sink).accept_compressed(CompressionEncoding::Gzip);
        let served = runtime.block_on(
            tonic::transport::Server::builder().add_service(traces).add_service(metrics).serve(self.listen),
        );
        served.with_context(|| format!("serve on {}", self.listen))
    }
}

struct Sink {
    log: Log,
    fields: Option<Log>,
}

impl Sink {
    fn keep(&self, export: &impl Debug) {
        if let Some(fields) = &self.fields {
            fields.write(&format!("{export:?}"));
        }
    }
}

#[tonic::async_trait]
impl TraceService for Sink {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.keep(request.get_ref());
        for part in request.into_inner().resource_spans {
            let resource = map(&part.resource.unwrap_or_default().attributes);
            for span in part.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                self.log.write(&Line::Span(of_span(&resource, span)));
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Sink {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.keep(request.get_ref());
        let parts = request.into_inner().resource_metrics.into_iter();
        let scopes = parts.flat_map(|part| part.scope_metrics);
        for point in scopes.flat_map(|scope| scope.metrics).flat_map(|metric| points(&metric)) {
            self.log.write(&Line::Point(point));
        }
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

fn of_span(resource: &BTreeMap<String, Value>, span: Span) -> SpanLine {
    SpanLine {
        resource: resource.clone(),
        name: span.name,
        kind: span.kind,
        trace: hex(&span.trace_id),
        span: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        start: span.start_time_unix_nano,
        end: span.end_time_unix_nano,
        attributes: map(&span.attributes),
    }
}

fn points(metric: &Metric) -> Vec<PointLine> {
    let point = |attributes: &[KeyValue], value, count| PointLine {
        name: metric.name.clone(),
        attributes: map(attributes),
        value,
        count,
    };
    let number = |points: &[opentelemetry_proto::tonic::metrics::v1::NumberDataPoint]| {
        points
            .iter()
            .filter_map(|one| match one.value {
                Some(number_data_point::Value::AsDouble(value)) => Some(point(&one.attributes, value, None)),
                _ => None,
            })
            .collect()
    };
    match &metric.data {
        Some(Data::Sum(sum)) => number(&sum.data_points),
        Some(Data::Gauge(gauge)) => number(&gauge.data_points),
        Some(Data::Histogram(histogram)) => {
            let points = histogram.data_points.iter();
            points.map(|one| point(&one.attributes, one.sum.unwrap_or_default(), Some(one.count))).collect()
        }
        _ => Vec::new(),
    }
}

fn map(attributes: &[KeyValue]) -> BTreeMap<String, Value> {
    let pair = |attribute: &KeyValue| {
        let value = match attribute.value.clone()?.value? {
            Any::StringValue(text) => Value::from(text),
            Any::IntValue(number) => Value::from(number),
            Any::DoubleValue(number) => Value::from(number),
            Any::BoolValue(truth) => Value::from(truth),
            _ => return None,
        };
        Some((attribute.key.clone(), value))
    };
    attributes.iter().filter_map(pair).collect()
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}
