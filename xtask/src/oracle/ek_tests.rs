use serde_json::json;

use super::*;

/// A frame with these layers above IPv4.
fn frame(number: u64, protocols: &str, layers: &Json) -> String {
    let mut all = json!({
        "frame": { "frame_frame_number": number.to_string(), "frame_frame_protocols": protocols },
        "eth": { "filtered": "eth" },
        "ip": { "ip_ip_src": "10.0.0.1", "ip_ip_dst": "10.0.0.2" },
    });
    all.as_object_mut().unwrap().extend(layers.as_object().unwrap().clone());
    json!({ "timestamp": "1", "layers": all }).to_string()
}

fn tcp(more: &Json) -> Json {
    let mut tcp = json!({
        "tcp_tcp_srcport": "4000", "tcp_tcp_dstport": "80", "tcp_tcp_stream": "0", "tcp_tcp_len": "10",
        "tcp_tcp_flags_reset": false,
    });
    tcp.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    tcp
}

fn read(lines: &[String]) -> Observed {
    let mut reader = Reader::default();
    reader.line(r#"{"index":{"_index":"packets-2021-01-06","_type":"doc"}}"#).unwrap();
    for line in lines {
        reader.line(line).unwrap();
    }
    reader.finish()
}

fn kinds(observed: &Observed) -> Vec<Kind> {
    observed.keys().map(|(kind, _)| kind).collect()
}

/// The connection of [`tcp`], between the addresses of [`frame`].
fn flow() -> super::super::values::Flow {
    name_flows([(0, ("10.0.0.1:4000".parse().unwrap(), "10.0.0.2:80".parse().unwrap()))])[&0]
}

#[test]
fn messages_of_one_frame_stay_apart() {
    let layers = json!({ "dns": [
        { "dns_dns_id": "0x0001", "dns_dns_time": "0.000045000", "dns_dns_response_to": "3" },
        { "dns_dns_id": "0x0002" },
        { "dns_dns_id": "0x0003", "dns_dns_time": "-0.000001000", "dns_dns_response_to": "4" },
    ]});
    let observed = read(&[frame(5, "eth:ethertype:ip:tcp:dns", &layers)]);
    assert_eq!(observed.get(Kind::DnsTime, Key::Frame(5)), [Value::Time(45_000), Value::Time(-1_000)]);
    assert_eq!(observed.get(Kind::DnsQuery, Key::Frame(5)), [Value::Number(3), Value::Number(4)]);
}

#[test]
fn multicast_dns_is_dns() {
    let layers = json!({ "mdns": { "dns_dns_time": "0.000476000", "dns_dns_response_to": "1" } });
    let observed = read(&[frame(3, "eth:ethertype:ip:udp:mdns", &layers)]);
    assert_eq!(observed.get(Kind::DnsTime, Key::Frame(3)), [Value::Time(476_000)]);
}

#[test]
fn a_response_has_time_request_and_status() {
    let layers = json!({ "http": {
        "http_http_response_code": "200", "http_http_time": "1.500000000", "http_http_request_in": "4",
    }});
    let observed = read(&[frame(9, "eth:ethertype:ip:tcp:http", &layers)]);
    assert_eq!(observed.get(Kind::HttpTime, Key::Frame(9)), [Value::Time(1_500_000_000)]);
    assert_eq!(observed.get(Kind::HttpRequest, Key::Frame(9)), [Value::Number(4)]);
    assert_eq!(observed.get(Kind::HttpStatus, Key::Frame(9)), [Value::Number(200)]);
}

#[test]
fn what_was_encrypted_or_is_quoted_is_not_compared() {
    let http = json!({ "http": { "http_http_response_code": "200" } });
    assert_eq!(kinds(&read(&[frame(1, "eth:ethertype:ip:tcp:tls:http", &http)])), []);
    assert_eq!(kinds(&read(&[frame(1, "eth:ethertype:ip:tcp:http:tls", &http)])), [Kind::HttpStatus]);
    let dns = json!({ "dns": { "dns_dns_time": "1.0" } });
    assert_eq!(kinds(&read(&[frame(1, "eth:ethertype:ip:icmp:ip:udp:dns", &dns)])), []);
    assert_eq!(kinds(&read(&[frame(1, "eth:ethertype:ip:tcp:http2:dns", &dns)])), []);
    let quoted = json!({ "tcp": tcp(&json!({})) });
    assert_eq!(kinds(&read(&[frame(1, "eth:ethertype:ip:icmp:ip:tcp", &quoted)])), []);
}

#[test]
fn a_segment_has_flags() {
    let layers = json!({ "tcp": tcp(&json!({
        "tcp_tcp_flags_reset": true,
        "tcp_tcp_analysis_flags": null,
        "tcp_tcp_analysis_duplicate_ack": null,
        "_ws_expert": [
            { "tcp_tcp_connection_fin": null },
            { "tcp_tcp_analysis_fast_retransmission": null },
            { "tcp_tcp_analysis_retransmission": null },
        ],
    })) });
    let observed = read(&[frame(4, "eth:ethertype:ip:tcp", &layers)]);
    assert_eq!(observed.get(Kind::Retransmission, Key::Frame(4)), [Value::Seen]);
    assert_eq!(observed.get(Kind::DuplicateAck, Key::Frame(4)), [Value::Seen]);
    assert_eq!(observed.get(Kind::Reset, Key::Frame(4)), [Value::Seen]);
    assert_eq!(observed.get(Kind::OutOfOrder, Key::Frame(4)), []);
}

/// tshark repeats the key of its remarks: those about the flags of the segment, then those of the analysis.
#[test]
fn remarks_are_found_behind_other_remarks() {
    let line = frame(4, "eth:ethertype:ip:tcp", &json!({ "tcp": tcp(&json!({ "x": "here" })) })).replace(
        r#""x":"here""#,
        r#""_ws_expert":{"tcp_tcp_analysis_out_of_order":null},"_ws_expert":{"tcp_tcp_connection_fin":null}"#,
    );
    assert_eq!(read(&[line]).get(Kind::OutOfOrder, Key::Frame(4)), [Value::Seen]);
}

#[test]
fn a_connection_counts_its_packets_and_bytes() {
    let layers = json!({ "tcp": tcp(&json!({})) });
    let later = json!({ "tcp": tcp(&json!({ "tcp_tcp_analysis_initial_rtt": "0.000198000" })) });
    let protocols = "eth:ethertype:ip:tcp";
    let observed = read(&[frame(1, protocols, &layers), frame(2, protocols, &later)]);
    assert_eq!(observed.get(Kind::FlowPackets, Key::Flow(flow())), [Value::Number(2)]);
    assert_eq!(observed.get(Kind::HandshakeRtt, Key::Flow(flow())), [Value::Time(198_000)]);
    let side = |address: &str| Key::Side(flow(), address.parse().unwrap());
    assert_eq!(observed.get(Kind::FlowBytes, side("10.0.0.1:4000")), [Value::Number(20)]);
    assert_eq!(observed.get(Kind::FlowBytes, side("10.0.0.2:80")), [Value::Number(0)]);
}

#[test]
fn in_a_tunnel_the_innermost_addresses_count() {
    let layers = json!({
        "ip": [
            { "ip_ip_src": "192.0.2.1", "ip_ip_dst": "192.0.2.2" },
            { "ip_ip_src": "10.0.0.1", "ip_ip_dst": "10.0.0.2" },
        ],
        "tcp": [{ "tcp_tcp_stream": "7" }, tcp(&json!({}))],
    });
    let observed = read(&[frame(1, "eth:ethertype:ip:tcp:vxlan:eth:ethertype:ip:tcp", &layers)]);
    assert_eq!(observed.get(Kind::FlowPackets, Key::Flow(flow())), [Value::Number(1)]);
    let layers = json!({
        "ipv6": { "ipv6_ipv6_src": "2001:db8::1", "ipv6_ipv6_dst": "2001:db8::2" },
        "tcp": tcp(&json!({})),
    });
    let observed = read(&[frame(1, "eth:ethertype:ipv6:ip:tcp", &layers)]);
    assert_eq!(observed.get(Kind::FlowPackets, Key::Flow(flow())), [Value::Number(1)]);
}

#[test]
fn a_stream_is_the_sum_of_its_header_blocks() {
    let block = |kind: &str, names: &[&str], values: &[&str]| {
        json!({
            "http2_http2_type": kind, "http2_http2_streamid": "1",
            "http2_http2_push_promise_promised_stream_id": "2",
            "http2_http2_header_name": names, "http2_http2_header_value": values,
        })
    };
    let request = block("1", &[":method", ":path"], &["POST", "/a.B/C?d"]);
    let data = json!({ "http2_http2_type": "0", "http2_http2_streamid": "5" });
    let promise = block("5", &[":method", ":path"], &["GET", "/pushed"]);
    let response = block("1", &[":status"], &["200"]);
    let trailers = json!({
        "http2_http2_type": "1", "http2_http2_streamid": "1",
        "http2_http2_header_name": "grpc-status", "http2_http2_header_value": "5",
    });
    let layers = |frames: Json| json!({ "tcp": tcp(&json!({})), "http2": frames });
    let protocols = "eth:ethertype:ip:tcp:http2";
    let observed = read(&[
        frame(4, protocols, &layers(json!([request, data]))),
        frame(5, protocols, &layers(json!([promise, response]))),
        frame(6, protocols, &layers(trailers)),
    ]);
    let text = |text: &str| [Value::Text(text.to_owned())];
    assert_eq!(observed.get(Kind::Http2Stream, Key::Stream(flow(), 1)), text("POST /a.B/C 200"));
    assert_eq!(observed.get(Kind::Http2Stream, Key::Stream(flow(), 2)), text("GET /pushed -"));
    assert_eq!(observed.get(Kind::Http2Stream, Key::Stream(flow(), 5)), []);
    assert_eq!(observed.get(Kind::GrpcStatus, Key::Stream(flow(), 1)), [Value::Number(5)]);
}

#[test]
fn seconds_are_nanoseconds() {
    let read = |text: &str| seconds(&json!({ "time": text }), "time");
    assert_eq!(read("1.5"), Some(1_500_000_000));
    assert_eq!(read("-0.000000001"), Some(-1));
    assert_eq!(read("3"), Some(3_000_000_000));
    assert_eq!(read("9999999999999999999.0"), None);
    assert_eq!(read("soon"), None);
}

#[test]
fn what_is_not_json_is_an_error() {
    assert!(Reader::default().line("tshark: oops").is_err());
}
