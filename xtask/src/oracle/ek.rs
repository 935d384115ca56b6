//! tshark's packets, one JSON object per line (`-T ek`), as values.
//!
//! This form keeps each protocol message of a frame apart, which a table of fields does not.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use anyhow::{Context as _, Result};
use serde_json::Value as Json;

use super::merged::Merged;
use super::values::{Key, Kind, Observed, Value, name_flows};

/// The protocols whose fields are needed, besides `frame`.
pub(super) const PROTOCOLS: &str = "frame ip ipv6 tcp dns mdns llmnr http http2";

/// Protocols with DNS messages; the fields of all are those of DNS.
const DNS: [&str; 3] = ["dns", "mdns", "llmnr"];
/// What follows in the same frame is a quotation of another packet.
const QUOTING: [&str; 2] = ["icmp", "icmpv6"];
/// What follows in the same frame was not readable on the wire (a capture may hold the keys), or is carried
/// by another message.
const WRAPPING: [&str; 4] = ["tls", "dtls", "quic", "http2"];
/// Type of the HTTP/2 frame that announces a request the client never sent, RFC 9113 section 6.6.
const PUSH_PROMISE: u64 = 5;

/// The flags of tshark's analysis that are compared.
const FLAGS: [(&str, Kind); 10] = [
    ("tcp_tcp_analysis_retransmission", Kind::Retransmission),
    ("tcp_tcp_analysis_fast_retransmission", Kind::Retransmission),
    ("tcp_tcp_analysis_spurious_retransmission", Kind::Retransmission),
    ("tcp_tcp_analysis_out_of_order", Kind::OutOfOrder),
    ("tcp_tcp_analysis_duplicate_ack", Kind::DuplicateAck),
    ("tcp_tcp_analysis_lost_segment", Kind::LostSegment),
    ("tcp_tcp_analysis_keep_alive", Kind::KeepAlive),
    ("tcp_tcp_analysis_zero_window", Kind::ZeroWindow),
    ("tcp_tcp_analysis_window_full", Kind::WindowFull),
    ("tcp_tcp_analysis_window_update", Kind::WindowUpdate),
];

/// Collects the values of a capture.
#[derive(Default)]
pub(super) struct Reader {
    observed: Observed,
    /// By tshark's number, which is the order of their first packets.
    connections: BTreeMap<u64, Connection>,
}

/// A TCP connection.
struct Connection {
    ends: (SocketAddr, SocketAddr),
    packets: u64,
    bytes: BTreeMap<SocketAddr, u64>,
    rtt: Option<i64>,
    streams: BTreeMap<u64, Stream>,
}

/// An HTTP/2 stream.
#[derive(Default)]
struct Stream {
    method: Option<String>,
    path: Option<String>,
    status: Option<u64>,
    grpc_status: Option<u64>,
}

impl Reader {
    /// Reads a line; those between the packets say nothing.
    pub(super) fn line(&mut self, line: &str) -> Result<()> {
        let Merged(packet) = serde_json::from_str(line).context("tshark's line is not JSON")?;
        let Some(layers) = packet.get("layers") else { return Ok(()) };
        let frame = messages(layers, "frame").next().context("a packet of tshark's has no frame")?;
        let number = number(frame, "frame_frame_number").context("a frame of tshark's has no number")?;
        let protocols: Vec<&str> =
            text(frame, "frame_frame_protocols").unwrap_or_default().split(':').collect();
        if protocols.iter().any(|protocol| QUOTING.contains(protocol)) {
            return Ok(());
        }
        for dialect in DNS {
            if is_readable(&protocols, dialect) && !protocols.contains(&"http") {
                messages(layers, dialect).for_each(|message| self.dns(number, message));
            }
        }
        if is_readable(&protocols, "http") {
            messages(layers, "http").for_each(|message| self.http(number, message));
        }
        if let Some(connection) = self.tcp(number, layers, &protocols)
            && is_readable(&protocols, "http2")
        {
            messages(layers, "http2").for_each(|frame| connection.http2(frame));
        }
        Ok(())
    }

    /// All values, once the last line is read.
    pub(super) fn finish(self) -> Observed {
        let mut observed = self.observed;
        let names = name_flows(self.connections.iter().map(|(number, flow)| (*number, flow.ends)));
        for (number, connection) in self.connections {
            let Some(flow) = names.get(&number).copied() else { continue };
            observed.add(Kind::FlowPackets, Key::Flow(flow), Value::Number(connection.packets));
            if let Some(rtt) = connection.rtt {
                observed.add(Kind::HandshakeRtt, Key::Flow(flow), Value::Time(rtt));
            }
            for (side, bytes) in connection.bytes {
                observed.add(Kind::FlowBytes, Key::Side(flow, side), Value::Number(bytes));
            }
            for (id, stream) in connection.streams {
                let key = Key::Stream(flow, id);
                let (method, path) = (stream.method.as_deref(), stream.path.as_deref());
                observed.add_stream(key, method, path, stream.status);
                if let Some(status) = stream.grpc_status {
                    observed.add(Kind::GrpcStatus, key, Value::Number(status));
                }
            }
        }
        observed
    }

    fn dns(&mut self, frame: u64, message: &Json) {
        let key = Key::Frame(frame);
        if let Some(time) = seconds(message, "dns_dns_time") {
            self.observed.add(Kind::DnsTime, key, Value::Time(time));
            if let Some(query) = number(message, "dns_dns_response_to") {
                self.observed.add(Kind::DnsQuery, key, Value::Number(query));
            }
        }
    }

