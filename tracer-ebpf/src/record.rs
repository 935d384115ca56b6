//! The records that cross the ring buffer. All integers are in host order; all times are nanoseconds of
//! `CLOCK_BOOTTIME`; zero means "not seen". Every struct is `Pod`: no padding, any bytes are a value.

use core::fmt;

use bytemuck::{Pod, Zeroable};

use crate::fold::Sums;

/// First byte of every record: what it is.
pub mod kind {
    /// A client flow is established ([`super::FlowRecord`]).
    pub const OPENED: u8 = 1;
    /// An exchange began, went on or ended ([`super::FlowRecord`], cumulative: the newest one counts).
    pub const EXCHANGE: u8 = 2;
    /// The flow is closed; carries its last exchange too ([`super::FlowRecord`]).
    pub const CLOSED: u8 = 3;
    /// The connection was never established ([`super::FlowRecord`]).
    pub const CONNECT_FAILED: u8 = 4;
    /// A datagram to or from port 53 ([`super::DatagramRecord`]).
    pub const DATAGRAM: u8 = 5;
    /// Payload of a metadata flow ([`super::PayloadRecord`]).
    pub const PAYLOAD: u8 = 6;
    /// A packet for `tracer capture` ([`super::PacketHead`]).
    pub const PACKET: u8 = 7;
    /// The pod resets the flow ([`super::FlowRecord`]); it may have been closed before.
    pub const RESET: u8 = 8;
    /// The flow's exchanges stand in frames ([`super::FlowRecord`]): its bytes follow.
    pub const FRAMED: u8 = 9;
    /// Bytes of such a flow ([`super::StreamHead`]).
    pub const STREAM: u8 = 10;
    /// The peer says nothing to what the pod sends: the same bytes have left a third time, or a SYN a second time, and
    /// each time after that ([`super::FlowRecord`]). The kernel waits twice as long each time.
    pub const SILENT: u8 = 11;
    /// It has acknowledged those bytes after all ([`super::FlowRecord`]).
    pub const HEARD: u8 = 12;
    /// The pod closes a flow on which the peer is silent ([`super::FlowRecord`]): it waits no longer. The kernel goes on
    /// until it gives up.
    pub const ABANDONED: u8 = 13;
    /// Requests of a flow that needed no detail, added up ([`super::FoldedRecord`]).
    pub const FOLDED: u8 = 14;
}

/// Who opened the connection.
pub mod role {
    /// Not known (yet).
    pub const UNKNOWN: u8 = 0;
    /// The pod opened it: its exchanges are calls.
    pub const CLIENT: u8 = 1;
    /// The pod accepted it: its exchanges are requests.
    pub const SERVER: u8 = 2;
}

/// Bits of [`FlowRecord::flags`].
pub mod flow_flag {
    /// Joined in the middle: the handshake was not seen.
    pub const JOINED: u8 = 0x01;
    /// The peer sent FIN.
    pub const FIN_IN: u8 = 0x02;
    /// The pod sent FIN.
    pub const FIN_OUT: u8 = 0x04;
    /// The peer sent RST.
    pub const RESET_IN: u8 = 0x08;
    /// The pod sent RST.
    pub const RESET_OUT: u8 = 0x10;
    /// The remote address is one of the metadata service's.
    pub const METADATA: u8 = 0x20;
    /// This exchange began with the server's bytes: no request was seen.
    pub const UNSOLICITED: u8 = 0x40;
    /// Nothing about this exchange can change any more: the flow's next one has begun.
    pub const FINAL: u8 = 0x80;
}

/// What the first bytes of a flow's messages look like.
pub mod protocol {
    /// No message seen yet.
    pub const UNKNOWN: u8 = 0;
    /// HTTP/1: a method or a status line.
    pub const HTTP1: u8 = 1;
    /// Anything else: timed, never read.
    pub const OPAQUE: u8 = 2;
    /// HTTP/2 with prior knowledge. From here on userspace reads the frames.
    pub const HTTP2: u8 = 3;
    /// TLS.
    pub const TLS: u8 = 4;
    /// DNS over TCP.
    pub const DNS: u8 = 5;
}

/// Bits of [`StreamHead::flags`].
pub mod stream_flag {
    /// The sender ends its bytes after these.
    pub const FIN: u8 = 0x01;
    /// The sender resets the flow.
    pub const RST: u8 = 0x04;
    /// Bytes before these were lost on the way to userspace and will not come.
    pub const LOST: u8 = 0x80;
}

