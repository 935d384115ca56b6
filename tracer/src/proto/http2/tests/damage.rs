//! Bytes that are missing, and connections joined in the middle.

use super::*;

#[test]
fn missing_data_is_counted() {
    let mut lab = Lab::new();
    lab.client(&get(1, "/"));
    let head = headers(1, END_HEADERS, &[(":status", "200")]);
    lab.server(&[head.clone(), data(1, END_STREAM, 1000)[..109].to_vec()].concat());
    lab.gap(Side::Server, 500);
    lab.gap(Side::Server, 400);
    let exchange = lab.ended().remove(0);
    assert_eq!(exchange.outcome, Outcome::Complete);
    assert_eq!(exchange.response, Some(part(4, 4, 6, head.len() + 1009)));
}

#[test]
fn a_header_block_with_a_hole_hides_its_fields_and_the_older_entries() {
    let mut lab = Lab::new();
    lab.client(&headers(1, WHOLE, &[(":method", "GET"), ("+:path", "/old")]));
    let request = headers(3, WHOLE, &[(":method", "GET"), ("+:path", "/lost")]);
    lab.client(&request[..15]);
    lab.gap(Side::Client, request.len() as u64 - 15);
    // The entry of "/lost", then that of "/old".
    lab.client(&[frame(1, WHOLE, 5, &[0x82, 0xbe]), frame(1, WHOLE, 7, &[0x82, 0xbf])].concat());
    lab.client(&headers(9, WHOLE, &[("+:path", "/new")]));
    lab.client(&frame(1, WHOLE, 11, &[0xbe]));
    let begun: Vec<_> = lab
        .events
        .iter()
        .map(|event| match event {
            Event::Begun { number, head, .. } => (*number, head.method, head.path.as_deref()),
            other => panic!("{other:?}"),
        })
        .collect();
    let known = [(9, None, Some("/new")), (11, None, Some("/new"))];
    let hidden = [(3, None, None), (5, Some("GET"), None), (7, Some("GET"), None)];
    assert_eq!(begun[0], (1, Some("GET"), Some("/old")));
    assert_eq!(begun[1..4], hidden);
    assert_eq!(begun[4..], known);
    assert_eq!(lab.connection.counters().client.blocks_unread, 1);
    assert_eq!(lab.connection.counters().client.losses, 0);
}

#[test]
fn a_long_header_block_is_not_read() {
    let mut lab = Lab::new();
    lab.client(&frame(1, END_STREAM, 1, &block(&[(":path", "/a")])));
    for _ in 0..16 {
        lab.client(&frame(9, 0, 1, &[0; 16 * 1024]));
    }
    lab.client(&frame(9, END_HEADERS, 1, &[]));
    let mut many = frame(1, END_STREAM, 3, &[]);
    (0..65).for_each(|_| many.extend(frame(9, 0, 3, &[])));
    lab.client(&[many, frame(9, END_HEADERS, 3, &[0x82])].concat());
    assert_eq!(lab.begun(), [1, 3]);
    assert_eq!(lab.connection.counters().client.blocks_cut, 2);
    lab.server(&[answer(1, "200"), answer(3, "200")].concat());
    let heads: Vec<_> =
        lab.ended().into_iter().map(|exchange| (exchange.head.method, exchange.head.status)).collect();
    assert_eq!(heads, [(None, Some(200)), (None, Some(200))]);
}

#[test]
fn a_hole_over_a_frame_header_cuts_what_needs_that_direction() {
    let mut lab = Lab::new();
    let upload = headers(3, END_HEADERS, &[(":method", "POST"), (":path", "/up")]);
    lab.client(&[get(1, "/"), upload].concat());
    lab.gap(Side::Client, 1);
    assert_eq!(lab.outcomes(), [(3, Outcome::Cut)]);
    lab.server(&answer(1, "200"));
    assert_eq!(lab.outcomes(), [(1, Outcome::Complete)]);
    lab.server(&answer(5, "204"));
    let exchange = lab.ended().remove(0);
    assert_eq!((exchange.number, exchange.request, exchange.outcome), (5, None, Outcome::Complete));
    assert_eq!(lab.connection.counters().client.losses, 1);
}

