//! What is told of ordinary exchanges.

use super::*;

#[test]
fn a_request_and_its_response() {
    let mut lab = Lab::new();
    let request = get(1, "/items?token=secret");
    lab.client(&request);
    let response = headers(1, END_HEADERS, &[(":status", "200"), ("set-cookie", "secret")]);
    lab.server(&response);
    let body = data(1, END_STREAM, 1000);
    lab.server(&body);

    let head = Head { method: Some("GET"), path: Some("/items".into()), ..Head::default() };
    let protocol = Protocol::Http2 { grpc: false };
    let first = part(3, 3, 3, request.len());
    let begun = Event::Begun { number: 1, protocol, head: head.clone(), request: first };
    let ended = Exchange {
        number: 1,
        protocol,
        head: Head { status: Some(200), ..head },
        request: Some(first),
        response: Some(part(4, 4, 5, response.len() + body.len())),
        outcome: Outcome::Complete,
    };
    assert_eq!(lab.events, [begun, Event::Ended(ended)]);
    assert!(!format!("{lab:?}", lab = lab.connection).contains("secret"));
}

#[test]
fn streams_interleave() {
    let mut lab = Lab::new();
    lab.client(&[get(1, "/a"), get(3, "/b"), get(5, "/c")].concat());
    lab.server(&[headers(3, END_HEADERS, &[(":status", "200")]), answer(5, "404"), data(3, 1, 1)].concat());
    lab.server(&answer(1, "204"));
    let ended: Vec<_> = lab
        .ended()
        .into_iter()
        .map(|exchange| (exchange.number, exchange.head.path, exchange.head.status))
        .collect();
    let path = |path: &str| Some(path.into());
    assert_eq!(ended, [(5, path("/c"), Some(404)), (3, path("/b"), Some(200)), (1, path("/a"), Some(204))]);
}

#[test]
fn a_call_of_grpc() {
    let mut lab = Lab::new();
    let call = [(":method", "POST"), (":path", "/pkg.S/M"), ("content-type", "application/grpc")];
    lab.client(&[headers(1, END_HEADERS, &call), data(1, END_STREAM, 20)].concat());
    lab.server(&[headers(1, END_HEADERS, &[(":status", "200")]), data(1, 0, 20)].concat());
    assert_eq!(lab.begun(), [1]);
    assert!(lab.ended().is_empty());
    lab.server(&headers(1, WHOLE, &[("grpc-status", "5"), ("grpc-message", "secret")]));
    let exchange = lab.ended().remove(0);
    assert_eq!(exchange.protocol, Protocol::Http2 { grpc: true });
    assert_eq!((exchange.head.status, exchange.head.grpc_status), (Some(200), Some(5)));
    assert_eq!(exchange.response.unwrap().last, seen(5), "the trailers end it");
}

#[test]
fn a_response_of_trailers_only() {
    let mut lab = Lab::new();
    lab.client(&get(1, "/pkg.S/M"));
    lab.server(&headers(1, WHOLE, &[(":status", "200"), ("grpc-status", "12")]));
    let exchange = lab.ended().remove(0);
    assert_eq!(exchange.protocol, Protocol::Http2 { grpc: true });
    assert_eq!((exchange.head.grpc_status, exchange.outcome), (Some(12), Outcome::Complete));
}

#[test]
fn an_interim_response_is_not_the_response() {
    let mut lab = Lab::new();
    lab.client(&get(1, "/"));
    lab.server(&headers(1, END_HEADERS, &[(":status", "103"), ("link", "</a>")]));
    let response = answer(1, "200");
    lab.server(&response);
    let exchange = lab.ended().remove(0);
    assert_eq!((exchange.head.status, exchange.response), (Some(200), Some(part(5, 5, 5, response.len()))));
}

#[test]
fn a_response_may_end_before_its_request() {
    let mut lab = Lab::new();
    let upload = headers(1, END_HEADERS, &[(":method", "POST"), (":path", "/up")]);
    lab.client(&[upload.clone(), data(1, 0, 100)].concat());
    lab.server(&answer(1, "413"));
    assert!(lab.ended().is_empty(), "the request goes on");
    lab.client(&data(1, 0, 100));
    lab.server(&reset(1, 0));
    let exchange = lab.ended().remove(0);
    assert_eq!(exchange.outcome, Outcome::Complete);
    assert_eq!(exchange.request, Some(part(3, 3, 5, upload.len() + 218)));
    assert_eq!(exchange.response.unwrap().last, seen(4));
}

