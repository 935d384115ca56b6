//! From records to findings: what opens, which calls are its evidence, and what the summary shows.

use tracer_ebpf::{record::DatagramRecord, segment::Direction};

use super::*;

/// A query for `a`, type A, to a server, or its answer.
fn datagram(ms: u64, server: &str, answer: bool) -> DatagramRecord {
    let mut record = DatagramRecord {
        direction: if answer { Direction::Ingress } else { Direction::Egress } as u8,
        cgroup: POD,
        time: ms * MS,
        thread: if answer { 0 } else { 11 },
        process: if answer { 0 } else { 10 },
        local_port: 40000,
        remote_port: 53,
        remote: address_bytes(server.parse().unwrap()),
        ..DatagramRecord::zeroed()
    };
    let mut message = *b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x01a\0\0\x01\0\x01";
    if answer {
        (message[2], message[7]) = (0x81, 1);
    }
    record.payload[..message.len()].copy_from_slice(&message);
    record.payload_length = u32::try_from(message.len()).unwrap();
    record
}

#[test]
fn a_dead_server_before_the_one_that_answers_is_a_dns_timeout() {
    let mut lab = Lab::new();
    for ms in [1000, 8000, 15_000] {
        for (at, server, answer) in
            [(ms, "10.0.0.9", false), (ms + 5000, "10.0.0.53", false), (ms + 5002, "10.0.0.53", true)]
        {
            lab.engine.ingest(Record::Datagram(&datagram(at, server, answer)), &mut lab.seen);
            lab.engine.advance(at * MS, &mut lab.seen);
        }
        lab.engine.advance((ms + 6000) * MS, &mut lab.seen);
    }
    let told: Vec<&str> = lab.seen.findings.iter().map(String::as_str).collect();
    let evidence = |ms: u64| format!("evidence for dns-timeout at {ms} ms");
    assert_eq!(told, ["opened dns-timeout", &evidence(8000), &evidence(15_000)]);
    let [pod] = &lab.finish(22_000)[..] else { panic!("one pod") };
    let [finding] = &pod.findings[..] else { panic!("{:?}", pod.findings) };
    assert_eq!((finding.id, finding.since), ("dns-timeout", SECOND));
    assert!(finding.explanation.contains("10.0.0.9:53 answered nothing"), "{}", finding.explanation);
    assert!(finding.explanation.starts_with("3 of 3 lookups"), "{}", finding.explanation);
    assert!(finding.explanation.contains("5.00 s each"), "{}", finding.explanation);
}

/// A call to the metadata service that begins at `ms`; one without an answer is given up after a second.
fn metadata(lab: &mut Lab, ms: u64, request: &str, response: &str) {
    let mut record =
        lab.exchange(role::CLIENT, ms, ms + 2, request.lines().next().unwrap_or_default(), response);
    record.flags = flow_flag::METADATA;
    record.remote = address_bytes("169.254.169.254".parse().unwrap());
    lab.payload(&record, Direction::Egress as u8, request);
    if response.is_empty() {
        (record.response_first, record.response_last) = (0, 0);
        record.emitted = (ms + 40) * MS;
        lab.flow(&record);
        record.flags |= flow_flag::FIN_OUT;
        (record.updates, record.emitted) = (1, (ms + 1000) * MS);
    }
    lab.flow(&record);
}

const PUT: &str = "PUT /latest/api/token HTTP/1.1\r\nx-aws-ec2-metadata-token-ttl-seconds: 21600\r\n\r\n";

#[test]
fn a_token_that_does_not_come_before_calls_without_one_is_the_hop_limit() {
    let mut lab = Lab::new();
    for ms in [1000, 2000] {
        metadata(&mut lab, ms, PUT, "");
    }
    metadata(&mut lab, 3000, "GET /latest/meta-data/ HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK");
    let with = "GET /latest/meta-data/ HTTP/1.1\r\nX-aws-ec2-metadata-token: canary\r\n\r\n";
    metadata(&mut lab, 3100, with, "HTTP/1.1 200 OK");
    let [pod] = &lab.finish(10_000)[..] else { panic!("one pod") };
    let [finding] = &pod.findings[..] else { panic!("{:?}", pod.findings) };
    assert_eq!((finding.id, finding.since), ("metadata-token-timeout", SECOND));
    assert_eq!(finding.destination.as_ref().map(ToString::to_string).as_deref(), Some("169.254.169.254:80"));
    assert!(finding.explanation.contains("2.00 s lost in waits of up to 1.00 s"), "{}", finding.explanation);
    assert!(finding.explanation.contains("went without a token: 1."), "{}", finding.explanation);
    assert_eq!(
        lab.seen.findings,
        [
            "opened metadata-token-timeout",
            "evidence for metadata-token-timeout at 1000 ms",
            "evidence for metadata-token-timeout at 2000 ms"
        ]
    );
    assert!(!format!("{:?} {:?}", lab.seen.calls, pod).contains("canary"));
}

#[test]
fn a_token_that_comes_is_no_finding() {
    let mut lab = Lab::new();
    for ms in [1000, 2000, 3000] {
        metadata(&mut lab, ms, PUT, "HTTP/1.1 200 OK");
    }
    assert!(lab.finish(10_000)[0].findings.is_empty());
}

#[test]
fn findings_are_judged_by_the_policy_that_is_set() {
    let mut lab = Lab::new();
    let config = br#"{"findings": {"metadata-token-timeout": {"token_requests": 3}}}"#;
    let settings = Arc::new(crate::config::Config::parse(config).unwrap().findings);
    lab.engine.judge_by(Policy { period: Period::LastMinute, settings });
    for ms in [1000, 2000] {
        metadata(&mut lab, ms, PUT, "");
    }
    assert!(lab.finish(10_000)[0].findings.is_empty());
}

/// The kernel tells of nothing but its retransmissions.
#[test]
fn a_call_that_hangs_opens_dead_peer_while_it_hangs() {
    let mut lab = Lab::new();
    let mut record = lab.exchange(role::CLIENT, 1000, 1000, "GET / HTTP/1.1", "");
    (record.kind, record.established) = (kind::SILENT, 500 * MS);
    (record.response_first, record.response_last) = (0, 0);
    record.remote = address_bytes("10.0.0.9".parse().unwrap());
    for ms in [1600, 2400, 4000] {
        record.emitted = ms * MS;
        lab.flow(&record);
        lab.engine.advance(ms * MS, &mut lab.seen);
    }
    lab.engine.advance(5000 * MS, &mut lab.seen);
    let told: Vec<&str> = lab.seen.findings.iter().map(String::as_str).collect();
    assert_eq!(
        told,
        ["opened dead-peer", "evidence for dead-peer at 1000 ms", "evidence for dead-peer at 1000 ms"]
    );
    let [pod] = &lab.engine.summary()[..] else { panic!("one pod") };
    let [finding] = &pod.findings[..] else { panic!("{:?}", pod.findings) };
    assert!(finding.explanation.contains("10.0.0.9:80 is gone without closing its connections"));
    assert!(finding.explanation.contains("hung for up to 4.0 s"), "{}", finding.explanation);
    assert!(finding.explanation.contains("after 0.6 s, 1.4 s, 3.0 s"), "{}", finding.explanation);
}
