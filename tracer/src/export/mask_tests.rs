use etherparse::PacketBuilder;

use super::*;

/// What must never be in the output, nor any four bytes of it in a row.
const SECRET: &str = "s3cr3t!Qz7#Kw9@Vj4";

fn tcp(payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    let builder = PacketBuilder::ipv4([10, 0, 0, 7], [169, 254, 169, 254], 64).tcp(40_000, 80, 1, 64_000);
    builder.write(&mut packet, payload).unwrap();
    packet
}

fn tcp6(payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    let builder = PacketBuilder::ipv6([1; 16], [2; 16], 64).tcp(40_000, 80, 1, 64_000);
    builder.write(&mut packet, payload).unwrap();
    packet
}

fn udp(from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    PacketBuilder::ipv4([10, 0, 0, 7], [10, 96, 0, 10], 64)
        .udp(from, to)
        .write(&mut packet, payload)
        .unwrap();
    packet
}

/// A masked payload as text; the headers before it must be as they were.
fn masked(message: &str, begins: bool) -> String {
    let mut texts = Vec::new();
    for packet in [tcp(message.as_bytes()), tcp6(message.as_bytes())] {
        let start = packet.len() - message.len();
        let mut copy = packet.clone();
        mask(&mut copy, begins);
        assert_eq!(copy[..start], packet[..start]);
        texts.push(String::from_utf8(copy[start..].to_vec()).unwrap());
    }
    assert_eq!(texts[0], texts[1]);
    texts.remove(0)
}

fn assert_no_secret(bytes: &[u8], context: &str) {
    for piece in SECRET.as_bytes().windows(4) {
        assert!(!bytes.windows(4).any(|window| window == piece), "{context}: {}", bytes.escape_ascii());
    }
}

/// Messages with the secret wherever one can be.
fn messages() -> Vec<String> {
    vec![
        format!(
            "GET /latest/meta-data?token={SECRET} HTTP/1.1\r\nHost: imds\r\nX-aws-ec2-metadata-token: \
             {SECRET}\r\nAuthorization:Bearer {SECRET}\r\n {SECRET}: folded\r\nCookie: a={SECRET}\r\n\r\n"
        ),
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 36\r\nSet-Cookie: \
             {SECRET}\r\n\r\n{{\"Token\" : \"{SECRET}\"}}GET /{SECRET} HTTP/1.1\r\nHost: {SECRET}\r\n\r\n"
        ),
        format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n12;{SECRET}\r\n{SECRET}\r\n\
             40\r\n{SECRET}\r\n0\r\n{SECRET}: trailer\r\n\r\n"
        ),
        format!("POST http://user:{SECRET}@host/ HTTP/1.1\r\nContent-Length: 18\r\n\r\n{SECRET}"),
        format!("GET /a;jsessionid={SECRET} HTTP/1.1\r\n{SECRET}\r\nHost: a\r{SECRET}\r\n\r\n"),
        format!("HTTP/1.1 403 {SECRET}\r\n\r\n"),
        format!("GET /v2/credentials/{SECRET} HTTP/1.1\r\nHost: a\r\n\r\n"),
        format!("AUTH {SECRET}\r\n"),
        format!("GET /{SECRET}\r\n"),
        format!("PUT {SECRET}"),
        SECRET.to_owned(),
    ]
}

#[test]
fn a_request_keeps_its_path_and_header_names() {
    assert_eq!(
        masked(
            "GET /latest/meta-data?token=s3cr3t HTTP/1.1\r\nHost: imds:80\r\nuser-agent: curl/8\r\n\
             X-aws-ec2-metadata-token: s3cr3t\r\nCookie:s3cr3t\r\n\r\n",
            true
        ),
        "GET /latest/meta-data?xxxxxxxxxxxx HTTP/1.1\r\nHost: imds:80\r\nuser-agent: curl/8\r\n\
         X-aws-ec2-metadata-token: xxxxxx\r\nCookie:xxxxxx\r\n\r\n"
    );
}

#[test]
fn a_response_keeps_its_status_and_the_length_of_its_body() {
    assert_eq!(
        masked("HTTP/1.1 200 OK\r\nContent-Length: 16\r\nETag: \"1\"\r\n\r\n{\"Token\": \"s3cr\"", true),
        "HTTP/1.1 200 OK\r\nContent-Length: 16\r\nETag: xxx\r\n\r\nxxxxxxxxxxxxxxxx"
    );
    assert_eq!(masked("HTTP/1.1 403 token s3cr3t?\r\n\r\n", true), "HTTP/1.1 403 xxxxxxxxxxxxx\r\n\r\n");
}

