//! Any packet through the masking of captures: it never panics and never changes a length, also when its sender is a
//! metadata service.
#![no_main]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use libfuzzer_sys::fuzz_target;
use tracer::export::mask::mask;

fuzz_target!(|input: (bool, bool, Vec<u8>)| {
    let (begins_message, answers, mut packet) = input;
    let v4 = packet.get(12..16).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
    let v6 = packet.get(8..24).and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
    let senders: Vec<IpAddr> = v4
        .map(|bytes| Ipv4Addr::from(bytes).into())
        .into_iter()
        .chain(v6.map(|bytes| Ipv6Addr::from(bytes).into()))
        .collect();
    let length = packet.len();
    mask(&mut packet, begins_message, if answers { &senders } else { &[] });
    assert_eq!(packet.len(), length);
});
