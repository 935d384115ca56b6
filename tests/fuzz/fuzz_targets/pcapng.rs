//! What follows the section header of a pcapng. The first byte's lowest bit is the byte order.
#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use tracer::source::pcap::{PACKET_LIMIT, Reader};

/// Section headers without options: version 1.0, little endian and big endian.
const SECTIONS: [[u8; 28]; 2] = [
    *b"\x0a\x0d\x0d\x0a\x1c\0\0\0\x4d\x3c\x2b\x1a\x01\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\x1c\0\0\0",
    *b"\x0a\x0d\x0d\x0a\0\0\0\x1c\x1a\x2b\x3c\x4d\0\x01\0\0\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\x1c",
];

fuzz_target!(|input: &[u8]| {
    let Some((order, blocks)) = input.split_first() else { return };
    let section = SECTIONS[usize::from(order & 1)];
    let length = (section.len() + blocks.len()) as u64;
    let Ok(mut reader) = Reader::from_read(Cursor::new([&section, blocks].concat()), "fuzz") else {
        panic!("the section header is whole");
    };
    let mut number = 0;
    let error = loop {
        let before = reader.offset();
        match reader.next() {
            Ok(Some(packet)) => {
                assert!(packet.number > number && packet.bytes.len() <= PACKET_LIMIT as usize);
                number = packet.number;
            }
            Ok(None) => break false,
            Err(error) => {
                let _message = error.to_string();
                break true;
            }
        }
        assert!(reader.offset() > before, "a packet without bytes");
    };
    assert!(error || reader.offset() == length, "the end came early");
    assert!(matches!(reader.next(), Ok(None)), "something came after the end");
});
