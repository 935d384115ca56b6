//! The prefixes of an HTTP/1 exchange. The first two bytes are their lengths as a record claims them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tracer::proto::http1::Exchange;
use tracer_ebpf::record::{REQUEST_PREFIX, RESPONSE_PREFIX};

fuzz_target!(|input: (u8, u8, [u8; REQUEST_PREFIX], [u8; RESPONSE_PREFIX])| {
    let (request_length, response_length, request, response) = input;
    let exchange = Exchange::new(request, request_length, response, response_length);
    if let Some(path) = exchange.path() {
        assert!(!path.text.contains('?'), "a query string got into the path");
    }
    let _method = exchange.method();
    let _status = exchange.status();
});
