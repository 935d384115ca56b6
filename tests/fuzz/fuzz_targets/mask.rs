//! Any packet through the masking of captures: it never panics and never changes a length.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tracer::export::mask::mask;

fuzz_target!(|input: (bool, Vec<u8>)| {
    let (begins_message, mut packet) = input;
    let length = packet.len();
    mask(&mut packet, begins_message);
    assert_eq!(packet.len(), length);
});
