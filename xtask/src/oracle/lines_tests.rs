use super::*;

const FLOW: &str = r#"{"kind":"flow","flow":3,"client":"10.0.0.1:4000","server":"10.0.0.2:80","handshake_rtt":198000,"bytes_client":10,"bytes_server":20,"packets":9,"resets":[8,9]}"#;

fn flow() -> Flow {
    name_flows([(3, ("10.0.0.1:4000".parse().unwrap(), "10.0.0.2:80".parse().unwrap()))])[&3]
}

#[test]
fn nothing_said_is_nothing_seen() {
    assert_eq!(parse("").unwrap(), Observed::default());
    assert_eq!(parse("{\"kind\":\"capture\",\"packets\":3}\n").unwrap(), Observed::default());
}

#[test]
fn an_answer_has_a_time_and_a_query() {
    let observed = parse(
        r#"{"kind":"dns","packet":2,"query_packet":1,"time":45000,"rcode":0,"id":7,"name":"a.","type":"A"}"#,
    )
    .unwrap();
    assert_eq!(observed.get(Kind::DnsTime, Key::Frame(2)), [Value::Time(45_000)]);
    assert_eq!(observed.get(Kind::DnsQuery, Key::Frame(2)), [Value::Number(1)]);
}

#[test]
fn a_response_without_a_request_has_a_status_only() {
    let observed = parse(
        r#"{"kind":"http","packet":5,"request_packet":null,"time":null,"method":null,"path":null,"status":200,"flow":3}"#,
    )
    .unwrap();
    assert_eq!(observed.keys().collect::<Vec<_>>(), [(Kind::HttpStatus, Key::Frame(5))]);
}

#[test]
fn a_flow_has_bytes_of_both_sides_and_resets() {
    let observed = parse(FLOW).unwrap();
    let side = |address: &str| Key::Side(flow(), address.parse().unwrap());
    assert_eq!(observed.get(Kind::FlowBytes, side("10.0.0.1:4000")), [Value::Number(10)]);
    assert_eq!(observed.get(Kind::FlowBytes, side("10.0.0.2:80")), [Value::Number(20)]);
    assert_eq!(observed.get(Kind::FlowPackets, Key::Flow(flow())), [Value::Number(9)]);
    assert_eq!(observed.get(Kind::HandshakeRtt, Key::Flow(flow())), [Value::Time(198_000)]);
    assert_eq!(observed.get(Kind::Reset, Key::Frame(9)), [Value::Seen]);
}

#[test]
fn a_stream_may_come_before_its_flow() {
    let stream = r#"{"kind":"http2","flow":3,"stream":1,"method":"POST","path":"/a.B/C?d","status":200,"grpc_status":5,"packet":6,"request_packet":4}"#;
    let observed = parse(&format!("{stream}\n{FLOW}\n")).unwrap();
    let key = Key::Stream(flow(), 1);
    assert_eq!(observed.get(Kind::Http2Stream, key), [Value::Text("POST /a.B/C 200".to_owned())]);
    assert_eq!(observed.get(Kind::GrpcStatus, key), [Value::Number(5)]);
    assert!(parse(stream).is_err(), "a stream of no flow");
}

#[test]
fn each_kind_of_retransmission_is_one() {
    let observed = parse(
        r#"{"kind":"segment","packet":4,"flow":0,"is":["retransmission","fast_retransmission","window_update","news"]}"#,
    )
    .unwrap();
    let frame = Key::Frame(4);
    assert_eq!(
        observed.keys().collect::<Vec<_>>(),
        [(Kind::Retransmission, frame), (Kind::WindowUpdate, frame)]
    );
    assert_eq!(observed.get(Kind::Retransmission, frame), [Value::Seen]);
}

#[test]
fn a_line_that_is_not_understood_is_shown() {
    let error = parse("{\"kind\":\"dns\",\"packet\":-1}").err().unwrap();
    assert!(format!("{error:#}").contains("\"packet\":-1"), "{error:#}");
}

#[test]
fn addresses_have_brackets_or_not() {
    assert_eq!(address("[2001:db8::1]:53").unwrap(), address("2001:db8::1:53").unwrap());
    assert!(address("10.0.0.1").is_err());
}