/// Bytes of a request that cross the ring: enough for method and path.
pub const REQUEST_PREFIX: usize = 64;
/// Bytes of a response that cross the ring: enough for the status.
pub const RESPONSE_PREFIX: usize = 16;
/// Bytes of a datagram that cross the ring: a DNS header and the longest question (RFC 1035, section 4.1).
pub const DATAGRAM_PREFIX: usize = 288;
/// Bytes of one metadata segment that cross the ring.
pub const PAYLOAD_PREFIX: usize = 4096;
/// Bytes of one metadata message that cross the ring, over all its segments.
pub const PAYLOAD_LIMIT: u32 = 16 * 1024;

/// A flow and its current exchange. The kernel keeps it in socket storage and copies it out whole.
///
/// What a server's egress writes stands together at the end, from `response_first` on: see [`crate::flow::FlowState`].
#[derive(Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct FlowRecord {
    /// One of [`kind`].
    pub kind: u8,
    /// One of [`role`].
    pub role: u8,
    /// 4 or 6.
    pub family: u8,
    /// SYNs sent: more than one is a retransmitted connect.
    pub syns: u8,
    /// The pod's port.
    pub local_port: u16,
    /// The peer's port.
    pub remote_port: u16,
    /// Identity of the flow: unique while the agent lives.
    pub flow: u64,
    /// cgroup v2 id of the socket: the pod.
    pub cgroup: u64,
    /// The pod's address; IPv4 stands in the last four bytes after `::ffff:` (RFC 4291, section 2.5.5.2).
    pub local: [u8; 16],
    /// The peer's address, in the same form.
    pub remote: [u8; 16],
    /// When the connect began (first SYN).
    pub opened: u64,
    /// When the handshake ended.
    pub established: u64,
    /// When this record was emitted.
    pub emitted: u64,
    /// Smoothed round-trip time, microseconds (`tcp_sock.srtt_us >> 3`).
    pub srtt_us: u32,
    /// Segments that the pod retransmitted on this flow so far (`tcp_sock.total_retrans`).
    pub retransmits: u32,
    /// First bytes of the request.
    pub request_prefix: [u8; REQUEST_PREFIX],
    /// First byte of the request.
    pub request_first: u64,
    /// Last byte of the request.
    pub request_last: u64,
    /// Bytes of the request so far.
    pub request_bytes: u64,
    /// How often this exchange was emitted before: 0 means that nobody can know it yet.
    pub updates: u32,
    /// 1 when the receiver of the newest message has closed its window: more of it will come.
    pub stalled: u32,
    /// First byte of the response.
    pub response_first: u64,
    /// Last byte of the response.
    pub response_last: u64,
    /// Bytes of the response so far.
    pub response_bytes: u64,
    /// First bytes of the response.
    pub response_prefix: [u8; RESPONSE_PREFIX],
    /// Thread that sent the pod's message of this exchange (the call's request, the request's response);
    /// 0 when not known.
    pub thread: u32,
    /// Process of `thread`; 0 when not known.
    pub process: u32,
    /// Number of the exchange on its flow, from 1; 0 before the first.
    pub exchange: u32,
    /// Bits of [`flow_flag`].
    pub flags: u8,
    /// One of [`protocol`].
    pub protocol: u8,
    /// Bytes of `request_prefix` in use.
    pub request_prefix_length: u8,
    /// Bytes of `response_prefix` in use.
    pub response_prefix_length: u8,
}

impl fmt::Debug for FlowRecord {
    /// Without the prefixes: they may hold a password or a query string.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlowRecord")
            .field("kind", &self.kind)
            .field("role", &self.role)
            .field("flags", &self.flags)
            .field("flow", &self.flow)
            .field("exchange", &self.exchange)
            .field("request_first", &self.request_first)
            .field("request_last", &self.request_last)
            .field("response_first", &self.response_first)
            .field("response_last", &self.response_last)
            .field("request_bytes", &self.request_bytes)
            .field("response_bytes", &self.response_bytes)
            .field("updates", &self.updates)
            .finish_non_exhaustive()
    }
}

/// A datagram to or from port 53.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct DatagramRecord {
    /// [`kind::DATAGRAM`].
    pub kind: u8,
    /// [`crate::segment::Direction`] as a number.
    pub direction: u8,
    /// 4 or 6.
    pub family: u8,
    /// Always zero.
    pub reserved: u8,
    /// The pod's port.
    pub local_port: u16,
    /// The peer's port.
    pub remote_port: u16,
    /// Thread that sent it; 0 for ingress or when not known.
    pub thread: u32,
    /// Process of `thread`.
    pub process: u32,
    /// cgroup v2 id of the socket.
    pub cgroup: u64,
    /// When it passed the hook.
    pub time: u64,
    /// The pod's address, as in [`FlowRecord::local`].
    pub local: [u8; 16],
    /// The peer's address.
    pub remote: [u8; 16],
    /// Payload bytes on the wire.
    pub length: u32,
    /// Bytes of `payload` in use.
    pub payload_length: u32,
    /// First bytes of the payload.
    pub payload: [u8; DATAGRAM_PREFIX],
}

