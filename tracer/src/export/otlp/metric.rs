//! The metrics of the Prometheus registry as OTLP metrics: the same names, labels, buckets and numbers.

use opentelemetry_proto::tonic::{
    common::v1::KeyValue,
    metrics::v1::{
        AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
        ResourceMetrics, ScopeMetrics, Sum, metric::Data, number_data_point::Value,
    },
    resource::v1::Resource,
};
use prometheus::proto::{LabelPair, MetricFamily, MetricType};

use super::{scope, text};

/// When what is counted began, and when it was read: Unix nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// The agent's start: counters grow from 0 since then.
    pub start: u64,
    /// Now.
    pub end: u64,
}

/// All families, as the metrics of one resource: the node.
#[must_use]
pub fn metrics(families: &[MetricFamily], node: Option<&str>, window: Window) -> ResourceMetrics {
    let metrics = families.iter().filter_map(|family| metric(family, window)).collect();
    let mut attributes = vec![text("service.name", "tracer")];
    attributes.extend(node.map(|node| text("k8s.node.name", node)));
    ResourceMetrics {
        resource: Some(Resource { attributes, ..Resource::default() }),
        scope_metrics: vec![ScopeMetrics { scope: Some(scope()), metrics, ..ScopeMetrics::default() }],
        ..ResourceMetrics::default()
    }
}

fn metric(family: &MetricFamily, window: Window) -> Option<Metric> {
    let points = family.get_metric().iter();
    let data = match family.get_field_type() {
        MetricType::COUNTER => {
            let points = points.map(|one| point(one.get_label(), one.get_counter().get_value(), window));
            Data::Sum(Sum {
                data_points: points.collect(),
                aggregation_temporality: AggregationTemporality::Cumulative.into(),
                is_monotonic: true,
            })
        }
        MetricType::GAUGE => {
            let points = points.map(|one| point(one.get_label(), one.get_gauge().get_value(), window));
            Data::Gauge(Gauge { data_points: points.collect() })
        }
        MetricType::HISTOGRAM => Data::Histogram(Histogram {
            data_points: points.map(|one| histogram(one.get_label(), one.get_histogram(), window)).collect(),
            aggregation_temporality: AggregationTemporality::Cumulative.into(),
        }),
        // tracer has none of these.
        MetricType::SUMMARY | MetricType::UNTYPED => return None,
    };
    let name = family.name().to_owned();
    let unit = if name.contains("_seconds") { "s" } else { "1" };
    let description = family.help().to_owned();
    Some(Metric { name, description, unit: unit.to_owned(), data: Some(data), ..Metric::default() })
}

fn point(labels: &[LabelPair], value: f64, window: Window) -> NumberDataPoint {
    NumberDataPoint {
        attributes: attributes(labels),
        start_time_unix_nano: window.start,
        time_unix_nano: window.end,
        value: Some(Value::AsDouble(value)),
        ..NumberDataPoint::default()
    }
}

/// Prometheus' buckets hold all below their bound, OTLP's what lies between two bounds.
fn histogram(
    labels: &[LabelPair],
    histogram: &prometheus::proto::Histogram,
    window: Window,
) -> HistogramDataPoint {
    let finite = histogram.get_bucket().iter().filter(|bucket| bucket.upper_bound().is_finite());
    let (mut bounds, mut counts, mut before) = (Vec::new(), Vec::new(), 0);
    for bucket in finite {
        bounds.push(bucket.upper_bound());
        counts.push(bucket.cumulative_count().saturating_sub(before));
        before = bucket.cumulative_count();
    }
    let count = histogram.get_sample_count();
    counts.push(count.saturating_sub(before));
    HistogramDataPoint {
        attributes: attributes(labels),
        start_time_unix_nano: window.start,
        time_unix_nano: window.end,
        count,
        sum: Some(histogram.get_sample_sum()),
        bucket_counts: counts,
        explicit_bounds: bounds,
        ..HistogramDataPoint::default()
    }
}

fn attributes(labels: &[LabelPair]) -> Vec<KeyValue> {
    labels.iter().map(|label| text(label.name(), label.value())).collect()
}

#[cfg(test)]
mod tests {
    use prometheus::{HistogramOpts, HistogramVec, IntCounter, Registry};

    use super::*;

    const WINDOW: Window = Window { start: 1, end: 9 };

    #[test]
    fn counters_are_sums_that_only_grow() {
        let registry = Registry::new();
        let counter = IntCounter::new("tracer_events_emitted_total", "Records made.").unwrap();
        registry.register(Box::new(counter.clone())).unwrap();
        counter.inc_by(7);
        let metrics = metrics(&registry.gather(), Some("node-1"), WINDOW);
        let metric = &metrics.scope_metrics[0].metrics[0];
        assert_eq!(
            (metric.name.as_str(), metric.description.as_str()),
            ("tracer_events_emitted_total", "Records made.")
        );
        let Some(Data::Sum(sum)) = &metric.data else { panic!("{metric:?}") };
        assert!(sum.is_monotonic);
        assert_eq!(sum.data_points[0].value, Some(Value::AsDouble(7.0)));
        assert_eq!((sum.data_points[0].start_time_unix_nano, sum.data_points[0].time_unix_nano), (1, 9));
    }

    #[test]
    fn buckets_hold_what_lies_between_two_bounds() {
        let registry = Registry::new();
        let options = HistogramOpts::new("tracer_request_duration_seconds", "Time.").buckets(vec![0.1, 1.0]);
        let family = HistogramVec::new(options, &["pod"]).unwrap();
        registry.register(Box::new(family.clone())).unwrap();
        for seconds in [0.05, 0.5, 0.6, 5.0] {
            family.with_label_values(&["web-0"]).observe(seconds);
        }
        let metrics = metrics(&registry.gather(), None, WINDOW);
        let metric = &metrics.scope_metrics[0].metrics[0];
        assert_eq!(metric.unit, "s");
        let Some(Data::Histogram(histogram)) = &metric.data else { panic!("{metric:?}") };
        let point = &histogram.data_points[0];
        assert_eq!(
            (point.explicit_bounds.clone(), point.bucket_counts.clone()),
            (vec![0.1, 1.0], vec![1, 2, 1])
        );
        assert_eq!((point.count, point.sum), (4, Some(6.15)));
        assert_eq!(point.attributes[0].key, "pod");
    }
}
