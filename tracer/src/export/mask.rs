//! Takes payload out of captured packets before they are written: no secret reaches a file.
//!
//! What stays: network and transport headers, DNS datagrams with a question, and of an HTTP/1 message its start
//! line (no query string), header names, the values of harmless headers and chunk sizes. Every other byte of
//! payload becomes `x`, so that lengths stay what they were.
//!
//! Only a packet that *begins* a message can hold a start line. The caller says which packets do
//! ([`PacketHead::first`](tracer_ebpf::record::PacketHead::first)); all payload of the others is masked, whatever it looks like.

use std::ops::Range;

use etherparse::{LaxSlicedPacket, TransportSlice};

use super::mask_http;
use crate::proto::dns;

/// What payload is written over with.
pub(super) const MASK: u8 = b'x';

/// Masks a packet in place, from its IP header on; it may be cut anywhere.
///
/// `begins_message` is true when the packet's payload begins a message of its flow.
pub fn mask(packet: &mut [u8], begins_message: bool) {
    let payload = payload(packet);
    let bytes = packet.get_mut(payload.start..).unwrap_or_default();
    match payload.content {
        // Without a question almost any bytes parse.
        Content::Dns if dns::Message::parse(bytes).is_ok_and(|message| message.query_type != 0) => {}
        Content::Stream if begins_message => mask_http::mask(bytes),
        Content::Dns | Content::Stream | Content::Other => bytes.fill(MASK),
    }
}

/// Masks a part of a message; a range outside it masks nothing.
pub(super) fn hide(bytes: &mut [u8], range: Range<usize>) {
    bytes.get_mut(range).unwrap_or_default().fill(MASK);
}

enum Content {
    /// TCP: a piece of a message.
    Stream,
    /// UDP to or from port 53.
    Dns,
    /// Anything else.
    Other,
}

struct Payload {
    /// Where it begins; it ends with the packet, whatever the headers' lengths say.
    start: usize,
    content: Content,
}

/// Where the headers end. What cannot be read is payload: so are fragments, whose headers are elsewhere.
fn payload(packet: &[u8]) -> Payload {
    let Ok(sliced) = LaxSlicedPacket::from_ip(packet) else {
        return Payload { start: 0, content: Content::Other };
    };
    let (rest, content) = match &sliced.transport {
        Some(TransportSlice::Tcp(tcp)) => (Some(tcp.payload()), Content::Stream),
        Some(TransportSlice::Udp(udp)) => {
            let dns = udp.source_port() == dns::PORT || udp.destination_port() == dns::PORT;
            (Some(udp.payload()), if dns { Content::Dns } else { Content::Other })
        }
        Some(TransportSlice::Icmpv4(icmp)) => (Some(icmp.payload()), Content::Other),
        Some(TransportSlice::Icmpv6(icmp)) => (Some(icmp.payload()), Content::Other),
        Some(TransportSlice::Igmp(_)) | None => {
            (sliced.net.as_ref().and_then(|net| net.ip_payload_ref()).map(|ip| ip.payload), Content::Other)
        }
    };
    let start = rest.map_or(0, |rest| rest.as_ptr().addr().saturating_sub(packet.as_ptr().addr()));
    Payload { start, content }
}

#[cfg(test)]
#[path = "mask_tests.rs"]
mod tests;
