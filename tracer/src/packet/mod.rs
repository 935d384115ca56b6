//! Captured bytes → one TCP segment or UDP datagram: link layers, tunnels, IP with options, extension headers
//! and fragments. Nothing here trusts the bytes: what does not fit is counted by reason and skipped.

mod bytes;
mod decoder;
#[cfg(test)]
mod examples;
pub mod filter;
mod fragment;
mod ip;
mod link;
mod skipped;
#[cfg(test)]
mod tests;
mod transport;
mod tunnel;
mod walk;
mod wlan;

use std::net::IpAddr;

pub use decoder::Decoder;
pub use skipped::Skipped;

/// A packet's innermost IP addresses and transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Innermost source address.
    pub source: IpAddr,
    /// Innermost destination address.
    pub destination: IpAddr,
    /// Ports and payload.
    pub transport: Transport<'a>,
}

/// TCP or UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport<'a> {
    /// A TCP segment.
    Tcp(Tcp<'a>),
    /// A UDP datagram.
    Udp(Udp<'a>),
}

/// A TCP segment (RFC 9293, section 3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tcp<'a> {
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// Sequence number of the first byte, or of the SYN.
    pub sequence: u32,
    /// Acknowledgment number.
    pub acknowledgment: u32,
    /// The eight flag bits, see [`tracer_ebpf::segment::tcp_flag`].
    pub flags: u8,
    /// The window field, not scaled.
    pub window: u16,
    /// The option window scale (RFC 7323, section 2), at most 14.
    pub window_scale: Option<u8>,
    /// Payload bytes on the wire, from the IP header; not less than `payload.len()`.
    pub length: u32,
    /// Payload bytes that were captured.
    pub payload: &'a [u8],
}

/// A UDP datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Udp<'a> {
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// Payload bytes on the wire.
    pub length: u32,
    /// Payload bytes that were captured.
    pub payload: &'a [u8],
}
