//! Exchanges that do not end by themselves.

use super::*;

const CLIENT: Outcome = Outcome::Aborted(Side::Client);
const SERVER: Outcome = Outcome::Aborted(Side::Server);

#[test]
fn a_reset_ends_a_stream() {
    let mut lab = Lab::new();
    lab.client(&[get(1, "/"), get(3, "/")].concat());
    lab.client(&reset(1, 8));
    lab.server(&reset(3, 7));
    lab.server(&answer(1, "200"));
    assert_eq!(lab.outcomes(), [(1, CLIENT), (3, SERVER)]);
    let counters = lab.connection.counters();
    assert_eq!((counters.client.resets[8], counters.server.resets[7]), (1, 1));
}

#[test]
fn goaway_ends_what_the_server_does_not_act_on() {
    let mut lab = Lab::new();
    lab.client(&[get(1, "/"), get(3, "/"), get(5, "/")].concat());
    lab.server(&goaway((1 << 31) - 1, 0));
    assert_eq!(lab.outcomes(), []);
    lab.server(&goaway(1, 2));
    assert_eq!(lab.outcomes(), [(3, SERVER), (5, SERVER)]);
    lab.client(&get(7, "/"));
    assert_eq!((lab.begun(), lab.outcomes()), (vec![7], vec![(7, SERVER)]));
    lab.server(&answer(1, "200"));
    assert_eq!(lab.outcomes(), [(1, Outcome::Complete)]);
    assert_eq!(lab.connection.counters().server.goaway, Some(Goaway { last: 1, code: 2 }));
}

#[test]
fn a_close_ends_what_can_not_go_on() {
    let mut lab = Lab::new();
    let upload = headers(3, END_HEADERS, &[(":method", "POST"), (":path", "/up")]);
    lab.client(&[get(1, "/"), upload, get(5, "/")].concat());
    lab.end(Side::Client, End::Fin);
    assert_eq!(lab.outcomes(), [(3, CLIENT)], "the others can be answered");
    lab.server(&answer(1, "200"));
    lab.end(Side::Server, End::Fin);
    assert_eq!(lab.outcomes(), [(1, Outcome::Complete), (5, CLIENT)], "by who closed first");

    let mut lab = Lab::new();
    lab.client(&get(1, "/"));
    lab.end(Side::Server, End::Fin);
    assert_eq!(lab.outcomes(), [(1, SERVER)]);
}

#[test]
fn a_reset_connection_and_the_end_of_the_capture() {
    for (end, outcome) in [(End::Reset, SERVER), (End::Unknown, Outcome::Cut)] {
        let mut lab = Lab::new();
        lab.client(&[get(1, "/"), get(3, "/")].concat());
        lab.server(&headers(1, END_HEADERS, &[(":status", "200")]));
        lab.end(Side::Server, end);
        assert_eq!(lab.outcomes(), [(1, outcome), (3, outcome)]);
        lab.client(&get(5, "/"));
        assert_eq!(lab.events, [], "nothing is read after it");
    }
}

#[test]
fn what_is_answered_is_complete_however_it_ends() {
    let mut lab = Lab::new();
    lab.client(&headers(1, END_HEADERS, &[(":method", "POST"), (":path", "/up")]));
    lab.server(&answer(1, "200"));
    lab.end(Side::Client, End::Unknown);
    assert_eq!(lab.outcomes(), [(1, Outcome::Complete)]);
}

#[test]
fn too_many_streams_end_the_oldest() {
    let mut lab = Lab::new();
    let limit = u32::try_from(STREAM_LIMIT).unwrap();
    for number in 0..=limit {
        lab.client(&get(2 * number + 1, "/"));
    }
    assert_eq!(lab.outcomes(), [(1, Outcome::Cut)]);
    assert_eq!(lab.connection.counters().streams_cut, 1);
}

#[test]
fn an_answer_before_its_request_waits_for_it() {
    // A capture may hold the server's bytes back less than the client's.
    let mut lab = Lab::new();
    lab.server(&answer(3, "200"));
    lab.client(&get(1, "/a"));
    assert_eq!(lab.outcomes(), []);
    lab.client(&get(3, "/b"));
    assert_eq!(lab.begun(), [3]);
    let exchange = lab.ended().remove(0);
    assert_eq!(
        (exchange.number, exchange.head.path.as_deref(), exchange.head.status),
        (3, Some("/b"), Some(200))
    );
}

#[test]
fn what_is_not_http2_breaks_the_connection() {
    let lies = [
        frame(9, END_HEADERS, 1, &[]),
        data(0, 0, 1),
        frame(4, 0, 0, &[0; 5]),
        frame(8, 0, 0, &[0; 3]),
        data(1, 0, 16 * 1024 + 1),
        frame(1, 0x0c, 3, &[9, 1, 2]),
        [frame(1, END_STREAM, 3, &[]), data(3, 0, 1)].concat(),
        b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
    ];
    for lie in lies {
        let mut lab = Lab::new();
        lab.client(&get(1, "/"));
        lab.server(&lie);
        lab.server(&answer(1, "200"));
        lab.client(&get(5, "/"));
        assert_eq!(lab.outcomes(), [(1, Outcome::Cut)], "{lie:?}");
        assert!(lab.connection.counters().broken);
    }
    for begin in [b"GET / HTTP/1.1\r\n\r\n".to_vec(), [&PREFACE[..], &get(1, "/")].concat()] {
        let mut lab = Lab::over(Connection::new());
        lab.client(&begin);
        assert!(lab.connection.counters().broken, "neither a preface nor SETTINGS: {begin:?}");
    }
}

#[test]
fn a_longer_frame_has_to_be_allowed() {
    let mut lab = Lab::new();
    lab.client(&[settings(&[(5, 20_000)]), get(1, "/")].concat());
    lab.server(&[headers(1, END_HEADERS, &[(":status", "200")]), data(1, 1, 20_000)].concat());
    assert_eq!(lab.outcomes(), [(1, Outcome::Complete)]);
}

#[test]
fn nothing_follows_the_end_of_a_message() {
    let mut lab = Lab::new();
    lab.client(&headers(1, END_HEADERS, &[(":method", "POST"), (":path", "/up")]));
    lab.server(&answer(1, "200"));
    lab.server(&[data(1, 0, 10), answer(1, "500")].concat());
    lab.client(&data(1, END_STREAM, 0));
    let exchange = lab.ended().remove(0);
    assert_eq!(exchange.head.status, Some(200));
    assert_eq!(exchange.response, Some(part(4, 4, 4, answer(1, "200").len())));
}
