use bytemuck::Zeroable as _;
use etherparse::PacketBuilder;
use tracer_ebpf::segment::Direction;

use super::*;

const METADATA: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(169, 254, 169, 254));

/// A flow of which packets are masked one after the other.
#[derive(Default)]
struct Wire {
    secrets: KnownSecrets,
    peer: Option<[u8; 4]>,
}

impl Wire {
    /// What is left of a packet's payload.
    fn passes(&mut self, first: bool, sequence: u32, payload: &[u8]) -> String {
        let peer = self.peer.unwrap_or([10, 0, 0, 1]);
        let mut packet = Vec::new();
        let builder = PacketBuilder::ipv4([10, 0, 0, 7], peer, 64).tcp(50_000, 80, sequence, 1000);
        builder.write(&mut packet, payload).unwrap();
        let head = PacketHead {
            flow: 7,
            first: u8::from(first),
            direction: Direction::Egress as u8,
            ..PacketHead::zeroed()
        };
        self.secrets.mask(&head, &mut packet, &[METADATA]);
        String::from_utf8(packet[40..].to_vec()).unwrap()
    }
}

#[test]
fn bodies_stay_and_secret_headers_go() {
    let message = b"POST /a?q=1&access_token=abc&key=def HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer s3cr3t\r\nX-Api-Key: 1\r\n\r\n{\"b\": 2}";
    assert_eq!(
        Wire::default().passes(true, 1, message),
        "POST /a?q=1&access_token=xxx&key=xxx HTTP/1.1\r\nHost: a\r\nAuthorization: xxxxxxxxxxxxx\r\nX-Api-Key: x\r\n\r\n{\"b\": 2}"
    );
    let answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: id=1\r\n\r\nbody";
    assert_eq!(Wire::default().passes(true, 1, answer), "HTTP/1.1 200 OK\r\nSet-Cookie: xxxx\r\n\r\nbody");
    let target = Wire::default().passes(true, 1, b"GET http://a:b@c/ HTTP/1.1\r\n\r\n");
    assert_eq!(target, "GET xxxxxxxxxxxxx HTTP/1.1\r\n\r\n");
}

