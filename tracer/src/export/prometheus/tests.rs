use std::{collections::BTreeMap, io::Write as _, process::Stdio};

use super::*;
use crate::{
    export::fixture,
    pod::{directory::Source, source::Resource},
    request::{CallKind, What},
};

/// Metrics of the fixture's request and everything else that can be counted.
pub(super) fn metrics() -> Metrics {
    let mut metrics = Metrics::new(POD_LIMIT).unwrap();
    let request = fixture::request();
    metrics.settled(&request);
    for call in &request.calls {
        metrics.call(&request.pod, &call.call, call.attribution);
    }
    metrics.tcp_connect(&request.pod, ConnectResult::Established, 300_000);
    metrics.tcp_connect(&request.pod, ConnectResult::Refused, 100_000);
    metrics.tcp_reset(&request.pod, ResetBy::Peer);
    metrics.tcp_retransmits(&request.pod, 2);
    metrics.tcp_round_trip(&request.pod, 80);
    metrics.tcp_round_trip(&request.pod, 0);
    metrics.finding(&request.pod, "metadata-credentials", true);
    metrics.finding(&request.pod, "dns-search", false);
    metrics.accounting(&accounting(12, 9));
    metrics.exported("spans", "sent", 8);
    metrics.naming(&Status {
        resources: vec![(Resource::Pods, true)],
        pods: vec![(Source::Kubernetes, 12)],
        ..Status::default()
    });
    metrics.program("tracer_ingress", 1_500_000_000, 1_000_000);
    metrics
}

fn accounting(emitted: u64, consumed: u64) -> Accounting {
    let dropped = BTreeMap::from([("ring-full", 3)]);
    Accounting { emitted, consumed, dropped, oddities: BTreeMap::from([("late", 0), ("unanswered", 4)]) }
}

fn text(metrics: &mut Metrics) -> String {
    metrics.render().unwrap()
}

/// The value of the series whose line begins so.
fn sample(text: &str, series: &str) -> f64 {
    let line =
        text.lines().find_map(|line| line.strip_prefix(series)).unwrap_or_else(|| panic!("no {series}"));
    line.trim().parse().unwrap()
}

const POD: &str = r#"namespace="shop",pod="backend-0""#;

