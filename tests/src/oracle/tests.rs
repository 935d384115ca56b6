use super::{Differences, breakdown};
use crate::log::{CallLine, Kind, QueryLine, RequestLine};

const START: u64 = 1_700_000_000_000_000_000;
const MS: u64 = 1_000_000;

fn call(kind: Kind, peer: &str, start: u64, end: u64) -> CallLine {
    let (start, end) = (START + start * MS, START + end * MS);
    CallLine { kind, what: String::new(), local_port: 1, peer: peer.to_owned(), start, end }
}

fn query(received: u64, answered: u64) -> QueryLine {
    let (received, answered) = (START + received * MS, START + answered * MS);
    QueryLine { name: String::new(), qtype: 1, id: 1, peer_port: 1, rcode: 0, received, answered }
}

#[test]
fn a_breakdown_is_made_of_the_servers_clocks() {
    let calls = vec![
        call(Kind::Connect, "169.254.169.254:80", 2, 3),
        call(Kind::Metadata, "169.254.169.254:80", 3, 10),
        call(Kind::Dns, "", 10, 30),
        call(Kind::Connect, "10.244.0.3:9200", 30, 32),
        call(Kind::Upstream, "10.244.0.3:9200", 32, 50),
    ];
    let (t0, t1, t2, t3) = (START, START + MS, START + 60 * MS, START + 63 * MS);
    let request = RequestLine { n: 1, t0, t1, t2, t3, tid: 1, status: 200, calls };
    // Only the queries of the lookup count, from the first to the last answer.
    let stages = breakdown(&request, &[query(1, 9), query(11, 20), query(12, 29), query(40, 45)]);
    let expected = [
        ("receive", 1),
        ("dns", 18),
        ("connect", 2),
        ("metadata", 8),
        ("upstream", 18),
        ("self", 59 - 18 - 2 - 8 - 18),
        ("send", 3),
    ];
    assert_eq!(stages.len(), expected.len());
    for (stage, milliseconds) in expected {
        assert_eq!(stages[stage], milliseconds * MS, "{stage}");
    }
    assert_eq!(stages.values().sum::<u64>(), t3 - t0);
}

#[test]
fn one_of_a_hundred_may_be_too_far_apart_and_not_two() {
    let with_bad = |bad: u64| {
        let mut differences = Differences::default();
        for pair in 0..200 {
            differences.add(String::new(), 5 * MS, if pair < bad { 7 * MS } else { 5 * MS }, MS);
        }
        differences.check("made up")
    };
    assert!(with_bad(2).is_ok());
    assert!(with_bad(3).is_err());
    assert!(Differences::default().check("nothing").is_err());
}
