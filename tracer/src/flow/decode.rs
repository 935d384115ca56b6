//! Ring buffer bytes → records. Nothing here trusts the bytes: a record of the wrong size or kind is an error.

use bytemuck::try_from_bytes;
use tracer_ebpf::record::{DatagramRecord, FlowRecord, PayloadRecord, kind};

/// A record of the ring.
#[derive(Clone, Copy, Debug)]
pub enum Record<'a> {
    /// A flow opened, moved, failed or closed.
    Flow(&'a FlowRecord),
    /// A datagram to or from port 53.
    Datagram(&'a DatagramRecord),
    /// Payload of a metadata flow. Carries secrets: read, never kept.
    Payload(&'a PayloadRecord),
}

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// No record of this kind.
    #[error("a record of unknown kind {0}")]
    Kind(u8),
    /// The size does not fit the kind.
    #[error("a record of kind {kind} with {size} bytes")]
    Size {
        /// The record's kind.
        kind: u8,
        /// Its size.
        size: usize,
    },
}

/// Reads one record.
///
/// # Errors
/// When kind and size do not belong together, or the bytes are not aligned as the ring aligns them.
pub fn decode(bytes: &[u8]) -> Result<Record<'_>, DecodeError> {
    let kind = *bytes.first().ok_or(DecodeError::Size { kind: 0, size: 0 })?;
    let size = DecodeError::Size { kind, size: bytes.len() };
    match kind {
        kind::OPENED | kind::EXCHANGE | kind::CLOSED | kind::CONNECT_FAILED | kind::RESET => {
            try_from_bytes(bytes).map(Record::Flow).map_err(|_| size)
        }
        kind::DATAGRAM => try_from_bytes(bytes).map(Record::Datagram).map_err(|_| size),
        kind::PAYLOAD => try_from_bytes(bytes).map(Record::Payload).map_err(|_| size),
        _ => Err(DecodeError::Kind(kind)),
    }
}

#[cfg(test)]
mod tests {
    use bytemuck::{Zeroable as _, bytes_of};

    use super::*;

    #[test]
    fn a_flow_record_crosses_whole() {
        let sent =
            FlowRecord { kind: kind::RESET, exchange: 7, request_prefix_length: 3, ..FlowRecord::zeroed() };
        let Ok(Record::Flow(read)) = decode(bytes_of(&sent)) else { panic!("a record") };
        assert_eq!(*read, sent);
    }

    #[test]
    fn wrong_sizes_and_kinds_are_errors() {
        assert_eq!(decode(&[]).unwrap_err(), DecodeError::Size { kind: 0, size: 0 });
        assert_eq!(decode(&[99, 0]).unwrap_err(), DecodeError::Kind(99));
        for kind in [kind::EXCHANGE, kind::DATAGRAM, kind::PAYLOAD] {
            assert_eq!(decode(&[kind; 5]).unwrap_err(), DecodeError::Size { kind, size: 5 });
        }
    }
}
