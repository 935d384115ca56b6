use super::*;
use crate::{export::fixture, request::totals::Totals};

#[test]
fn the_summary_has_the_documented_shape() {
    assert_eq!(
        summary(&fixture::summary(), WallClock::UNIX),
        json!({
            "pods": [{
                "pod": "shop/backend-0",
                "uid": "0b3f1c9e-5a7d-4c53-9d0e-2f4a6b8c0d1e",
                "namespace": "shop",
                "name": "backend-0",
                "workload": null,
                "requests": 2,
                "folded": 0,
                "total_seconds": 0.210_469_134,
                "stages": {
                    "receive": 0.000_024_69,
                    "dns": 0.000_1,
                    "connect": 0.0,
                    "metadata": 0.172_22,
                    "upstream": 0.036_4,
                    "self": 0.001_655_31,
                    "send": 0.000_069_134,
                },
                "attribution": { "thread": 4, "exclusive": 2, "shared": 2, "none": 0 },
                "calls": {
                    "dns": { "count": 2, "seconds": 0.000_3 },
                    "connect": { "count": 0, "seconds": 0.0 },
                    "metadata": { "count": 4, "seconds": 0.172_22 },
                    "upstream": { "count": 2, "seconds": 0.036_4 },
                },
                "findings": [{
                    "id": "metadata-credentials",
                    "severity": "critical",
                    "subject": "shop/backend-0",
                    "destination": null,
                    "destination_name": null,
                    "since_unix_ns": 1_000_000_000,
                    "evidence": { "calls_per_request": 2.0, "lifetime_seconds": 900.0, "share": 0.8183 },
                    "explanation": fixture::finding().explanation,
                    "remedy": fixture::finding().remedy,
                    "page": "docs/findings/metadata-credentials.md",
                }],
            }],
            "accounting": { "emitted": 40, "consumed": 40, "dropped": { "ring-full": 0 }, "oddities": { "late": 0 } },
            "partial": false,
        })
    );
}

#[test]
fn members_keep_the_order_of_the_stages() {
    let text = summary(&fixture::summary(), WallClock::UNIX).to_string();
    let at = |name: &str| text.find(&format!("\"{name}\":")).unwrap();
    assert!(at("receive") < at("dns") && at("metadata") < at("upstream") && at("self") < at("send"));
    assert!(at("calls_per_request") < at("lifetime_seconds"));
}

#[test]
fn a_loss_makes_the_summary_partial() {
    let mut given = fixture::summary();
    given.accounting.dropped.insert("ring-full", 3);
    assert_eq!(summary(&given, WallClock::UNIX)["partial"], true);
}

#[test]
fn of_the_oddities_only_abandoned_requests_make_a_summary_partial() {
    let mut given = fixture::summary();
    given.accounting.oddities.insert("unanswered", 5);
    assert_eq!(summary(&given, WallClock::UNIX)["partial"], false);
    given.accounting.oddities.insert("abandoned", 3);
    assert_eq!(summary(&given, WallClock::UNIX)["partial"], true);
    assert_eq!(summary(&given, WallClock::UNIX)["accounting"]["oddities"]["unanswered"], 5);
}

#[test]
fn stages_add_up_to_the_nanosecond_even_over_a_day_of_requests() {
    let stages = Stages {
        receive: 1,
        dns: 86_400_000_000_001,
        connect: 333_333_333_333,
        metadata: 7,
        upstream: 86_399_999_999_999,
        own: 123_456_789_012_345,
        send: 999_999_999,
    };
    let mut given = fixture::summary();
    given.pods[0].totals = Totals { stages, ..Totals::default() };
    let pod = &summary(&given, WallClock::UNIX)["pods"][0];
    let sum: f64 = pod["stages"].as_object().unwrap().values().map(|stage| stage.as_f64().unwrap()).sum();
    let total = pod["total_seconds"].as_f64().unwrap();
    assert!((sum - total).abs() < 0.5e-9, "{sum} {total}");
}

#[test]
fn a_request_is_one_line() {
    let line = request_line(&fixture::request(), &WallClock::new(0, 1_700_000_000_000_000_000));
    assert!(!line.contains('\n'));
    assert!(!line.contains("s3cr3t"));
    assert!(line.contains(r#""stages_ns":{"receive":12345,"dns":50000,"connect":0,"metadata":86110000"#));
    let line: Json = serde_json::from_str(&line).unwrap();
    assert_eq!(line["time_unix_ns"], 1_700_000_001_000_000_000_u64);
    assert_eq!(line["path"], "/v1/items/17");
    let stages: u64 = line["stages_ns"].as_object().unwrap().values().map(|ns| ns.as_u64().unwrap()).sum();
    assert_eq!(line["total_ns"], stages);
    assert_eq!(
        line["calls"][3],
        json!({
            "kind": "upstream",
            "attribution": "exclusive",
            "share": 1.0,
            "start_ns": 86_800_000,
            "duration_ns": 18_200_000,
            "local": "10.0.0.7:40000",
            "peer": "10.0.1.9:9200",
            "what": "GET /items/_search",
        })
    );
    assert_eq!(line["calls"][2]["what"], "elastic.example.com");
}

#[test]
fn what_is_not_known_is_null() {
    let mut request = fixture::request_with(Vec::new());
    request.http = None;
    let line: Json = serde_json::from_str(&request_line(&request, &WallClock::UNIX)).unwrap();
    assert_eq!((&line["method"], &line["path"], &line["status"]), (&Json::Null, &Json::Null, &Json::Null));
    assert_eq!(line["calls"], json!([]));
}
