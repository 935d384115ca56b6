//! Gaps, ends and malice.

use super::*;

fn post(fields: &str) -> Vec<u8> {
    format!("POST /p HTTP/1.1\r\n{fields}\r\n\r\n").into_bytes()
}

#[test]
fn a_gap_inside_a_body_only_counts() {
    let mut watch = Watch::default();
    watch.client(&post("Content-Length: 10"));
    watch.gap(Client, 10);
    watch.server(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nh");
    watch.gap(Server, 4);
    watch.server(b"\r\n0\r\n\r\n");
    assert_eq!(watch.ended(), ["1 POST /p 200 50/62 Complete"]);
    assert_eq!(watch.http.counts(), Counts::default());
}

#[test]
fn after_a_gap_a_certain_start_line_is_the_next_message() {
    let mut watch = Watch::default();
    watch.client(GET);
    watch.gap(Server, 100);
    watch.server(b"tail of an unseen body");
    watch.client(GET);
    watch.server(b"HTTP/1.1 20");
    watch.server(OK);
    watch.client(GET);
    watch.server(OK);
    assert_eq!(
        watch.ended(),
        ["1 GET /a 0 30/- Cut", "2 GET /a 200 30/43 Complete", "3 GET /a 200 30/43 Complete"]
    );
    assert_eq!(watch.http.counts(), Counts { gaps: 1, skipped_bytes: 33, ..Counts::default() });
}

#[test]
fn a_gap_that_may_hide_an_end_cuts_the_exchange() {
    let mut watch = Watch::default();
    watch.client(GET);
    watch.server(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nh");
    watch.gap(Server, 5);
    watch.server(OK);
    watch.client(&post("Transfer-Encoding: chunked"));
    watch.gap(Client, 9);
    watch.client(b"0\r\n\r\n");
    watch.server(OK);
    watch.client(GET);
    watch.server(OK);
    assert_eq!(
        watch.ended(),
        [
            "1 GET /a 200 30/51 Cut",
            "2 - - 200 -/43 Complete",
            "3 POST /p 200 48/43 Cut",
            "4 GET /a 200 30/43 Complete"
        ]
    );
}

#[test]
fn a_gap_past_the_end_of_a_body_ends_it() {
    let mut watch = Watch::default();
    watch.client(GET);
    watch.server(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nh");
    watch.gap(Server, 50);
    watch.server(b"\r\nHTTP/1.1 200 OK\r\n\r\n");
    watch.client(GET);
    watch.client(GET);
    watch.end(Server, End::Fin);
    assert_eq!(watch.http.counts().gaps, 1);
    assert_eq!(watch.ended(), ["1 GET /a 200 30/43 Complete", "2 GET /a 0 30/- Cut", "3 GET /a 0 30/- Cut"]);
}

#[test]
fn requests_in_a_gap_leave_responses_without_one() {
    let mut watch = Watch::default();
    watch.client(b"x HTTP/1.1\r\n\r\n");
    watch.server(OK);
    watch.gap(Client, 30);
    watch.server(OK);
    watch.client(GET);
    watch.server(OK);
    assert_eq!(
        watch.ended(),
        ["1 - - 200 -/43 Complete", "2 - - 200 -/43 Complete", "3 GET /a 200 30/43 Complete"]
    );
    assert_eq!(watch.http.counts().bad_heads, 1);
}

#[test]
fn the_response_to_an_unseen_head_has_no_body() {
    let mut watch = Watch::default();
    watch.server(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n");
    watch.client(GET);
    watch.server(OK);
    assert_eq!(watch.ended(), ["1 - - 200 -/39 Complete", "2 GET /a 200 30/43 Complete"]);
}

#[test]
fn a_response_without_length_ends_when_the_next_one_begins() {
    let mut watch = Watch::default();
    for _ in 0..2 {
        watch.client(GET);
        watch.server(b"HTTP/1.1 200 OK\r\nServer: careless\r\n\r\n");
    }
    watch.end(Client, End::Reset);
    assert_eq!(watch.http.counts(), Counts { early_ends: 1, ..Counts::default() });
    assert_eq!(watch.ended(), ["1 GET /a 200 30/37 Complete", "2 GET /a 200 30/37 Aborted(Client)"]);
}

#[test]
fn who_ends_first_aborts() {
    let half = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf".as_slice();
    for (ends, response, expected) in [
        ([(Server, End::Fin), (Client, End::Fin)], b"".as_slice(), "1 GET /a 0 30/- Aborted(Server)"),
        ([(Client, End::Fin), (Server, End::Fin)], b"", "1 GET /a 0 30/- Aborted(Client)"),
        ([(Client, End::Fin), (Server, End::Reset)], half, "1 GET /a 200 30/42 Aborted(Client)"),
        ([(Server, End::Reset), (Client, End::Fin)], half, "1 GET /a 200 30/42 Aborted(Server)"),
        ([(Server, End::Unknown), (Client, End::Unknown)], half, "1 GET /a 200 30/42 Cut"),
    ] {
        let mut watch = Watch::default();
        watch.client(GET);
        watch.server(response);
        for (side, end) in ends {
            watch.end(side, end);
        }
        assert_eq!(watch.ended(), [expected]);
        watch.client(GET);
        watch.server(OK);
        assert_eq!(watch.events.len(), 2, "nothing comes after the end");
    }
}

#[test]
fn a_client_that_closed_may_still_be_answered() {
    let mut watch = Watch::default();
    watch.client(&[post("Content-Length: 5"), b"abc".to_vec()].concat());
    watch.end(Client, End::Fin);
    watch.server(b"HTTP/1.1 400 Bad\r\n\r\nfew");
    watch.end(Server, End::Fin);
    assert_eq!(watch.ended(), ["1 POST /p 400 42/23 Complete"]);
}

#[test]
fn framings_that_contradict_are_counted() {
    for fields in ["Content-Length: 1\r\nContent-Length: 2", "Content-Length: -1", "Transfer-Encoding: gzip"]
    {
        let mut watch = Watch::default();
        watch.client(&[&post(fields), GET].concat());
        watch.server(b"HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n");
        watch.client(GET);
        watch.server(b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\nhello");
        watch.server(OK);
        let sent = fields.len() + 22;
        let expected =
            [&format!("1 POST /p 400 {sent}/39 Cut"), "2 GET /a 200 30/57 Cut", "3 - - 200 -/43 Complete"];
        assert_eq!(watch.ended(), expected, "{fields}");
        assert_eq!(watch.http.counts(), Counts { bad_framings: 2, skipped_bytes: 35, ..Counts::default() });
    }
}

#[test]
fn chunks_that_overflow_are_counted() {
    let mut watch = Watch::default();
    watch.client(GET);
    watch.server(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\nx");
    watch.client(GET);
    watch.server(OK);
    assert_eq!(watch.ended(), ["1 GET /a 200 30/64 Cut", "2 GET /a 200 30/43 Complete"]);
    assert_eq!(watch.http.counts(), Counts { bad_framings: 1, skipped_bytes: 3, ..Counts::default() });
}

#[test]
fn the_largest_length_is_no_overflow() {
    let mut watch = Watch::default();
    watch.client(&post(&format!("Content-Length: {}", u64::MAX)));
    watch.gap(Client, u64::MAX - 1);
    watch.gap(Client, u64::MAX);
    watch.end(Client, End::Reset);
    assert_eq!(watch.ended(), [format!("1 POST /p 0 {}/- Aborted(Client)", u64::MAX)]);
}

#[test]
fn heads_are_not_endless() {
    for (start, more) in [
        ("GET /", "xxxxxxxx"),
        ("GET / HTTP/1.1\r\n", "A: b\r\n"),
        ("GET / HTTP/1.1\r\nA: ", "\0\0\0\0"),
        ("GET / HTTP/1.1\r\nA: b\r\n", " folded\n"),
    ] {
        let mut watch = Watch::default();
        watch.client(start.as_bytes());
        for _ in 0..20_000 {
            watch.client(more.as_bytes());
        }
        assert!(watch.events.is_empty());
        assert_eq!(watch.http.counts().bad_heads, 1);
        assert_eq!(watch.http.counts().skipped_bytes, (start.len() + 20_000 * more.len()) as u64);
        watch.client(GET);
        watch.server(OK);
        assert_eq!(watch.ended(), ["1 GET /a 200 30/43 Complete"]);
    }
}

#[test]
fn many_fields_are_fine() {
    let mut watch = Watch::default();
    watch.client(
        &[post(&"A: b\r\n".repeat(5000)).trim_ascii_end(), b"\r\nContent-Length: 3\r\n\r\nabc"].concat(),
    );
    watch.server(OK);
    assert_eq!(watch.ended(), ["1 POST /p 200 30042/43 Complete"]);
}

#[test]
fn a_pipeline_has_an_end() {
    let mut watch = Watch::default();
    for _ in 0..=exchanges::OUTSTANDING_LIMIT {
        watch.client(GET);
    }
    assert_eq!(watch.ended().len(), exchanges::OUTSTANDING_LIMIT);
    watch.server(OK);
    assert_eq!(watch.ended().last().unwrap(), "1025 GET /a 200 30/43 Complete");
    assert_eq!(watch.http.counts(), Counts { overflows: 1, ..Counts::default() });
}

#[test]
fn without_room_requests_in_flight_are_given_up() {
    let mut watch = Watch::default();
    (0..10).for_each(|_| watch.client(GET));
    assert!(watch.http.held() > 10 * 100);
    watch.shed(0);
    assert_eq!((watch.ended().len(), watch.http.held()), (10, 0));
    assert_eq!(watch.http.counts(), Counts { overflows: 1, ..Counts::default() });
    watch.client(GET);
    watch.server(OK);
    assert_eq!(watch.ended()[10], "11 GET /a 200 30/43 Complete");
}

#[test]
fn without_room_a_head_under_way_is_lost_and_requests_stay() {
    let mut watch = Watch::default();
    watch.client(GET);
    watch.server(&[b"HTTP/1.1 200 OK\r\nCookie: ".as_slice(), &[b'x'; 5000]].concat());
    assert!(watch.http.held() > 5000);
    watch.shed(1000);
    assert!(watch.http.held() < 1000);
    watch.server(b"x\r\n\r\n");
    watch.client(GET);
    watch.server(OK);
    assert_eq!(watch.ended(), ["1 GET /a 0 30/- Cut", "2 GET /a 200 30/43 Complete"]);
    assert_eq!(watch.http.counts().bad_heads, 1);
}

#[test]
fn other_protocols_are_skipped() {
    for bytes in [
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc".as_slice(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"EHLO you\r\n",
        b"\0",
    ] {
        let mut watch = Watch::default();
        watch.client(bytes);
        watch.server(bytes);
        watch.end(Server, End::Fin);
        assert_eq!(watch.events, []);
        let skipped_bytes = 2 * bytes.len() as u64;
        assert_eq!(watch.http.counts(), Counts { bad_heads: 2, skipped_bytes, ..Counts::default() });
    }
}