/// Payload of one segment of a metadata flow, before the [`FlowRecord`] of its exchange. Only its length
/// bytes are written; userspace reads the expiry and nothing else, and wipes its copy.
#[derive(Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct PayloadRecord {
    /// [`kind::PAYLOAD`].
    pub kind: u8,
    /// [`crate::segment::Direction`] as a number.
    pub direction: u8,
    /// Always zero.
    pub reserved: [u8; 2],
    /// Number of the exchange on its flow.
    pub exchange: u32,
    /// The flow.
    pub flow: u64,
    /// Bytes of the message before this segment.
    pub offset: u32,
    /// Bytes of `payload` in use.
    pub payload_length: u32,
    /// First bytes of the segment.
    pub payload: [u8; PAYLOAD_PREFIX],
}

impl fmt::Debug for PayloadRecord {
    /// Without the payload: it carries credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PayloadRecord")
            .field("kind", &self.kind)
            .field("direction", &self.direction)
            .field("flow", &self.flow)
            .field("exchange", &self.exchange)
            .field("offset", &self.offset)
            .field("payload_length", &self.payload_length)
            .finish_non_exhaustive()
    }
}

/// Requests of a flow that are told of in no record of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct FoldedRecord {
    /// [`kind::FOLDED`].
    pub kind: u8,
    /// Bits of [`flow_flag`].
    pub flags: u8,
    /// Always zero.
    pub reserved: [u8; 2],
    /// As [`FlowRecord::retransmits`].
    pub retransmits: u32,
    /// The flow.
    pub flow: u64,
    /// cgroup v2 id of the socket.
    pub cgroup: u64,
    /// The requests.
    pub sums: Sums,
}

/// Head of some bytes of a flow with frames; `length` bytes follow, padded to one of [`STREAM_SIZES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct StreamHead {
    /// [`kind::STREAM`].
    pub kind: u8,
    /// [`crate::segment::Direction`] as a number.
    pub direction: u8,
    /// Bits of [`stream_flag`].
    pub flags: u8,
    /// Always zero.
    pub reserved: u8,
    /// Bytes before these that were seen and did not cross.
    pub skipped: u32,
    /// The flow.
    pub flow: u64,
    /// When the segment that ends with these bytes, or goes on after them, passed the hook.
    pub time: u64,
    /// TCP sequence number of the first of them.
    pub sequence: u32,
    /// Bytes that follow.
    pub length: u32,
}

/// Room for bytes in a stream record: the kernel reserves the smallest that fits.
pub const STREAM_SIZES: [usize; 3] = [128, 1024, 4096];

/// Head of a captured packet; `captured` bytes of the packet from its IP header on follow, padded to one of
/// [`PACKET_SIZES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct PacketHead {
    /// [`kind::PACKET`].
    pub kind: u8,
    /// [`crate::segment::Direction`] as a number.
    pub direction: u8,
    /// 1 when the packet begins a message.
    pub first: u8,
    /// 1 when the message is a response, 0 when it is a request.
    pub response: u8,
    /// Number of the exchange on its flow; 0 when the packet carries no message.
    pub exchange: u32,
    /// The flow; 0 when it is not TCP.
    pub flow: u64,
    /// cgroup v2 id of the socket.
    pub cgroup: u64,
    /// When it passed the hook.
    pub time: u64,
    /// Bytes of the packet on the wire, from its IP header on.
    pub length: u32,
    /// Bytes of it that follow.
    pub captured: u32,
}

/// Room for packet bytes in a packet record: the kernel reserves the smallest that fits.
pub const PACKET_SIZES: [usize; 4] = [256, 2048, 16 * 1024, 64 * 1024];

#[cfg(test)]
mod tests {
    extern crate std;

    use std::format;

    use super::*;

    #[test]
    fn bytes_of_messages_are_not_in_debug_output() {
        let mut flow = FlowRecord { flow: 17, ..FlowRecord::zeroed() };
        flow.request_prefix.fill(0xc5);
        flow.response_prefix.fill(0xc5);
        let mut payload = PayloadRecord { flow: 17, ..PayloadRecord::zeroed() };
        payload.payload.fill(0xc5);
        for text in [format!("{flow:?}"), format!("{payload:?}")] {
            assert!(text.contains("17") && !text.contains("197"), "{text}");
        }
    }
}
