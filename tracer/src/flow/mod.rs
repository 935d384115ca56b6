//! Flows and exchanges, from the records of the kernel or of a capture.

pub mod decode;
pub mod tcp;

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use tracer_ebpf::record::FlowRecord;

/// Addresses of a flow and what TCP knows of its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transport {
    /// The pod's end.
    pub local: SocketAddr,
    /// The peer's end.
    pub peer: SocketAddr,
    /// Smoothed round-trip time, microseconds; 0 when not known.
    pub srtt_us: u32,
    /// Segments the pod retransmitted on the flow so far.
    pub retransmits: u32,
}

impl Transport {
    /// From a record's address fields.
    #[must_use]
    pub fn of(record: &FlowRecord) -> Self {
        Self {
            local: SocketAddr::new(address(record.local), record.local_port),
            peer: SocketAddr::new(address(record.remote), record.remote_port),
            srtt_us: record.srtt_us,
            retransmits: record.retransmits,
        }
    }
}

/// An address as records carry it: IPv4 is mapped into IPv6 (RFC 4291, section 2.5.5.2).
#[must_use]
pub fn address(bytes: [u8; 16]) -> IpAddr {
    Ipv6Addr::from(bytes).to_canonical()
}

/// The inverse of [`address`].
#[must_use]
pub fn address_bytes(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// The four times of an exchange and its bytes. Zero times mean "not seen".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Messages {
    /// First byte of the request.
    pub request_first: u64,
    /// Last byte of the request.
    pub request_last: u64,
    /// First byte of the response.
    pub response_first: u64,
    /// Last byte of the response.
    pub response_last: u64,
    /// Bytes of the request.
    pub request_bytes: u64,
    /// Bytes of the response.
    pub response_bytes: u64,
}

impl Messages {
    /// From a record's exchange fields.
    #[must_use]
    pub fn of(record: &FlowRecord) -> Self {
        Self {
            request_first: record.request_first,
            request_last: record.request_last,
            response_first: record.response_first,
            response_last: record.response_last,
            request_bytes: record.request_bytes,
            response_bytes: record.response_bytes,
        }
    }

    /// Whether a byte of the response was seen.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        self.response_first != 0
    }
}
