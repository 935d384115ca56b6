//! A capture of any kind, gzipped or not. The first byte says in which pieces it is read: they must not matter.
#![no_main]

use std::io::{self, Cursor, Read};

use libfuzzer_sys::fuzz_target;
use tracer::source::pcap::{PACKET_LIMIT, Reader};

/// Packets read of one input: gzip makes many of few bytes.
const PACKETS: usize = 10_000;

/// Gives at most `size` bytes at a time.
struct Pieces {
    bytes: Cursor<Vec<u8>>,
    size: usize,
}

impl Read for Pieces {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let size = room.len().min(self.size);
        self.bytes.read(&mut room[..size])
    }
}

/// Packets, their bytes and times added up, and the error.
fn read(bytes: &[u8], size: usize) -> (usize, u64, String) {
    let pieces = Pieces { bytes: Cursor::new(bytes.to_vec()), size };
    let mut reader = match Reader::from_read(pieces, "fuzz") {
        Ok(reader) => reader,
        Err(error) => return (0, 0, error.to_string()),
    };
    let (mut count, mut sum) = (0, 0_u64);
    while count < PACKETS {
        match reader.next() {
            Ok(Some(packet)) => {
                assert!(packet.bytes.len() <= PACKET_LIMIT as usize);
                count += 1;
                sum = packet
                    .bytes
                    .iter()
                    .fold(sum ^ packet.time, |sum, byte| sum.rotate_left(5) ^ u64::from(*byte));
            }
            Ok(None) => return (count, sum, String::new()),
            Err(error) => {
                assert!(matches!(reader.next(), Ok(None)), "something came after an error");
                return (count, sum, error.to_string());
            }
        }
    }
    (count, sum, String::new())
}

fuzz_target!(|input: &[u8]| {
    let Some((size, bytes)) = input.split_first() else { return };
    let whole = read(bytes, usize::MAX);
    assert_eq!(whole, read(bytes, usize::from(*size) + 1));
});
