use super::*;

/// Ten requests of 105 ms: 86 ms credentials, 18 ms elsewhere.
fn incident(life: u64) -> (Lab, Vec<PodSummary>) {
    let mut lab = Lab::new();
    for n in 0..10 {
        let t = 1000 + n * 200;
        lab.credentials(t, t + 86, life);
        let upstream = lab.exchange(role::CLIENT, t + 86, t + 104, "GET /items/_search", "HTTP/1.1 200 OK");
        lab.flow(&upstream);
        let request = lab.exchange(role::SERVER, t, t + 105, "GET /v1/items/1?key=canary", "HTTP/1.1 200 OK");
        lab.flow(&request);
    }
    let summary = lab.finish(4000);
    (lab, summary)
}

#[test]
fn the_metadata_incident_is_broken_down_and_named() {
    let (lab, summary) = incident(900);
    let [pod] = &summary[..] else { panic!("{summary:?}") };
    assert_eq!(pod.totals.requests, 10);
    assert_eq!(pod.totals.stages.values(), [0, 0, 0, 860 * MS, 180 * MS, 10 * MS, 0]);
    assert_eq!(pod.totals.attribution, [20, 0, 0, 0]);
    let [finding] = &pod.findings[..] else { panic!("{:?}", pod.findings) };
    assert_eq!(finding.id, "metadata-credentials");
    assert!(finding.explanation.contains("15 minutes"), "{}", finding.explanation);
    let path = lab.seen.requests[0].http.as_ref().and_then(|http| http.path().map(|path| path.to_string()));
    assert_eq!(path.as_deref(), Some("/v1/items/1"));
}

#[test]
fn credentials_that_outlive_the_threshold_are_no_finding() {
    let (lab, summary) = incident(6 * 3600);
    assert!(summary[0].findings.is_empty(), "{:?}", summary[0].findings);
    let What::Metadata(metadata) = &lab.seen.calls[0].0.what else { panic!("{:?}", lab.seen.calls[0]) };
    assert_eq!((metadata.step, metadata.lifetime_seconds), (Step::Credentials, Some(6 * 3600)));
    assert!(metadata.what.ends_with("/security-credentials/role"), "the whole path, not the prefix");
}

#[test]
fn no_secret_is_in_what_the_engine_gives() {
    let (lab, summary) = incident(900);
    let everything = format!("{:?} {:?} {summary:?}", lab.seen.requests, lab.seen.calls);
    assert!(!everything.contains("canary"));
}

#[test]
fn the_id_in_an_ecs_path_is_not_shown() {
    let mut lab = Lab::new();
    let mut record = lab.exchange(role::CLIENT, 10, 20, "GET /v2/credentials/canary", "HTTP/1.1 200 OK");
    record.flags = flow_flag::METADATA;
    lab.flow(&record);
    lab.finish(1000);
    let What::Metadata(metadata) = &lab.seen.calls[0].0.what else { panic!("{:?}", lab.seen.calls[0]) };
    assert_eq!((metadata.step, metadata.what.as_str()), (Step::Credentials, "GET /v2/credentials/…"));
}