#[test]
fn parameters_of_the_path_are_parameters_too() {
    let target = |target: &str| {
        let shown = Wire::default().passes(true, 1, format!("GET {target} HTTP/1.1\r\n\r\n").as_bytes());
        shown.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(target("/a;v=1;jsessionid=s3cr3t?q=1&sig=b"), "/a;v=1;jsessionid=xxxxxx?q=1&sig=x");
    assert_eq!(target("/a;jsessionid=s&cr?t/b"), "/a;jsessionid=xxxx?t/b");
    assert_eq!(target("/key=a;b"), "/key=a;b");
}

#[test]
fn addresses_in_other_headers_have_parameters_too() {
    let value = |value: &str| {
        let head = format!("HTTP/1.1 302 Found\r\nLocation: {value}\r\n\r\n");
        let shown = Wire::default().passes(true, 1, head.as_bytes());
        shown.split("\r\n").nth(1).unwrap().strip_prefix("Location: ").unwrap().to_owned()
    };
    assert_eq!(value("http://a/b?c=1&token=s3cr3t"), "http://a/b?c=1&token=xxxxxx");
    assert_eq!(value("http://a/b;jsessionid=s3cr3t?c=1"), "http://a/b;jsessionid=xxxxxx?c=1");
    assert_eq!(value("http://a/b#access_token=s3,r3t"), "http://a/b#access_token=xxxxxx");
    assert_eq!(value("http://a/b?state=1#code=s"), "http://a/b?state=1#code=x");
    assert_eq!(value("<http://a/?sig=b>; rel=next"), "<http://a/?sig=x>; rel=next");
}

#[test]
fn a_head_in_two_packets_hides_what_goes_on() {
    let mut wire = Wire::default();
    let begin = b"GET / HTTP/1.1\r\nHost: a\r\nX-Tok";
    assert_eq!(wire.passes(true, 1, begin), "GET / HTTP/1.1\r\nHost: a\r\nxxxxx");
    let rest = b"en: s3cr3t\r\nA: b\r\n\r\n{bod";
    assert_eq!(wire.passes(false, 1 + 30, rest), format!("{}{{bod", "x".repeat(20)));
    assert_eq!(wire.passes(false, 1 + 54, b"y}"), "y}");
}

#[test]
fn a_head_that_passes_again_is_hidden_as_before() {
    let mut wire = Wire::default();
    let message = b"GET / HTTP/1.1\r\nCookie: s3cr3t\r\n\r\nbody";
    wire.passes(true, 100, message);
    // From the middle of the secret on, up to the body.
    assert_eq!(wire.passes(false, 126, &message[26..]), format!("{}body", "x".repeat(8)));
    for sequence in [200, 300, 400, 500] {
        wire.passes(true, sequence, b"GET / HTTP/1.1\r\n\r\n");
    }
    assert_eq!(wire.passes(false, 126, b"forgotten"), "xxxxxxxxx");
}

#[test]
fn pipelined_requests_have_their_secrets_masked() {
    let mut wire = Wire::default();
    wire.passes(true, 1, b"GET / HTTP/1.1\r\n\r\n");
    let second = b"GET / HTTP/1.1\r\nAuthorization: a\r\n\r\nGET / HTTP/1.1\r\nCookie: sec";
    assert_eq!(
        wire.passes(false, 19, second),
        "GET / HTTP/1.1\r\nAuthorization: x\r\n\r\nGET / HTTP/1.1\r\nCookie: xxx"
    );
    let next = 19 + u32::try_from(second.len()).unwrap();
    assert_eq!(wire.passes(false, next, b"ret\r\nHost: a\r\nCoo"), "xxx\r\nHost: a\r\nCoo");
    assert_eq!(wire.passes(false, next + 17, b"kie: s\r\n\r\n"), "xxxxxx\r\n\r\n");
    let third = b"GET /a?token=s HTTP/1.1\r\n\r\nPOST /?b=c&code=sec";
    assert_eq!(wire.passes(false, next + 27, third), "GET /a?token=x HTTP/1.1\r\n\r\nPOST /?b=c&code=xxx");
    let last = next + 27 + u32::try_from(third.len()).unwrap();
    assert_eq!(wire.passes(false, last, b"ret HTTP/1.1\r\n\r\n"), "xxxxxxxxxxxx\r\n\r\n");
}

#[test]
fn a_line_that_goes_on_is_hidden_whenever_it_passes() {
    let mut wire = Wire::default();
    wire.passes(true, 1, b"GET / HTTP/1.1\r\n\r\n");
    let begin = b"GET / HTTP/1.1\r\nReferer: http://a/c";
    let next = 19 + u32::try_from(begin.len()).unwrap();
    // Too early, in its turn, and again.
    let rest = b"?to=1&token=s\r\nCookie: sec";
    assert_eq!(wire.passes(false, next, rest), "xxxxxxxxxxxxx\r\nCookie: xxx");
    assert_eq!(wire.passes(false, 19, begin), "xxxxxxxxxxxxxx\r\nReferer: http://a/c");
    let mut wire = Wire::default();
    wire.passes(true, 1, b"GET / HTTP/1.1\r\n\r\n");
    wire.passes(false, 19, begin);
    assert_eq!(wire.passes(false, next, rest), "?to=1&token=x\r\nCookie: xxx");
    let after = next + u32::try_from(rest.len()).unwrap();
    assert_eq!(wire.passes(false, after, b"ret\r\n\r\nGET / HTTP/1.1"), "xxx\r\n\r\nGET / HTTP/1.1");
    assert_eq!(wire.passes(false, after, b"ret\r\n\r\nGET / HTTP/1.1"), "xxx\r\n\r\nGET / HTTP/1.1");
}

#[test]
fn a_body_is_shown_whose_head_ended_with_a_secret_in_two_packets() {
    let mut wire = Wire::default();
    wire.passes(true, 1, b"POST / HTTP/1.1\r\nCookie: sec");
    assert_eq!(wire.passes(false, 29, b"ret\r\n\r\nbody"), "xxxxxxxbody");
    assert_eq!(wire.passes(false, 40, b" and more"), " and more");
}

#[test]
fn unknown_protocols_stay_as_they_are_once_they_are_seen_to_begin() {
    let mut wire = Wire::default();
    assert_eq!(wire.passes(false, 1, b"tail of a head"), "xxxxxxxxxxxxxx");
    assert_eq!(wire.passes(true, 15, b"*1\r\n$4\r\nPING\r\n"), "*1\r\n$4\r\nPING\r\n");
    assert_eq!(wire.passes(false, 29, b"more"), "more");
}

#[test]
fn http2_is_hidden_for_its_compressed_headers() {
    let mut wire = Wire::default();
    assert_eq!(wire.passes(true, 1, b"PRI * HTTP/2.0\r\n\r\n"), "x".repeat(18));
    assert_eq!(wire.passes(false, 19, b"frame"), "xxxxx");
    let mut joined = Wire::default();
    assert_eq!(joined.passes(true, 1, b"\0\0\x04\x01\x04\0\0\0\x01head"), "x".repeat(13));
}

#[test]
fn what_metadata_services_are_told_and_say_is_hidden_as_always() {
    let mut wire = Wire { peer: Some([169, 254, 169, 254]), ..Wire::default() };
    let put = b"PUT /latest/api/token HTTP/1.1\r\nX-Other: s3cr3t\r\n\r\nbody";
    assert_eq!(wire.passes(true, 1, put), "PUT /latest/api/token HTTP/1.1\r\nX-Other: xxxxxx\r\n\r\nxxxx");
}

#[test]
fn too_many_flows_are_forgotten_and_hidden() {
    let mut wire = Wire::default();
    wire.passes(true, 1, b"*1\r\n");
    for flow in 0..FLOW_LIMIT as u64 {
        wire.secrets.flows.entry(1_000 + flow).or_default();
    }
    let head = PacketHead { flow: 1, first: 1, ..PacketHead::zeroed() };
    let mut packet = Vec::new();
    PacketBuilder::ipv4([10, 0, 0, 7], [10, 0, 0, 1], 64).tcp(1, 2, 1, 1).write(&mut packet, b"a").unwrap();
    wire.secrets.mask(&head, &mut packet, &[]);
    assert_eq!(wire.secrets.flows.len(), 1);
    assert_eq!(wire.passes(false, 5, b"more"), "xxxx");
}
