use std::net::Ipv4Addr;

use etherparse::PacketBuilder;

use super::*;
use crate::proto::metadata::Expiry;

/// Who sends everything here: with it, secrets are looked for in answers of the metadata service.
const SERVICE: [IpAddr; 1] = [IpAddr::V4(Ipv4Addr::new(10, 0, 0, 7))];

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
        mask(&mut copy, begins, &[]);
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

/// The same numbers each time.
fn random() -> impl FnMut() -> u8 {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
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
        format!(
            "HTTP/1.1 200 OK\r\nX: \"Expiration\":\"{SECRET}\"\r\n\r\n{{\"Expiration\" : \"{SECRET}\", \
             \"LastUpdated\":\"2026-11-21T10:00:00Z[{SECRET}]\", \"expires_in\":{SECRET}, \"Expiration\":\
             \"2026-11-21T10:00:00Z\"{SECRET}"
        ),
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

const CREDENTIALS: &str = "{\n  \"LastUpdated\" : \"2026-11-21T10:00:00Z\",\n  \"Token\" : \"s3cr3t\",\n  \
                           \"Expiration\" : \"2026-11-21T10:15:00Z\"\n}";

/// An answer's payload, masked; by the metadata service or by another server.
fn answered(payload: &str, begins: bool, service: &[IpAddr]) -> String {
    let mut packet = tcp(payload.as_bytes());
    let start = packet.len() - payload.len();
    mask(&mut packet, begins, service);
    String::from_utf8(packet[start..].to_vec()).unwrap()
}

#[test]
fn an_answer_of_the_metadata_service_keeps_when_the_credentials_expire() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 112\r\n\r\n";
    let body = "xxxx\"LastUpdated\" : \"2026-11-21T10:00:00Z\"xxxxxxxxxxxxxxxxxxxxxxxxxx\"Expiration\" : \
                \"2026-11-21T10:15:00Z\"xx";
    let answer = format!("{head}{CREDENTIALS}");
    assert_eq!(answered(&answer, true, &SERVICE), format!("{head}{body}"));
    assert_eq!(answered(CREDENTIALS, false, &SERVICE), body, "the body in a packet of its own");
    assert_eq!(answered(&answer, true, &[]), format!("{head}{}", "x".repeat(CREDENTIALS.len())));
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(
        answered(&format!("{chunks}16\r\n{{\"a\":1,\"expires_in\":2}}\r\n0\r\n\r\n"), true, &SERVICE),
        format!("{chunks}16\r\nxxxxxxx\"expires_in\":2}}\r\n0\r\n\r\n")
    );
}

#[test]
fn an_expiry_that_two_packets_share_is_masked() {
    let cut = CREDENTIALS.len() - 10;
    let (first, rest) = CREDENTIALS.split_at(cut);
    assert!(answered(first, false, &SERVICE).contains("LastUpdated"));
    assert!(!answered(first, false, &SERVICE).contains("Expiration"));
    assert_eq!(answered(rest, false, &SERVICE), "x".repeat(rest.len()));
}

/// Bytes at the beginning of a masked body that are one field with its expiry, read in another way than the
/// masking does; 0 when there is none.
fn field(body: &str) -> usize {
    let keys = ["\"Expiration\"", "\"LastUpdated\"", "\"expires_in\"", "\"expires_on\""];
    let Some(key) = keys.into_iter().find(|key| body.starts_with(key)) else { return 0 };
    let value = body[key.len()..].trim_ascii_start().strip_prefix(':').unwrap().trim_ascii_start();
    let (value, ends) = value.strip_prefix('"').map_or((value, ",} \r\n"), |quoted| (quoted, "\""));
    let text = &value[..value.find(|c| ends.contains(c)).unwrap()];
    let is_number = text.parse::<i64>().is_ok();
    let is_time = text.bytes().all(|byte| byte.is_ascii_digit() || b"-:.+TZ ".contains(&byte))
        && text.parse::<jiff::Timestamp>().is_ok();
    assert!(is_number || is_time, "{text:?} is kept");
    body.len() - value.len() + text.len() + 1
}

#[test]
fn what_stays_of_any_answer_is_fields_that_hold_a_time_or_a_number() {
    let words = [
        "\"Expiration\"",
        "\"LastUpdated\"",
        "\"expires_in\"",
        "\"expires_on\"",
        "\"Token\"",
        ":",
        ":",
        ":",
        " ",
        "\"",
        "\"",
        ",",
        "}",
        "{",
        "\n",
        "3599",
        "-1",
        "12345678901234",
        "2026-11-21T10:15:00Z",
        "2026-11-21T10:15:00+01:00",
        "2026-11-21T10:15:00Z[s3cr3t]",
        "s3cr3t",
        "\\",
    ];
    let mut random = random();
    let mut kept = 0;
    for _ in 0..20_000 {
        let count = 3 + usize::from(random() % 12);
        let body: String = (0..count).map(|_| words[usize::from(random()) % words.len()]).collect();
        let masked = answered(&body, false, &SERVICE);
        assert_eq!(masked.len(), body.len());
        assert_eq!(Expiry::find(masked.as_bytes()), Expiry::find(body.as_bytes()), "{body:?}");
        let mut at = 0;
        while let Some(rest) = masked.get(at..).filter(|rest| !rest.is_empty()) {
            let length = field(rest);
            kept += usize::from(length > 0);
            assert!(length > 0 || rest.starts_with('x'), "{body:?} leaves {rest:?}");
            // A value's last quote can be the next key's first.
            let shared = usize::from(field(&rest[length.saturating_sub(1)..]) > 0);
            at += if length > 0 { length - shared } else { 1 };
        }
    }
    assert!(kept > 20, "{kept} fields: nothing is shown");
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
                mask(&mut packet, begins, &SERVICE);
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
                mask(&mut cut, true, &SERVICE);
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
            mask(&mut packet, true, &SERVICE);
            assert_no_secret(&packet, &message);
            let mut packet = tcp6(message.as_bytes());
            packet[4..6].copy_from_slice(&length);
            mask(&mut packet, true, &SERVICE);
            assert_no_secret(&packet, &message);
        }
    }
}

#[test]
fn fragments_have_no_headers_to_trust() {
    for flags in [0x20, 0x01] {
        let mut packet = tcp(format!("GET /a HTTP/1.1\r\nHost: {SECRET}\r\n").as_bytes());
        packet[6] = flags;
        mask(&mut packet, true, &SERVICE);
        assert!(packet[20..].iter().all(|byte| *byte == MASK));
    }
}

#[test]
fn dns_stays_and_other_datagrams_do_not() {
    let query = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x01a\0\0\x01\0\x01";
    for (from, to, kept) in [(5_000, 53, true), (53, 5_000, true), (5_000, 5_353, false)] {
        let given = udp(from, to, query);
        let mut packet = given.clone();
        mask(&mut packet, true, &SERVICE);
        assert_eq!(packet == given, kept, "{from} {to}");
        assert_eq!(packet[..28], given[..28]);
    }
    for payload in [b"no DNS message".as_slice(), b"ab\0\0\0\0\0\0\0\0\0\0 s3cr3t without a question"] {
        let mut packet = udp(5_000, 53, payload);
        mask(&mut packet, true, &SERVICE);
        assert!(packet[28..].iter().all(|byte| *byte == MASK), "{}", payload.escape_ascii());
    }
}

#[test]
fn any_bytes_are_masked_without_a_panic() {
    let mut random = random();
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
        mask(&mut packet, round % 5 > 0, &SERVICE);
        assert_eq!(packet.len(), length);
    }
}
