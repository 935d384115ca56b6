//! Segments of connections that were joined in the middle.

use super::*;
use crate::proto::http2::is_made_of_frames;

#[test]
fn a_request_and_a_response_are_made_of_frames() {
    let request = [frame(1, END_HEADERS, 5, &[0x82]), data(5, END_STREAM, 20)].concat();
    let response = [frame(1, END_HEADERS, 5, &[0x88]), data(5, 0, 30), frame(1, WHOLE, 5, &[0x88])].concat();
    assert!(is_made_of_frames(Side::Client, &request));
    assert!(is_made_of_frames(Side::Server, &response));
}

#[test]
fn other_bytes_are_not() {
    let request = [frame(1, END_HEADERS, 5, &[0x82]), data(5, END_STREAM, 20)].concat();
    for bytes in [&request[..request.len() - 1], &request[1..], &[0; 64], b"GET / HTTP/1.1\r\n\r\n", b""] {
        assert!(!is_made_of_frames(Side::Client, bytes), "{bytes:?}");
    }
    assert!(!is_made_of_frames(Side::Client, &data(5, 0, 20)), "one frame is too little to be certain");
}