#[test]
fn a_hole_in_the_answers_cuts_all() {
    let mut lab = Lab::new();
    lab.client(&[get(1, "/"), get(3, "/")].concat());
    lab.gap(Side::Server, 100);
    assert_eq!(lab.outcomes(), [(1, Outcome::Cut), (3, Outcome::Cut)]);
    lab.client(&get(5, "/"));
    assert_eq!(lab.outcomes(), []);
    // Frames are found with the fourth; an answer to the fifth may have been before it.
    lab.server(&[window_update(0, 1), answer(1, "200"), window_update(0, 1), window_update(0, 1)].concat());
    assert_eq!(lab.outcomes(), [(5, Outcome::Cut)]);
    lab.client(&get(7, "/"));
    lab.server(&answer(7, "200"));
    assert_eq!(lab.outcomes(), [(7, Outcome::Complete)]);
}

#[test]
fn a_connection_is_joined_at_a_chain_of_frames() {
    let mut lab = Lab::over(Connection::joined());
    lab.client(b"the end of some body that was sent before");
    lab.client(&[get(11, "/a"), get(13, "/b"), get(15, "/c")].concat());
    assert!(lab.begun().is_empty(), "three frames may be chance");
    lab.client(&frame(1, WHOLE, 17, &[0x82, 0xbe, 0x86]));
    let Event::Begun { number: 17, head, .. } = &lab.events[0] else { panic!("{:?}", lab.events) };
    assert_eq!((head.method, &head.path), (Some("GET"), &None), "its path was said before");
    lab.server(&[answer(11, "200"), answer(13, "200"), answer(15, "200")].concat());
    lab.client(&headers(19, WHOLE, &[(":method", "GET"), (":path", "/d")]));
    assert_eq!(lab.outcomes(), []);
    lab.server(&window_update(0, 100));
    assert_eq!(lab.outcomes(), [(17, Outcome::Cut), (19, Outcome::Cut)], "they may have been answered");
    lab.client(&get(21, "/e"));
    lab.server(&answer(21, "200"));
    assert_eq!(lab.outcomes(), [(21, Outcome::Complete)]);
}

#[test]
fn trailers_of_a_stream_from_before_are_no_exchange() {
    let mut lab = Lab::over(Connection::joined());
    lab.server(&[(); 4].map(|()| window_update(0, 1)).concat());
    lab.client(&[(); 4].map(|()| window_update(0, 1)).concat());
    lab.server(&[data(5, 0, 10), headers(5, WHOLE, &[("grpc-status", "0")])].concat());
    lab.client(&[data(7, 0, 10), headers(7, WHOLE, &[("trailer", "x")])].concat());
    assert_eq!(lab.events, []);
    lab.server(&answer(9, "200"));
    let exchange = lab.ended().remove(0);
    assert_eq!((exchange.number, exchange.request, exchange.head.status), (9, None, Some(200)));
}

#[test]
fn a_chain_goes_on_over_deliveries_and_missing_payload() {
    let mut lab = Lab::over(Connection::joined());
    let body = data(1, 0, 1000);
    lab.server(&body[..300]);
    lab.gap(Side::Server, 500);
    lab.server(&body[800..]);
    let frames = [window_update(0, 1), window_update(1, 1), frame(6, 0, 0, &[0; 8])].concat();
    for byte in &frames {
        lab.server(&[*byte]);
    }
    assert_eq!(lab.connection.counters().server.pings, 1);
    lab.gap(Side::Server, 1);
    lab.server(&frame(6, 0, 0, &[0; 8]));
    assert_eq!(lab.connection.counters().server.pings, 1, "searching again");
}
