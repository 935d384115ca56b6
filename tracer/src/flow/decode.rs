//! Ring buffer bytes → records. Nothing here trusts the bytes: a record of the wrong size or kind is an error.

use bytemuck::try_from_bytes;
use tracer_ebpf::record::{
    DatagramRecord, FlowRecord, FoldedRecord, PayloadRecord, STREAM_SIZES, StreamHead, kind,
};

/// A record of the ring.
#[derive(Clone, Copy, Debug)]
pub enum Record<'a> {
    /// A flow opened, moved, failed or closed.
    Flow(&'a FlowRecord),
    /// Requests of a flow that the kernel added up.
    Folded(&'a FoldedRecord),
    /// A datagram to or from port 53.
    Datagram(&'a DatagramRecord),
    /// Payload of a metadata flow. Carries secrets: read, never kept.
    Payload(&'a PayloadRecord),
    /// Bytes of a flow whose frames are read here. May carry secrets: read, never kept.
    Stream(&'a StreamHead, &'a [u8]),
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
        kind::OPENED
        | kind::EXCHANGE
        | kind::CLOSED
        | kind::CONNECT_FAILED
        | kind::RESET
        | kind::FRAMED
        | kind::SILENT
        | kind::HEARD
        | kind::ABANDONED => try_from_bytes(bytes).map(Record::Flow).map_err(|_| size),
        kind::FOLDED => try_from_bytes(bytes).map(Record::Folded).map_err(|_| size),
        kind::DATAGRAM => try_from_bytes(bytes).map(Record::Datagram).map_err(|_| size),
        kind::PAYLOAD => try_from_bytes(bytes).map(Record::Payload).map_err(|_| size),
        kind::STREAM => stream(bytes).ok_or(size),
        _ => Err(DecodeError::Kind(kind)),
    }
}

fn stream(bytes: &[u8]) -> Option<Record<'_>> {
    let (head, room) = bytes.split_at_checked(size_of::<StreamHead>())?;
    let head: &StreamHead = try_from_bytes(head).ok()?;
    let length = usize::try_from(head.length).ok()?;
    let bytes = room.get(..length).filter(|_| STREAM_SIZES.contains(&room.len()))?;
    Some(Record::Stream(head, bytes))
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
    fn stream_bytes_cross_as_many_as_the_head_says() {
        let record = |length, room| {
            let head = StreamHead { kind: kind::STREAM, length, ..StreamHead::zeroed() };
            let mut words = vec![0u64; (size_of::<StreamHead>() + room) / 8];
            let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut words);
            bytes[..size_of::<StreamHead>()].copy_from_slice(bytes_of(&head));
            words
        };
        let whole = record(7, 128);
        let Ok(Record::Stream(head, bytes)) = decode(bytemuck::cast_slice(&whole)) else {
            panic!("a record")
        };
        assert_eq!((head.length, bytes.len()), (7, 7));
        for (length, room) in [(129, 128), (7, 120), (0, 0)] {
            assert!(decode(bytemuck::cast_slice(&record(length, room))).is_err(), "{length} in {room}");
        }
    }

    #[test]
    fn wrong_sizes_and_kinds_are_errors() {
        assert_eq!(decode(&[]).unwrap_err(), DecodeError::Size { kind: 0, size: 0 });
        assert_eq!(decode(&[99, 0]).unwrap_err(), DecodeError::Kind(99));
        for kind in [kind::EXCHANGE, kind::FOLDED, kind::DATAGRAM, kind::PAYLOAD] {
            assert_eq!(decode(&[kind; 5]).unwrap_err(), DecodeError::Size { kind, size: 5 });
        }
    }
}
