//! Every value that a capture holds, one JSON object per line: what `tshark -T fields` would be asked for.
//!
//! Times are integers in nanoseconds, packets are frame numbers as Wireshark counts them.

use std::net::SocketAddr;

use serde::Serialize;

use super::lines_http::{Http1, Http2};
use crate::{
    proto::stream::{Exchange, Part, Protocol},
    replay::{DnsAnswer, FlowSummary},
};

/// A line.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Line<'a> {
    /// A DNS answer that a query waited for.
    Dns {
        /// Frame of the answer.
        packet: u64,
        /// Frame of the query.
        query_packet: u64,
        /// From query to answer (`dns.time`).
        time: u64,
        /// RFC 1035, section 4.1.1.
        rcode: u8,
        /// Transaction id.
        id: u16,
        /// The name that was asked for.
        name: &'a str,
        /// Its type, a number.
        r#type: u16,
    },
    /// An HTTP/1 response.
    Http {
        /// Flow, as `tcp.stream`.
        flow: u64,
        /// Frame in which the response is complete.
        packet: u64,
        /// Frame in which the request is complete.
        request_packet: Option<u64>,
        /// From the end of the request to the end of the response (`http.time`).
        time: Option<u64>,
        /// The method, when it is a known one.
        method: Option<&'a str>,
        /// The path without its query.
        path: Option<&'a str>,
        /// The status.
        status: Option<u16>,
    },
    /// An HTTP/2 stream.
    Http2 {
        /// Flow, as `tcp.stream`.
        flow: u64,
        /// Stream id.
        stream: u32,
        /// Frame of the last byte.
        packet: u64,
        /// Frame of the first byte.
        request_packet: Option<u64>,
        /// From first to last byte.
        time: Option<u64>,
        /// The method, when it is a known one.
        method: Option<&'a str>,
        /// The path without its query.
        path: Option<&'a str>,
        /// The status.
        status: Option<u16>,
        /// The status of a gRPC call.
        grpc_status: Option<u16>,
    },
    /// An exchange of another protocol.
    Turn {
        /// Flow, as `tcp.stream`.
        flow: u64,
        /// What hides it: `tls` or `opaque`.
        protocol: &'static str,
        /// Frame of the response's last byte.
        packet: Option<u64>,
        /// Frame of the request's first byte.
        request_packet: Option<u64>,
        /// From the end of the request to the first byte of the response.
        time: Option<u64>,
    },
    /// A TCP connection.
    Flow {
        /// As `tcp.stream`.
        flow: u64,
        /// Who opened it.
        client: SocketAddr,
        /// Who accepted it.
        server: SocketAddr,
        /// From SYN to the client's ACK (`tcp.analysis.initial_rtt`).
        handshake_rtt: Option<u64>,
        /// Payload bytes of the client, retransmissions included.
        bytes_client: u64,
        /// Payload bytes of the server, retransmissions included.
        bytes_server: u64,
        /// Segments.
        packets: u64,
        /// Frames with RST.
        resets: &'a [u64],
        /// Server name that the client asked for in the TLS handshake.
        #[serde(skip_serializing_if = "Option::is_none")]
        server_name: Option<&'a str>,
        /// What of HTTP/1 could not be read, if anything.
        #[serde(skip_serializing_if = "Option::is_none")]
        http1: Option<Http1>,
        /// What happened on an HTTP/2 connection besides its streams.
        #[serde(skip_serializing_if = "Option::is_none")]
        http2: Option<Box<Http2>>,
    },
    /// A segment about which TCP's sequence analysis has something to say.
    Segment {
        /// Frame.
        packet: u64,
        /// As `tcp.stream`.
        flow: u64,
        /// What it is.
        is: Vec<&'static str>,
    },
}

impl<'a> Line<'a> {
    /// An exchange that ended on a flow.
    #[must_use]
    pub fn exchange(flow: u64, exchange: &'a Exchange) -> Option<Self> {
        let head = &exchange.head;
        let (request, response) = (exchange.request.as_ref(), exchange.response.as_ref());
        let (method, path, status) = (head.method, head.path.as_deref(), head.status);
        let since =
            |from: fn(&Part) -> u64, to: fn(&Part) -> u64| Some(to(response?).saturating_sub(from(request?)));
        let request_packet = request.map(|part| part.last.packet);
        Some(match exchange.protocol {
            Protocol::Http1 => Self::Http {
                flow,
                packet: response?.last.packet,
                request_packet,
                time: since(|request| request.last.time, |response| response.last.time),
                method,
                path,
                status,
            },
            Protocol::Http2 { .. } => Self::Http2 {
                flow,
                stream: exchange.number,
                packet: response.or(request)?.last.packet,
                request_packet: request.map(|part| part.first.packet),
                time: since(|request| request.first.time, |response| response.last.time),
                method,
                path,
                status,
                grpc_status: head.grpc_status,
            },
            Protocol::Tls | Protocol::Opaque => Self::Turn {
                flow,
                protocol: if exchange.protocol == Protocol::Tls { "tls" } else { "opaque" },
                packet: response.map(|part| part.last.packet),
                request_packet: request.map(|part| part.first.packet),
                time: since(|request| request.last.time, |response| response.first.time),
            },
        })
    }

    /// A DNS answer.
    #[must_use]
    pub fn dns(answer: &DnsAnswer<'a>) -> Self {
        Self::Dns {
            packet: answer.seen.packet,
            query_packet: answer.query.packet,
            time: answer.seen.time.saturating_sub(answer.query.time),
            rcode: answer.rcode,
            id: answer.id,
            name: answer.name,
            r#type: answer.qtype,
        }
    }

    /// A flow that is over.
    #[must_use]
    pub fn flow(flow: &'a FlowSummary) -> Self {
        Self::Flow {
            flow: flow.number,
            client: flow.client,
            server: flow.server,
            handshake_rtt: flow.handshake_rtt,
            bytes_client: flow.bytes_client,
            bytes_server: flow.bytes_server,
            packets: flow.packets,
            resets: &flow.resets,
            server_name: flow.server_name.as_deref(),
            http1: flow.http1.as_ref().and_then(Http1::of),
            http2: flow.http2.as_deref().map(|counters| Box::new(Http2::of(counters))),
        }
    }
}
