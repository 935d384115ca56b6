//! Files by `tracer capture`, which say whose their packets are.

use super::*;

/// A connection of 127.0.0.1 or between two addresses, with one exchange of 20 ms.
fn exchange(client: [u8; 4], server: [u8; 4]) -> Capture {
    let mut capture = Capture::default();
    let mut tcp = capture.connect(0, (client, 40_000), (server, 8080));
    capture.segment(10, &mut tcp, true, "AP", b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    capture.segment(30, &mut tcp, false, "AP", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    capture
}

/// What the analysis says of a file by `tracer capture` of two pods at these addresses: each packet as it leaves the
/// one and 5 µs later as it reaches the other.
fn captured(capture: &Capture, pods: [(&str, [u8; 4]); 2]) -> (Seen, Summary) {
    let known = pods.map(|(name, _)| Arc::new(Pod { uid: format!("uid-{name}"), name: None }));
    let pod_of = |address: &[u8]| pods.iter().position(|(_, own)| own == address);
    let (mut seen, mut number) = (Seen::default(), 0);
    let mut offline = Offline::new(&[], Vec::new(), &mut seen, None);
    for (time, bytes) in &capture.packets {
        let original_length = u32::try_from(bytes.len()).unwrap();
        for (pod, outbound) in [(pod_of(&bytes[26..30]), true), (pod_of(&bytes[30..34]), false)] {
            let Some(pod) = pod else { continue };
            number += 1;
            let (time, origin) =
                (time + u64::from(!outbound) * 5000, Some(Origin { pod: &known[pod], outbound }));
            offline.packet(&Raw { number, time, link: LinkType(1), original_length, bytes, origin }).unwrap();
        }
    }
    offline.finish().unwrap();
    let summary = offline.summary();
    (seen, summary)
}

#[test]
fn two_pods_of_a_node_that_talk_have_one_request_and_one_call() {
    for (client, server) in [(CLIENT, SERVER), (SERVER, CLIENT)] {
        let (seen, summary) = captured(&exchange(client, server), [("a", client), ("b", server)]);
        let [request] = seen.requests.as_slice() else { panic!("one request: {:?}", seen.requests) };
        assert_eq!((request.pod.uid.as_str(), request.total()), ("uid-b", 20 * MS - 5000));
        let calls: Vec<_> = seen.calls.iter().map(|call| (call.kind, call.end - call.start)).collect();
        assert_eq!(calls, [(CallKind::Connect, MS + 5000), (CallKind::Upstream, 20 * MS + 5000)]);
        let requests: Vec<_> =
            summary.pods.iter().map(|pod| (pod.pod.uid.as_str(), pod.totals.requests)).collect();
        assert_eq!(requests, [("uid-a", 0), ("uid-b", 1)]);
        assert!(summary.accounting.is_complete() && !summary.accounting.is_partial());
    }
}

#[test]
fn a_pod_that_talks_to_itself_has_both_ends() {
    let loopback = [127, 0, 0, 1];
    let (seen, summary) = captured(&exchange(loopback, loopback), [("a", loopback), ("none", [0; 4])]);
    assert_eq!(seen.requests.len(), 1, "{:?}", seen.requests);
    assert_eq!(seen.calls.len(), 2, "{:?}", seen.calls);
    assert_eq!(summary.pods.len(), 1);
}

#[test]
fn a_lookup_of_a_pod_at_another_of_its_node_is_one() {
    let mut capture = Capture::default();
    capture.udp(15, (POD, 5000), (RESOLVER, 53), &dns(false));
    capture.udp(25, (RESOLVER, 53), (POD, 5000), &dns(true));
    let (seen, summary) = captured(&capture, [("a", POD), ("dns", RESOLVER)]);
    let lookups: Vec<_> = seen.calls.iter().map(|call| (call.kind, call.end - call.start)).collect();
    assert_eq!(lookups, [(CallKind::Dns, 10 * MS + 5000)]);
    assert_eq!(summary.accounting.oddities["captured_twice"], 0);
}
