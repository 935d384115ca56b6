//! What both programs say about a capture, in one form: values by kind and key.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

use serde_json::{Value as Json, json};

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// From a DNS query to its answer.
    DnsTime,
    /// The frame of the query a DNS answer belongs to.
    DnsQuery,
    /// From a complete HTTP/1 request to its complete response.
    HttpTime,
    /// The frame in which the request of an HTTP/1 response is complete.
    HttpRequest,
    /// The status of an HTTP/1 response, with or without a request.
    HttpStatus,
    /// Method, path and status of an HTTP/2 stream.
    Http2Stream,
    /// The `grpc-status` of an HTTP/2 stream.
    GrpcStatus,
    /// From SYN to the acknowledgment of its answer.
    HandshakeRtt,
    /// A segment sent again, whatever made the sender do so.
    Retransmission,
    /// A segment that was overtaken.
    OutOfOrder,
    /// An acknowledgment that says nothing new.
    DuplicateAck,
    /// A segment before which others are missing.
    LostSegment,
    /// A segment that only keeps the connection alive.
    KeepAlive,
    /// A receiver without room.
    ZeroWindow,
    /// A sender that has used all of the receiver's room.
    WindowFull,
    /// A receiver that made room.
    WindowUpdate,
    /// A segment with RST.
    Reset,
    /// Bytes of payload that one side of a connection sent.
    FlowBytes,
    /// Segments of a connection.
    FlowPackets,
}

impl Kind {
    /// All, in the order of the report.
    pub(super) const ALL: [Self; 19] = [
        Self::DnsTime,
        Self::DnsQuery,
        Self::HttpTime,
        Self::HttpRequest,
        Self::HttpStatus,
        Self::Http2Stream,
        Self::GrpcStatus,
        Self::HandshakeRtt,
        Self::Retransmission,
        Self::OutOfOrder,
        Self::DuplicateAck,
        Self::LostSegment,
        Self::KeepAlive,
        Self::ZeroWindow,
        Self::WindowFull,
        Self::WindowUpdate,
        Self::Reset,
        Self::FlowBytes,
        Self::FlowPackets,
    ];

    /// As it is called in the report.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::DnsTime => "dns_time",
            Self::DnsQuery => "dns_query",
            Self::HttpTime => "http_time",
            Self::HttpRequest => "http_request",
            Self::HttpStatus => "http_status",
            Self::Http2Stream => "http2_stream",
            Self::GrpcStatus => "grpc_status",
            Self::HandshakeRtt => "handshake_rtt",
            Self::Retransmission => "retransmission",
            Self::OutOfOrder => "out_of_order",
            Self::DuplicateAck => "duplicate_ack",
            Self::LostSegment => "lost_segment",
            Self::KeepAlive => "keep_alive",
            Self::ZeroWindow => "zero_window",
            Self::WindowFull => "window_full",
            Self::WindowUpdate => "window_update",
            Self::Reset => "reset",
            Self::FlowBytes => "flow_bytes",
            Self::FlowPackets => "flow_packets",
        }
    }
}

/// A connection: its two ends, and which one between them it is. The programs' own numbers are not compared,
/// because tshark counts the connections that ICMP errors quote, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Flow {
    /// The smaller end first.
    ends: (SocketAddr, SocketAddr),
    /// 0 for the first connection between them.
    ordinal: usize,
}

/// What a value is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    /// A frame, counted from 1.
    Frame(u64),
    /// A connection.
    Flow(Flow),
    /// The side of a connection that this address is.
    Side(Flow, SocketAddr),
    /// A stream in an HTTP/2 connection.
    Stream(Flow, u64),
}

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// Nanoseconds.
    Time(i64),
    /// A count, a code or the number of a frame.
    Number(u64),
    /// Anything else that has words.
    Text(String),
    /// It is there, and that is all.
    Seen,
}

impl Value {
    /// Captures keep microseconds, so times are equal to a microsecond.
    pub(super) fn agrees(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Time(one), Self::Time(other)) => one.abs_diff(*other) <= 1000,
            _ => self == other,
        }
    }

    /// As a program reads it.
    pub(super) fn to_json(&self) -> Json {
        match self {
            Self::Time(nanoseconds) => json!(nanoseconds),
            Self::Number(number) => json!(number),
            Self::Text(text) => json!(text),
            Self::Seen => json!(true),
        }
    }
}

