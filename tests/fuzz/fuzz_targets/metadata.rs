//! Requests to and responses of metadata services.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tracer::proto::metadata::{Expiry, Step, request_line};

fuzz_target!(|bytes: &[u8]| {
    let expiry = Expiry::find(bytes);
    let _left = expiry.remaining(i64::MIN);
    let _lifetime = expiry.lifetime();
    if let Some((method, path)) = request_line(bytes) {
        let _step = Step::of(method, path);
    }
});
