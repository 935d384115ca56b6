//! DNS datagrams.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tracer::proto::dns::Message;

fuzz_target!(|bytes: &[u8]| {
    let _parsed = Message::parse(bytes);
});
