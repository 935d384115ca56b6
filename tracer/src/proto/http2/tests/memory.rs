//! What a connection holds, and what it does when there is no room for it.

use super::*;

/// Has the connection give way until it holds as much.
fn shed(lab: &mut Lab, room: usize) {
    let seen = lab.seen();
    let events = &mut lab.events;
    lab.connection.shed(room, seen, &mut |event| events.push(event));
}

#[test]
fn a_connection_that_answered_holds_next_to_nothing() {
    let mut lab = Lab::new();
    lab.client(&headers(1, WHOLE, &[(":method", "GET"), (":path", "/a")]));
    lab.server(&answer(1, "200"));
    assert!(lab.connection.held() < 1024, "{}", lab.connection.held());
}

#[test]
fn header_tables_streams_and_blocks_are_held() {
    let mut lab = Lab::new();
    let mut held = lab.connection.held();
    let mut grows = |lab: &Lab, by: usize, what: &str| {
        assert!(lab.connection.held() >= held + by, "{what}: {} after {held}", lab.connection.held());
        held = lab.connection.held();
    };
    let entries = "0123456789".repeat(10);
    for number in 0..10 {
        lab.client(&headers(2 * number + 1, WHOLE, &[("+:path", &format!("/{number}{entries}"))]));
        lab.server(&answer(2 * number + 1, "200"));
    }
    grows(&lab, 10 * 100, "entries");
    lab.client(&[get(21, "/"), get(23, "/"), get(25, "/")].concat());
    grows(&lab, 2 * size_of::<Exchange>(), "streams");
    lab.client(&frame(1, END_STREAM, 27, &[0; 5000]));
    grows(&lab, 5000, "a block");
}

#[test]
fn the_header_table_goes_first() {
    let mut lab = Lab::new();
    lab.client(&headers(1, WHOLE, &[(":method", "GET"), ("+:path", "/old")]));
    lab.client(&headers(3, WHOLE, &[(":method", "GET"), ("+:path", "/new")]));
    let room = lab.connection.held() - 1;
    shed(&mut lab, room);
    assert!(lab.connection.held() <= room);
    assert_eq!(lab.outcomes(), []);
    lab.client(&frame(1, WHOLE, 5, &[0x82, 0xbe]));
    let Some(Event::Begun { head, .. }) = lab.events.pop() else { panic!("a request") };
    assert_eq!((head.method, head.path), (Some("GET"), None));
    let counters = lab.connection.counters();
    assert_eq!((counters.client.tables_cut, counters.server.tables_cut, counters.streams_cut), (1, 0, 0));
}

#[test]
fn then_the_oldest_streams_end_as_cut() {
    let mut lab = Lab::new();
    lab.client(&[get(1, "/"), get(3, "/"), get(5, "/")].concat());
    shed(&mut lab, 0);
    assert_eq!(lab.outcomes(), [(1, Outcome::Cut), (3, Outcome::Cut)]);
    assert_eq!(lab.connection.counters().streams_cut, 2);
    assert_eq!(lab.connection.held(), 0);
    lab.server(&answer(5, "200"));
    assert_eq!(lab.outcomes(), [(5, Outcome::Complete)]);
}

#[test]
fn a_block_under_way_is_not_read() {
    let mut lab = Lab::new();
    lab.client(&frame(1, END_STREAM, 1, &block(&[(":path", "/a")])));
    shed(&mut lab, 0);
    assert_eq!(lab.connection.held(), 0);
    lab.client(&frame(9, END_HEADERS, 1, &block(&[(":method", "GET")])));
    lab.server(&answer(1, "200"));
    let exchange = lab.ended().remove(0);
    assert_eq!((exchange.head.method, exchange.head.status), (None, Some(200)));
    assert_eq!(lab.connection.counters().client.blocks_cut, 1);
}
