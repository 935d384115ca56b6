//! Captures: a link type, then packets, each with its length, the time since the last one and how much longer it
//! was on the wire.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tracer::packet::{Decoder, Packet, Transport};

/// Bytes before each packet.
const HEAD: usize = 4;

fuzz_target!(|bytes: &[u8]| {
    let mut decoder = Decoder::default();
    let Some((link, mut rest)) = bytes.split_first_chunk() else { return };
    let link = u16::from_le_bytes(*link);
    let mut time = 0;
    while let Some(([low, high, seconds, missing], behind)) = rest.split_first_chunk::<HEAD>() {
        let length = usize::from(u16::from_le_bytes([*low, *high]));
        let (packet, next) = behind.split_at_checked(length).unwrap_or((behind, &[]));
        rest = next;
        time += u64::from(*seconds) * 1_000_000_000;
        let original = packet.len() as u32 + u32::from(*missing);
        if let Ok(Some(packet)) = decoder.decode(link, time, packet, original) {
            check(&packet);
        }
    }
    assert!(decoder.skipped().count() > 0);
});

/// What was captured is never more than what was on the wire.
fn check(packet: &Packet<'_>) {
    let (length, payload) = match packet.transport {
        Transport::Tcp(tcp) => (tcp.length, tcp.payload),
        Transport::Udp(udp) => (udp.length, udp.payload),
    };
    assert!(payload.len() as u64 <= u64::from(length));
    assert_eq!(packet.source.is_ipv4(), packet.destination.is_ipv4());
}