    fn http(&mut self, frame: u64, message: &Json) {
        let key = Key::Frame(frame);
        let values = [
            (Kind::HttpTime, seconds(message, "http_http_time").map(Value::Time)),
            (Kind::HttpRequest, number(message, "http_http_request_in").map(Value::Number)),
            (Kind::HttpStatus, number(message, "http_http_response_code").map(Value::Number)),
        ];
        for (kind, value) in values {
            if let Some(value) = value {
                self.observed.add(kind, key, value);
            }
        }
    }

    /// The innermost segment of a frame; `None` when there is none.
    fn tcp(&mut self, frame: u64, layers: &Json, protocols: &[&str]) -> Option<&mut Connection> {
        let segment = messages(layers, "tcp").last()?;
        let (source, destination) = ends(layers, segment, protocols)?;
        for (field, kind) in FLAGS {
            if is_flagged(segment, field) {
                self.observed.mark(kind, frame);
            }
        }
        if is_set(segment, "tcp_tcp_flags_reset") {
            self.observed.mark(Kind::Reset, frame);
        }
        let connection = self
            .connections
            .entry(number(segment, "tcp_tcp_stream")?)
            .or_insert_with(|| Connection::new(source, destination));
        connection.packets += 1;
        *connection.bytes.entry(source).or_default() += number(segment, "tcp_tcp_len").unwrap_or_default();
        connection.rtt = connection.rtt.or_else(|| seconds(segment, "tcp_tcp_analysis_initial_rtt"));
        Some(connection)
    }
}

impl Connection {
    fn new(one: SocketAddr, other: SocketAddr) -> Self {
        let bytes = BTreeMap::from([(one, 0), (other, 0)]);
        Self { ends: (one, other), packets: 0, bytes, rtt: None, streams: BTreeMap::new() }
    }

    /// A frame with a complete header block makes a stream, and the later blocks add to it.
    fn http2(&mut self, frame: &Json) {
        let promised = number(frame, "http2_http2_type") == Some(PUSH_PROMISE);
        let id =
            if promised { "http2_http2_push_promise_promised_stream_id" } else { "http2_http2_streamid" };
        let names = texts(frame, "http2_http2_header_name");
        let values = texts(frame, "http2_http2_header_value");
        let Some(id) = number(frame, id).filter(|_| !names.is_empty()) else { return };
        let stream = self.streams.entry(id).or_default();
        for (name, value) in names.into_iter().zip(values) {
            match name {
                ":method" => stream.method = Some(value.to_owned()),
                ":path" => stream.path = Some(value.to_owned()),
                ":status" => stream.status = value.parse().ok(),
                "grpc-status" => stream.grpc_status = value.parse().ok(),
                _ => {}
            }
        }
    }
}

/// Source and destination of the innermost segment.
fn ends(layers: &Json, segment: &Json, protocols: &[&str]) -> Option<(SocketAddr, SocketAddr)> {
    let tcp = protocols.iter().rposition(|protocol| *protocol == "tcp")?;
    let below = protocols.get(..tcp)?;
    let ip = below.iter().rfind(|protocol| matches!(**protocol, "ip" | "ipv6"))?;
    let packet = messages(layers, ip).last()?;
    let end = |address: &str, port: &str| -> Option<SocketAddr> {
        let address: IpAddr = text(packet, &format!("{ip}_{ip}_{address}"))?.parse().ok()?;
        Some(SocketAddr::new(address, u16::try_from(number(segment, port)?).ok()?))
    };
    Some((end("src", "tcp_tcp_srcport")?, end("dst", "tcp_tcp_dstport")?))
}

/// Whether the first message of a protocol is on the wire as it is.
fn is_readable(protocols: &[&str], wanted: &str) -> bool {
    let before = protocols.iter().take_while(|protocol| **protocol != wanted);
    before.filter(|protocol| WRAPPING.contains(protocol)).count() == 0
}

/// The messages of one protocol: tshark makes a list where there are several.
fn messages<'a>(layers: &'a Json, protocol: &str) -> impl Iterator<Item = &'a Json> {
    list(layers.get(protocol))
}

fn list(value: Option<&Json>) -> impl Iterator<Item = &Json> {
    let (one, several) = match value {
        Some(Json::Array(several)) => (None, several.as_slice()),
        one => (one, &[][..]),
    };
    one.into_iter().chain(several)
}

fn texts<'a>(message: &'a Json, field: &str) -> Vec<&'a str> {
    list(message.get(field)).filter_map(Json::as_str).collect()
}

fn text<'a>(message: &'a Json, field: &str) -> Option<&'a str> {
    list(message.get(field)).find_map(Json::as_str)
}

fn number(message: &Json, field: &str) -> Option<u64> {
    text(message, field)?.parse().ok()
}

/// Some flags of the analysis are fields, and all are remarks of tshark's expert system.
fn is_flagged(segment: &Json, flag: &str) -> bool {
    let remarks = messages(segment, "_ws_expert");
    std::iter::once(segment).chain(remarks).any(|place| place.get(flag).is_some())
}

fn is_set(message: &Json, field: &str) -> bool {
    message.get(field).is_some_and(|value| *value == true || *value == "1")
}

/// Nanoseconds of a field with decimal seconds.
fn seconds(message: &Json, field: &str) -> Option<i64> {
    let text = text(message, field)?;
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction: i64 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    whole.parse::<i64>().ok()?.checked_mul(1_000_000_000)?.checked_add(fraction)?.checked_mul(sign)
}

#[cfg(test)]
#[path = "ek_tests.rs"]
mod tests;