/// All that one program says about one capture.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Observed {
    /// Several values of one key are several messages in one frame.
    values: BTreeMap<(Kind, Key), Vec<Value>>,
}

impl Observed {
    /// One more value of a key.
    pub(super) fn add(&mut self, kind: Kind, key: Key, value: Value) {
        self.values.entry((kind, key)).or_default().push(value);
    }

    /// Something that is there or not, however often it is said.
    pub(super) fn mark(&mut self, kind: Kind, frame: u64) {
        self.values.insert((kind, Key::Frame(frame)), vec![Value::Seen]);
    }

    /// Method, path and status of an HTTP/2 stream; queries are not compared, because tracer drops them.
    pub(super) fn add_stream(
        &mut self,
        key: Key,
        method: Option<&str>,
        path: Option<&str>,
        status: Option<u64>,
    ) {
        let path = path.map_or("-", |path| path.split('?').next().unwrap_or_default());
        let status = status.map_or("-".to_owned(), |status| status.to_string());
        self.add(Kind::Http2Stream, key, Value::Text(format!("{} {path} {status}", method.unwrap_or("-"))));
    }

    /// The values of a key.
    pub(super) fn get(&self, kind: Kind, key: Key) -> &[Value] {
        self.values.get(&(kind, key)).map_or(&[], Vec::as_slice)
    }

    /// The keys that have values.
    pub(super) fn keys(&self) -> impl Iterator<Item = (Kind, Key)> {
        self.values.keys().copied()
    }
}

/// Names connections, which come in the order of their first packets.
pub(super) fn name_flows(
    flows: impl IntoIterator<Item = (u64, (SocketAddr, SocketAddr))>,
) -> BTreeMap<u64, Flow> {
    let mut seen: BTreeMap<(SocketAddr, SocketAddr), usize> = BTreeMap::new();
    let name = |(number, (one, other)): (u64, (SocketAddr, SocketAddr))| {
        let ends = (one.min(other), one.max(other));
        let next = seen.entry(ends).or_default();
        let ordinal = *next;
        *next += 1;
        (number, Flow { ends, ordinal })
    };
    flows.into_iter().map(name).collect()
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} and {}", self.ends.0, self.ends.1)?;
        if self.ordinal > 0 {
            write!(f, ", connection {}", self.ordinal + 1)?;
        }
        Ok(())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame(frame) => write!(f, "frame {frame}"),
            Self::Flow(flow) => write!(f, "{flow}"),
            Self::Side(flow, side) => write!(f, "{flow}, sent by {side}"),
            Self::Stream(flow, stream) => write!(f, "{flow}, stream {stream}"),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(nanoseconds) => write!(f, "{nanoseconds} ns"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Seen => f.write_str("yes"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_agree_to_a_microsecond() {
        assert!(Value::Time(5_000).agrees(&Value::Time(6_000)));
        assert!(!Value::Time(5_000).agrees(&Value::Time(6_001)));
        assert!(!Value::Number(5).agrees(&Value::Number(6)));
        assert!(!Value::Time(5).agrees(&Value::Number(5)));
    }

    #[test]
    fn a_connection_has_no_direction_and_ports_are_used_again() {
        let (a, b) = ("10.0.0.1:80".parse().unwrap(), "10.0.0.2:4000".parse().unwrap());
        let flows = name_flows([(4, (b, a)), (9, (a, b))]);
        assert_eq!(flows[&4].to_string(), "10.0.0.1:80 and 10.0.0.2:4000");
        assert_eq!(flows[&9].to_string(), "10.0.0.1:80 and 10.0.0.2:4000, connection 2");
    }

    #[test]
    fn queries_are_not_compared() {
        let mut observed = Observed::default();
        observed.add_stream(Key::Frame(1), Some("GET"), Some("/a?b=c"), None);
        assert_eq!(observed.get(Kind::Http2Stream, Key::Frame(1)), [Value::Text("GET /a -".to_owned())]);
    }

    #[test]
    fn every_kind_has_its_own_name() {
        let mut names = Kind::ALL.map(Kind::name).to_vec();
        names.dedup();
        assert_eq!(names.len(), Kind::ALL.len());
        assert!(Kind::ALL.is_sorted());
    }
}
