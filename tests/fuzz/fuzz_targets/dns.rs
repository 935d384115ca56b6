//! DNS datagrams.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tracer::proto::dns::{Message, edns_size, transaction};

fuzz_target!(|bytes: &[u8]| {
    let _parsed = Message::parse(bytes);
    let _transaction = transaction(bytes);
    let _size = edns_size(bytes);
});
