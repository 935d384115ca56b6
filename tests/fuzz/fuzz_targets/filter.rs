//! A filter expression, up to the first zero byte, and a packet: any text is a filter or an error with a place in it,
//! and any bytes can be asked.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tracer::packet::filter::{Filter, Header};

fuzz_target!(|data: &[u8]| {
    let mut parts = data.splitn(2, |byte| *byte == 0);
    let expression = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let header = Header::of(parts.next().unwrap_or_default());
    match Filter::parse(&expression) {
        Ok(filter) => {
            header.map(|header| filter.matches(&header));
        }
        Err(error) => {
            assert!(error.at + error.length <= error.expression.len());
            assert!(error.expression.is_char_boundary(error.at));
            assert_eq!(error.to_string().lines().count(), 3);
        }
    }
});