#[test]
fn a_request_shows_in_its_series() {
    let text = text(&mut metrics());
    for (series, expected) in [
        (format!(r#"tracer_request_duration_seconds_count{{{POD},workload=""}}"#), 1.0),
        (format!(r#"tracer_request_duration_seconds_bucket{{{POD},workload="",le="0.1"}}"#), 0.0),
        (format!(r#"tracer_request_duration_seconds_bucket{{{POD},workload="",le="0.25"}}"#), 1.0),
        (format!(r#"tracer_request_stage_seconds_total{{{POD},stage="metadata",workload=""}}"#), 0.086_11),
        (format!(r#"tracer_request_stage_seconds_total{{{POD},stage="connect",workload=""}}"#), 0.0),
        (format!(r#"tracer_requests_total{{attribution="shared",{POD},workload=""}}"#), 1.0),
        (format!(r#"tracer_requests_total{{attribution="none",{POD},workload=""}}"#), 0.0),
        (format!(r#"tracer_calls_total{{attribution="thread",{POD},workload=""}}"#), 2.0),
        (format!(r#"tracer_call_duration_seconds_count{{kind="metadata",{POD},workload=""}}"#), 2.0),
        (format!(r#"tracer_dns_lookup_duration_seconds_sum{{{POD},workload=""}}"#), 0.000_15),
        (format!(r#"tracer_dns_queries_total{{{POD},rcode="NXDOMAIN",workload=""}}"#), 6.0),
        (format!(r#"tracer_dns_queries_total{{{POD},rcode="TIMEOUT",workload=""}}"#), 0.0),
        (format!(r#"tracer_dns_wasted_queries_total{{{POD},workload=""}}"#), 6.0),
        (format!(r#"tracer_dns_truncated_answers_total{{{POD},workload=""}}"#), 0.0),
        (format!(r#"tracer_metadata_calls_total{{{POD},step="credentials",workload=""}}"#), 1.0),
        (
            format!(r#"tracer_metadata_call_duration_seconds_sum{{{POD},step="credentials",workload=""}}"#),
            0.043_06,
        ),
        (format!(r#"tracer_metadata_credentials_remaining_seconds{{{POD},workload=""}}"#), 893.0),
        (format!(r#"tracer_tcp_connects_total{{{POD},result="refused",workload=""}}"#), 1.0),
        (format!(r#"tracer_tcp_connect_duration_seconds_count{{{POD},workload=""}}"#), 1.0),
        (format!(r#"tracer_tcp_resets_total{{by="peer",{POD},workload=""}}"#), 1.0),
        (format!(r#"tracer_tcp_retransmits_total{{{POD},workload=""}}"#), 2.0),
        (format!(r#"tracer_tcp_srtt_seconds_count{{{POD},workload=""}}"#), 1.0),
        (format!(r#"tracer_finding_active{{finding="dns-search",{POD},workload=""}}"#), 0.0),
        (format!(r#"tracer_finding_active{{finding="metadata-credentials",{POD},workload=""}}"#), 1.0),
        ("tracer_events_emitted_total".to_owned(), 12.0),
        (r#"tracer_events_dropped_total{reason="ring-full"}"#.to_owned(), 3.0),
        (r#"tracer_oddities_total{kind="unanswered"}"#.to_owned(), 4.0),
        (r#"tracer_oddities_total{kind="late"}"#.to_owned(), 0.0),
        (r#"tracer_bpf_program_run_seconds_total{program="tracer_ingress"}"#.to_owned(), 1.5),
        (r#"tracer_bpf_program_runs_total{program="tracer_ingress"}"#.to_owned(), 1e6),
        (format!(r#"tracer_build_info{{version="{}"}}"#, env!("CARGO_PKG_VERSION")), 1.0),
        ("tracer_metrics_overflow_total".to_owned(), 0.0),
    ] {
        let found = sample(&text, &series);
        assert!((found - expected).abs() < 1e-12, "{series} {found}");
    }
}

#[test]
fn requests_that_the_kernel_added_up_count_like_others() {
    let mut metrics = metrics();
    metrics.folded(&fixture::pod(), &fixture::folded());
    let text = text(&mut metrics);
    for (series, expected) in [
        (format!(r#"tracer_request_duration_seconds_count{{{POD},workload=""}}"#), 3.0),
        (format!(r#"tracer_request_duration_seconds_sum{{{POD},workload=""}}"#), 0.108_834_567),
        (format!(r#"tracer_request_duration_seconds_bucket{{{POD},workload="",le="0.0005"}}"#), 0.0),
        (format!(r#"tracer_request_duration_seconds_bucket{{{POD},workload="",le="0.001"}}"#), 1.0),
        (format!(r#"tracer_request_duration_seconds_bucket{{{POD},workload="",le="0.0025"}}"#), 1.0),
        (format!(r#"tracer_request_duration_seconds_bucket{{{POD},workload="",le="0.005"}}"#), 2.0),
        (format!(r#"tracer_requests_total{{attribution="none",{POD},workload=""}}"#), 2.0),
        (format!(r#"tracer_requests_folded_total{{{POD},workload=""}}"#), 2.0),
    ] {
        let found = sample(&text, &series);
        assert!((found - expected).abs() < 1e-12, "{series} {found}");
    }
}

#[test]
fn a_request_that_was_never_answered_has_no_series() {
    let mut metrics = Metrics::new(POD_LIMIT).unwrap();
    let mut request = fixture::request();
    request.marks = Marks::UNANSWERED;
    metrics.settled(&request);
    assert!(!text(&mut metrics).contains("backend-0"));
}

#[test]
fn stages_add_up_to_the_duration() {
    let mut metrics = Metrics::new(POD_LIMIT).unwrap();
    let request = fixture::request();
    (0..10_000).for_each(|_| metrics.settled(&request));
    let text = text(&mut metrics);
    let stages = text.lines().filter(|line| line.starts_with("tracer_request_stage_seconds_total{"));
    let stages: f64 = stages.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum();
    let total = sample(&text, &format!(r#"tracer_request_duration_seconds_sum{{{POD},workload=""}}"#));
    assert!((stages - 1_052.345_67).abs() < 1e-9, "{stages}");
    assert!((stages - total).abs() < 1e-6, "{stages} {total}");
}

#[test]
fn promtool_accepts_the_metrics() {
    let command = std::process::Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut promtool =
        command.expect("promtool of Debian's package prometheus, which `cargo xtask test` installs");
    let mut input = promtool.stdin.take().unwrap();
    input.write_all(text(&mut metrics()).as_bytes()).unwrap();
    drop(input);
    let output = promtool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn cumulative_numbers_are_set_not_added() {
    let mut metrics = metrics();
    metrics.accounting(&accounting(20, 17));
    metrics.program("tracer_ingress", 2_000_000_000, 1_000_001);
    let text = text(&mut metrics);
    assert!(text.contains("tracer_events_emitted_total 20\n"));
    assert!(text.contains("tracer_events_dropped_total{reason=\"ring-full\"} 3\n"));
    assert!(text.contains("tracer_bpf_program_run_seconds_total{program=\"tracer_ingress\"} 2\n"));
}

#[test]
fn a_pod_without_a_name_has_its_uid() {
    let mut metrics = Metrics::new(POD_LIMIT).unwrap();
    metrics.tcp_reset(&fixture::unnamed_pod("cafe"), ResetBy::Pod);
    assert!(text(&mut metrics).contains(r#"{by="pod",namespace="",pod="cafe",workload=""} 1"#));
}

#[test]
fn pods_above_the_limit_share_their_series() {
    let mut metrics = Metrics::new(2).unwrap();
    for uid in ["a", "b", "c", "d", "c"] {
        metrics.tcp_retransmits(&fixture::unnamed_pod(uid), 1);
    }
    let text = text(&mut metrics);
    assert!(text.contains("tracer_tcp_retransmits_total{namespace=\"\",pod=\"~other\",workload=\"\"} 3\n"));
    assert!(text.contains("tracer_metrics_overflow_total 3\n"));
    assert!(!text.contains("pod=\"c\""));
}

#[test]
fn without_their_label_pods_add_up_and_stay_added_up() {
    let mut metrics = Metrics::new(POD_LIMIT).unwrap().without_pod_label();
    for uid in ["a", "b"] {
        let pod = Arc::new(Pod { uid: uid.to_owned(), ..(*fixture::pod()).clone() });
        metrics.tcp_retransmits(&pod, 2);
        metrics.tcp_round_trip(&pod, 80);
    }
    let series = "tracer_tcp_retransmits_total{namespace=\"shop\",pod=\"\",workload=\"\"}";
    assert!((sample(&text(&mut metrics), series) - 4.0).abs() < 1e-9);
    metrics.tcp_round_trip(&Arc::new(Pod { uid: "a".to_owned(), ..(*fixture::pod()).clone() }), 90);
    metrics.forget(&Pod { uid: "a".to_owned(), ..(*fixture::pod()).clone() });
    let text = text(&mut metrics);
    assert!((sample(&text, series) - 4.0).abs() < 1e-9);
    let round_trips = "tracer_tcp_srtt_seconds_count{namespace=\"shop\",pod=\"\",workload=\"\"}";
    assert!((sample(&text, round_trips) - 3.0).abs() < 1e-9);
    assert!(!text.contains("backend-0"));
}

#[test]
fn a_pod_that_is_gone_leaves_nothing() {
    let mut metrics = metrics();
    metrics.forget(&fixture::pod());
    let text = text(&mut metrics);
    assert!(!text.contains("backend-0"), "{text}");
    assert!(text.contains("tracer_events_emitted_total 12\n"));
}

#[test]
fn a_pod_keeps_its_series_when_one_of_the_same_name_goes() {
    let mut metrics = metrics();
    let mut successor = (*fixture::pod()).clone();
    "another".clone_into(&mut successor.uid);
    let successor = Arc::new(successor);
    metrics.tcp_retransmits(&successor, 5);
    metrics.forget(&fixture::pod());
    let series = format!("tracer_tcp_retransmits_total{{{POD},workload=\"\"}}");
    assert!((sample(&text(&mut metrics), &series) - 7.0).abs() < 1e-9);
    metrics.forget(&successor);
    assert!(!text(&mut metrics).contains("backend-0"));
}

#[test]
fn hostile_labels_are_escaped() {
    let mut metrics = Metrics::new(POD_LIMIT).unwrap();
    metrics.tcp_reset(&fixture::unnamed_pod("a\"b\\c\nd"), ResetBy::Pod);
    assert!(text(&mut metrics).contains(r#"pod="a\"b\\c\nd""#));
}

#[test]
fn buckets_are_the_documented_ones() {
    let mut metrics = Metrics::new(POD_LIMIT).unwrap();
    let call = fixture::call(CallKind::Upstream, 0, 1, "10.0.1.9:9200", What::Opaque);
    metrics.call(&fixture::pod(), &call, Attribution::None);
    let text = text(&mut metrics);
    let bounds: Vec<_> =
        text.lines().filter_map(|line| line.split_once("le=\"")?.1.split('"').next()).collect();
    assert_eq!((bounds.len(), bounds[0], bounds[15], bounds[16]), (17, "0.00025", "8.192", "+Inf"));
}

#[test]
fn another_thread_can_render() {
    let mut metrics = metrics();
    metrics.flush();
    let exposition = metrics.exposition();
    let text = std::thread::spawn(move || exposition.render().unwrap()).join().unwrap();
    assert_eq!(text, metrics.render().unwrap());
}

/// `cargo test --release -p tracer --lib settled_is_cheap -- --ignored --nocapture`
#[test]
#[ignore = "a measurement: meaningless in a debug build"]
fn settled_is_cheap() {
    const ROUNDS: u32 = 2_000_000;
    let mut metrics = Metrics::new(POD_LIMIT).unwrap();
    let plain = fixture::request_with(Vec::new());
    let full = fixture::request();
    let call = &full.calls[1].call;
    let mut measure = |name: &str, run: &mut dyn FnMut(&mut Metrics)| {
        let start = std::time::Instant::now();
        (0..ROUNDS).for_each(|_| run(&mut metrics));
        println!("{name}: {:.0} ns", start.elapsed().as_secs_f64() * 1e9 / f64::from(ROUNDS));
    };
    measure("settled, no calls", &mut |metrics| metrics.settled(&plain));
    measure("settled, four calls", &mut |metrics| metrics.settled(&full));
    measure("call", &mut |metrics| metrics.call(&full.pod, call, Attribution::Thread));
}