#[test]
fn a_pushed_stream_is_a_response_without_a_request() {
    let mut lab = Lab::new();
    lab.client(&get(1, "/"));
    let promise =
        [2u32.to_be_bytes().to_vec(), block(&[(":method", "GET"), ("+:path", "/style.css")])].concat();
    lab.server(&frame(5, END_HEADERS, 1, &promise));
    let response = answer(2, "200");
    lab.server(&response);
    let exchange = lab.ended().remove(0);
    assert_eq!((exchange.number, exchange.request), (2, None));
    assert_eq!((exchange.head.path.as_deref(), exchange.head.status), (Some("/style.css"), Some(200)));
    assert_eq!(exchange.response, Some(part(5, 5, 5, response.len())));
}

#[test]
fn padding_priority_and_continuations() {
    let mut lab = Lab::new();
    let fields = block(&[(":method", "GET"), (":path", "/long")]);
    let (begin, rest) = fields.split_at(7);
    let padded = [&[3, 0, 0, 0, 0, 16], begin, &[0; 3]].concat();
    let request = [
        frame(1, 0x29, 1, &padded),
        frame(9, 0, 1, &rest[..2]),
        frame(9, 0, 1, &[]),
        frame(9, END_HEADERS, 1, &rest[2..]),
    ];
    for bytes in &request {
        lab.client(bytes);
    }
    let Event::Begun { head, request: told, .. } = &lab.events[0] else { panic!("{:?}", lab.events) };
    assert_eq!(head.path.as_deref(), Some("/long"));
    assert_eq!(Some(*told), Some(part(3, 6, 6, request.concat().len())));
    lab.server(&answer(1, "200"));
    assert_eq!(lab.outcomes(), [(1, Outcome::Complete)], "END_STREAM was on the first frame");
}

#[test]
fn what_is_no_message_is_skipped() {
    let mut lab = Lab::new();
    lab.client(
        &[frame(2, 0, 5, &[0; 5]), frame(0xfe, 0xff, 9, b"extension"), frame(6, 0, 0, &[0; 8])].concat(),
    );
    lab.server(
        &[frame(6, 1, 0, &[0; 8]), frame(4, 1, 0, &[]), window_update(0, 9), data(77, 1, 10)].concat(),
    );
    lab.client(&get(7, "/"));
    lab.server(&[data(7, 0, 3), answer(7, "200")].concat());
    assert_eq!(lab.outcomes(), [(7, Outcome::Complete)]);
    let counters = lab.connection.counters();
    assert_eq!((counters.client.pings, counters.server.ping_acks, counters.server.settings), (1, 1, 1));
    assert!(!counters.broken);
}

#[test]
fn an_upgraded_request_is_stream_1() {
    let request = part(1, 1, 1, 120);
    let head = Head { method: Some("GET"), path: Some("/".into()), ..Head::default() };
    let mut lab = Lab::over(Connection::upgraded(request, head));
    lab.server(&settings(&[]));
    lab.server(&answer(1, "200"));
    lab.client(&[PREFACE.to_vec(), settings(&[]), get(3, "/next")].concat());
    assert_eq!(lab.begun(), [3], "the first one was told by HTTP/1");
    let exchange = lab.ended().remove(0);
    assert_eq!((exchange.number, exchange.request, exchange.head.status), (1, Some(request), Some(200)));
}

#[test]
fn time_at_a_closed_window_is_counted() {
    let mut lab = Lab::new();
    lab.client(&[settings(&[(4, 100)]), get(1, "/"), get(3, "/")].concat());
    let head = |stream| headers(stream, END_HEADERS, &[(":status", "200")]);
    lab.server(&[head(1), data(1, 0, 100), head(3), data(3, 0, 99)].concat());
    lab.client(&window_update(0, 5));
    lab.client(&window_update(1, 1));
    let sent = lab.connection.counters().server;
    assert_eq!((sent.streams_stalled, sent.connection_stalled), (20, 0));
    let chunks: Vec<u8> = (0..4).flat_map(|_| data(3, 0, 16_345)).collect();
    lab.server(&chunks);
    lab.client(&window_update(0, 1 << 20));
    assert_eq!(lab.connection.counters().server.connection_stalled, 10);
}
