//! Takes payload out of captured packets before they are written: no secret reaches a file.
//!
//! What stays: network and transport headers, DNS datagrams with a question, and of an HTTP/1 message its start
//! line (no query string), header names, the values of harmless headers and chunk sizes. Every other byte of
//! payload becomes `x`, so that lengths stay what they were.
//!
//! What the metadata service answers keeps besides the fields that say when credentials expire, where a packet holds
//! the whole of one and its value is a time or a number. Without them a capture could not tell why credentials
//! are fetched again and again.
//!
//! Only a packet that *begins* a message can hold a start line. The caller says which packets do
//! ([`PacketHead::first`](tracer_ebpf::record::PacketHead::first)); all payload of the others is masked, whatever it looks like.

use std::{net::IpAddr, ops::Range};

use etherparse::{LaxNetSlice, LaxSlicedPacket, TransportSlice};

use super::mask_http;
use crate::proto::{dns, metadata::expiry_fields};

/// What payload is written over with.
pub(super) const MASK: u8 = b'x';

/// Masks a packet in place, from its IP header on; it may be cut anywhere.
///
/// `begins_message` is true when the packet's payload begins a message of its flow; `metadata` are the addresses of
/// metadata services.
pub fn mask(packet: &mut [u8], begins_message: bool, metadata: &[IpAddr]) {
    let payload = payload(packet, metadata);
    let bytes = packet.get_mut(payload.start..).unwrap_or_default();
    match payload.content {
        // Without a question almost any bytes parse.
        Content::Dns if dns::Message::parse(bytes).is_ok_and(|message| message.query_type != 0) => {}
        Content::Stream(body) if begins_message => mask_http::mask(bytes, body),
        Content::Stream(Body::Expiring) => hide_all_but_expiry(bytes),
        Content::Dns | Content::Stream(Body::Secret) | Content::Other => bytes.fill(MASK),
    }
}

/// What of a message's body stays.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    /// Nothing.
    Secret,
    /// When credentials expire.
    Expiring,
}

impl Body {
    /// Masks a part of the body; a range outside the message masks nothing.
    pub(super) fn hide(self, bytes: &mut [u8], range: Range<usize>) {
        match self {
            Self::Secret => hide(bytes, range),
            Self::Expiring => hide_all_but_expiry(bytes.get_mut(range).unwrap_or_default()),
        }
    }
}

/// Masks a part of a message; a range outside it masks nothing.
pub(super) fn hide(bytes: &mut [u8], range: Range<usize>) {
    bytes.get_mut(range).unwrap_or_default().fill(MASK);
}

fn hide_all_but_expiry(bytes: &mut [u8]) {
    let mut kept: Vec<_> = expiry_fields(bytes).collect();
    kept.sort_unstable_by_key(|range| range.start);
    let mut at = 0;
    for range in kept {
        hide(bytes, at..range.start);
        at = range.end;
    }
    hide(bytes, at..bytes.len());
}

enum Content {
    /// TCP: a piece of a message.
    Stream(Body),
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
fn payload(packet: &[u8], metadata: &[IpAddr]) -> Payload {
    let Ok(sliced) = LaxSlicedPacket::from_ip(packet) else {
        return Payload { start: 0, content: Content::Other };
    };
    let (rest, content) = match &sliced.transport {
        Some(TransportSlice::Tcp(tcp)) => {
            let answers = source(&sliced).is_some_and(|source| metadata.contains(&source));
            (Some(tcp.payload()), Content::Stream(if answers { Body::Expiring } else { Body::Secret }))
        }
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

fn source(sliced: &LaxSlicedPacket<'_>) -> Option<IpAddr> {
    match &sliced.net {
        Some(LaxNetSlice::Ipv4(ip)) => Some(ip.header().source_addr().into()),
        Some(LaxNetSlice::Ipv6(ip)) => Some(ip.header().source_addr().into()),
        _ => None,
    }
}

#[cfg(test)]
#[path = "mask_tests.rs"]
mod tests;
