use std::collections::BTreeMap;

use super::{Fate, Verdict};
use crate::log::{CallLine, Kind, RequestLine};
use crate::tracer::report::{TracedCall, TracedRequest};

const START: u64 = 1_700_000_000_000_000_000;
const MS: u64 = 1_000_000;

fn logged(n: u64, kind: Kind, what: &str, local_port: u16) -> RequestLine {
    let (start, end) = (START + 2 * MS, START + 20 * MS);
    let call = CallLine { kind, what: what.to_owned(), local_port, peer: String::new(), start, end };
    let (t0, t1, t2, t3) = (START, START, START + 21 * MS, START + 21 * MS);
    RequestLine { n, t0, t1, t2, t3, tid: 1, status: 200, calls: vec![call] }
}

fn upstream(n: u64, port: u16) -> RequestLine {
    logged(n, Kind::Upstream, "GET /a", port)
}

fn traced(n: u64, call: TracedCall) -> TracedRequest {
    TracedRequest {
        pod: String::new(),
        time_unix_ns: START,
        flow: 1,
        method: Some("GET".to_owned()),
        path: Some(format!("/v1/items/{n}")),
        status: Some(200),
        grpc_status: None,
        local: String::new(),
        peer: String::new(),
        total_ns: 21 * MS,
        stages_ns: BTreeMap::new(),
        calls: vec![call],
        marks: Vec::new(),
    }
}

fn call(kind: &str, what: &str, port: u16, attribution: &str) -> TracedCall {
    TracedCall {
        kind: kind.to_owned(),
        attribution: attribution.to_owned(),
        share: 1.0,
        start_ns: 2_010_000,
        duration_ns: 17_900_000,
        local: format!("10.244.0.2:{port}"),
        peer: String::new(),
        peer_name: None,
        what: what.to_owned(),
    }
}

fn seen(n: u64, port: u16, attribution: &str) -> TracedRequest {
    traced(n, call("upstream", "GET /a", port, attribution))
}

fn verdict(seen: &[TracedRequest], logs: &[RequestLine]) -> Vec<(Fate, usize)> {
    let verdict = Verdict::of(&seen.iter().collect::<Vec<_>>(), logs);
    assert_eq!(verdict.calls(), logs.len());
    verdict.counts.into_iter().map(|((_, fate), count)| (fate, count)).collect()
}

#[test]
fn calls_are_right_shared_missing_or_wrong() {
    let logs = [upstream(1, 1000), upstream(2, 2000), upstream(3, 3000), upstream(4, 4000)];
    let seen = [seen(1, 1000, "thread"), seen(2, 2000, "shared"), seen(3, 4000, "exclusive")];
    let expected = vec![(Fate::Thread, 1), (Fate::Shared, 1), (Fate::Missing, 2), (Fate::Wrong, 1)];
    assert_eq!(verdict(&seen, &logs), expected);
}

#[test]
fn shared_by_others_only_is_astray() {
    let logs = [upstream(1, 1000)];
    assert_eq!(verdict(&[seen(2, 1000, "shared"), seen(3, 1000, "shared")], &logs), [(Fate::Astray, 1)]);
    assert_eq!(verdict(&[seen(2, 1000, "shared"), seen(1, 1000, "shared")], &logs), [(Fate::Shared, 1)]);
}

#[test]
fn a_lookup_is_known_by_its_name_and_its_time() {
    let logs = [logged(1, Kind::Dns, "r1.elastic", 0)];
    let of = |name| verdict(&[traced(1, call("dns", name, 5, "thread"))], &logs);
    assert_eq!(of("r1.elastic"), [(Fate::Thread, 1)]);
    let mut other = of("r2.elastic");
    other.sort_unstable();
    assert_eq!(other, [(Fate::Missing, 1), (Fate::Wrong, 1)]);
    let mut late = call("dns", "r1.elastic", 5, "thread");
    late.duration_ns += 2 * MS;
    assert_eq!(verdict(&[traced(1, late)], &logs).len(), 2);
}

#[test]
fn a_call_may_start_after_its_line_says_but_not_outside_it() {
    let logs = [upstream(1, 1000)];
    let starting = |start_ns, duration_ns| {
        let call = TracedCall { start_ns, duration_ns, ..call("upstream", "GET /a", 1000, "thread") };
        verdict(&[traced(1, call)], &logs)
    };
    assert_eq!(starting(7_000_000, 10 * MS), [(Fate::Thread, 1)], "the backend waited for a core");
    for (start, duration) in [(0_i64, 10 * MS), (7_000_000, 15 * MS)] {
        let mut outside = starting(start, duration);
        outside.sort_unstable();
        assert_eq!(outside, [(Fate::Missing, 1), (Fate::Wrong, 1)], "{start} {duration}");
    }
}