#[test]
fn a_chunked_body_keeps_its_framing() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n";
    for (body, expected) in [
        ("5;ext=1\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", "5xxxxxx\r\nxxxxx\r\n1\r\nx\r\n0\r\n\r\n"),
        ("5\r\nhello\r\nff\r\ncut", "5\r\nxxxxx\r\nff\r\nxxx"),
        ("5\r\nhello\r", "5\r\nxxxxxx"),
        ("0\r\nTrailer: a\r\n\r\n", "0\r\nxxxxxxxxxxxxxx"),
        ("5\r\nhello!\r\n", "xxxxxxxxxxx"),
        ("deadbeef\r\n", "xxxxxxxxxx"),
        ("\r\nhello", "xxxxxxx"),
    ] {
        assert_eq!(masked(&format!("{head}{body}"), true), format!("{head}{expected}"), "{body:?}");
    }
}

#[test]
fn what_does_not_begin_a_message_is_masked_whatever_it_looks_like() {
    let message = "GET /v1/items HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(masked(message, false), "x".repeat(message.len()));
}

#[test]
fn what_is_not_http_is_masked() {
    for message in [
        "AUTH password\r\n",
        "GET /key\r\n",
        "GET /cut",
        "GETX / HTTP/1.1\r\n",
        "GET  HTTP/1.1\r\n",
        "GET HTTP/1.1\r\n",
        "HTTP/1.1 20 OK\r\n",
        "HTTP/1.1 2000\r\n",
        "\u{16}\u{3}\u{1}",
        "\r\n",
    ] {
        assert_eq!(masked(message, true), "x".repeat(message.len()), "{message:?}");
    }
}

#[test]
fn no_secret_survives_wherever_the_segments_are_cut() {
    for message in messages() {
        for cut in 0..=message.len() {
            let (first, rest) = message.as_bytes().split_at(cut);
            for (bytes, begins) in [(first, true), (rest, false)] {
                let mut packet = tcp(bytes);
                mask(&mut packet, begins);
                assert_no_secret(&packet, &message);
            }
        }
    }
}

#[test]
fn no_secret_survives_a_cut_capture() {
    for message in messages() {
        for packet in
            [tcp(message.as_bytes()), tcp6(message.as_bytes()), udp(5_000, 5_001, message.as_bytes())]
        {
            for length in 0..packet.len() {
                let mut cut = packet[..length].to_vec();
                mask(&mut cut, true);
                assert_no_secret(&cut, &message);
            }
        }
    }
}

#[test]
fn lengths_in_headers_are_not_trusted() {
    for message in messages() {
        for (offset, length) in [(2, [0, 0]), (2, [0, 40]), (2, [0xff, 0xff])] {
            let mut packet = tcp(message.as_bytes());
            packet[offset..offset + 2].copy_from_slice(&length);
            mask(&mut packet, true);
            assert_no_secret(&packet, &message);
            let mut packet = tcp6(message.as_bytes());
            packet[4..6].copy_from_slice(&length);
            mask(&mut packet, true);
            assert_no_secret(&packet, &message);
        }
    }
}

#[test]
fn fragments_have_no_headers_to_trust() {
    for flags in [0x20, 0x01] {
        let mut packet = tcp(format!("GET /a HTTP/1.1\r\nHost: {SECRET}\r\n").as_bytes());
        packet[6] = flags;
        mask(&mut packet, true);
        assert!(packet[20..].iter().all(|byte| *byte == MASK));
    }
}

#[test]
fn dns_stays_and_other_datagrams_do_not() {
    let query = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x01a\0\0\x01\0\x01";
    for (from, to, kept) in [(5_000, 53, true), (53, 5_000, true), (5_000, 5_353, false)] {
        let given = udp(from, to, query);
        let mut packet = given.clone();
        mask(&mut packet, true);
        assert_eq!(packet == given, kept, "{from} {to}");
        assert_eq!(packet[..28], given[..28]);
    }
    for payload in [b"no DNS message".as_slice(), b"ab\0\0\0\0\0\0\0\0\0\0 s3cr3t without a question"] {
        let mut packet = udp(5_000, 53, payload);
        mask(&mut packet, true);
        assert!(packet[28..].iter().all(|byte| *byte == MASK), "{}", payload.escape_ascii());
    }
}

#[test]
fn any_bytes_are_masked_without_a_panic() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    let alphabet = b"GET /?;: HTTP/1.1\r\n0aF,chunkedTransfer-Encoding";
    for round in 0..20_000_usize {
        let mut packet = if round % 2 == 0 { Vec::new() } else { tcp(b"GET / HTTP/1.1\r\n") };
        for _ in 0..usize::from(random()) {
            let byte = random();
            let word = alphabet[usize::from(byte) % alphabet.len()];
            packet.push(if round % 4 < 2 { byte } else { word });
        }
        if round % 3 == 0 && packet.len() > 40 {
            packet[usize::from(random()) % 40] = random();
        }
        let length = packet.len();
        mask(&mut packet, round % 5 > 0);
        assert_eq!(packet.len(), length);
    }
}
