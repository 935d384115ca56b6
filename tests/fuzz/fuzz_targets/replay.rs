//! Packets of an IP link from a capture nobody vouches for: the whole way to requests, lines and a summary.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use tracer::{
    clock::WallClock,
    engine::{FlowEvent, Observer},
    export::json,
    offline::Offline,
    pod::Pod,
    request::{Attribution, Call, Request, folded::Folded},
    source::pcap::{LinkType, Raw},
};

/// LINKTYPE_RAW.
const RAW_IP: LinkType = LinkType(101);

struct Sums;

impl Observer for Sums {
    fn request(&mut self, request: &Request) {
        assert_eq!(request.stages.values().iter().sum::<u64>(), request.total());
    }

    fn folded(&mut self, _: &Arc<Pod>, _: &Folded) {
        panic!("a capture has each request");
    }

    fn call(&mut self, _: &Arc<Pod>, _: &Call, _: Attribution) {}

    fn flow(&mut self, _: &Arc<Pod>, _: FlowEvent) {}

    fn gone(&mut self, _: &Arc<Pod>) {}

    fn renamed(&mut self, _: &Arc<Pod>, _: &Arc<Pod>) {}
}

// Each packet is a time step in units of 2^16 ns (two bytes, the first bit goes back), a length (two bytes) and
// its bytes.
fuzz_target!(|data: &[u8]| {
    let (mut observer, mut lines) = (Sums, Vec::new());
    let locals = [[10, 0, 0, 1].into(), [10, 0, 0, 2].into()];
    let metadata = vec![[169, 254, 169, 254].into()];
    let mut offline = Offline::new(&locals, metadata, &mut observer, Some(&mut lines));
    let (mut rest, mut time, mut number) = (data, 1 << 60, 0);
    while let Some(([a, b, c, d], after)) = rest.split_first_chunk() {
        let step = u64::from(u16::from_be_bytes([a & 0x7f, *b])) << 16;
        time = if a & 0x80 == 0 { time + step } else { time - step };
        let (bytes, after) = after.split_at(after.len().min(usize::from(u16::from_be_bytes([*c, *d]))));
        number += 1;
        let original_length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let raw = Raw { number, time, link: RAW_IP, original_length, bytes, origin: None };
        offline.packet(&raw).expect("a vector takes every line");
        rest = after;
    }
    offline.finish().expect("a vector takes every line");
    let summary = offline.summary();
    assert!(summary.accounting.is_complete());
    assert!(json::summary(&summary, WallClock::UNIX).is_object());
    for line in lines.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
        assert!(serde_json::from_slice::<serde_json::Value>(line).is_ok());
    }
});
