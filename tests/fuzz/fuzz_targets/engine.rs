//! Any records through the whole core: stages add up, tables stay bounded, nothing panics.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use tracer::{
    clock::WallClock,
    engine::{Engine, FlowEvent, Folding, Observer, Resolve, Resolved},
    finding::Period,
    flow::decode::decode,
    pod::Pod,
    request::{Attribution, Call, Request, folded::Folded},
};
use tracer_ebpf::fold::BOUNDS;
use tracer_ebpf::record::{DatagramRecord, FlowRecord, FoldedRecord, PayloadRecord, STREAM_SIZES, StreamHead, kind, protocol};

struct Named;

impl Resolve for Named {
    fn resolve(&mut self, cgroup: u64) -> Resolved {
        Resolved { pod: Pod { uid: format!("{}", cgroup % 4), name: None }, known: true }
    }
}

struct Check;

impl Observer for Check {
    fn request(&mut self, request: &Request) {
        let messages = &request.messages;
        assert_eq!(request.total(), messages.response_last.saturating_sub(messages.request_first));
    }

    fn folded(&mut self, _: &Arc<Pod>, folded: &Folded) {
        let (mut count, mut sum) = (0, 0);
        for (nanoseconds, times) in folded.durations() {
            count += u64::from(times);
            sum += nanoseconds * u64::from(times);
        }
        assert_eq!((count, sum), (folded.count, folded.stages.total()));
    }

    fn call(&mut self, _: &Arc<Pod>, _: &Call, _: Attribution) {}

    fn flow(&mut self, _: &Arc<Pod>, _: FlowEvent) {}

    fn gone(&mut self, _: &Arc<Pod>) {}

    fn renamed(&mut self, _: &Arc<Pod>, _: &Arc<Pod>) {}
}

// Each chunk of input becomes a record: its first byte says which kind and how much time passes.
// Flows with frames have few ids, so that their bytes find them.
fuzz_target!(|input: Vec<(u8, Vec<u8>)>| {
    let mut engine = Engine::new(Named, WallClock::UNIX, Period::LastMinute);
    engine.fold(Folding { above: 1, longest: u64::MAX });
    let mut now = 0u64;
    for (selector, mut bytes) in input {
        now = now.saturating_add(u64::from(selector >> 3) * 50_000_000);
        let flow = u64::from(selector >> 6) + 1;
        let (kind, size) = match selector % 13 {
            0 => (kind::OPENED, size_of::<FlowRecord>()),
            1 | 2 => (kind::EXCHANGE, size_of::<FlowRecord>()),
            3 => (kind::CLOSED, size_of::<FlowRecord>()),
            4 => (kind::CONNECT_FAILED, size_of::<FlowRecord>()),
            5 | 6 => (kind::DATAGRAM, size_of::<DatagramRecord>()),
            7 => (kind::FRAMED, size_of::<FlowRecord>()),
            11 => (kind::FOLDED, size_of::<FoldedRecord>()),
            8..=10 => (kind::STREAM, size_of::<StreamHead>() + STREAM_SIZES[usize::from(selector >> 6) % 3]),
            _ => (kind::PAYLOAD, size_of::<PayloadRecord>()),
        };
        bytes.resize(size, 0);
        bytes[0] = kind;
        let mut aligned = vec![0u64; size.div_ceil(8)];
        let record = &mut bytemuck::cast_slice_mut::<u64, u8>(&mut aligned)[..size];
        record.copy_from_slice(&bytes);
        if kind == kind::FRAMED {
            let record: &mut FlowRecord = bytemuck::from_bytes_mut(record);
            record.flow = flow;
            record.protocol = protocol::HTTP2 + record.protocol % 3;
        } else if kind == kind::STREAM {
            let (head, room) = record.split_at_mut(size_of::<StreamHead>());
            let head: &mut StreamHead = bytemuck::from_bytes_mut(head);
            (head.flow, head.length) = (flow, head.length % (room.len() as u32 + 1));
        }
        if kind == kind::FOLDED && selector >> 7 == 1 {
            let sums = &mut bytemuck::from_bytes_mut::<FoldedRecord>(record).sums;
            sums.buckets.iter_mut().for_each(|count| *count %= 1000);
            sums.count = sums.buckets.iter().sum();
            (sums.receive, sums.send) = (sums.receive % 1000, sums.send % 1000);
            sums.own = sums.buckets.iter().zip(BOUNDS).map(|(count, bound)| u64::from(*count) * bound).sum();
            let slowest = sums.buckets.iter().zip(BOUNDS).rev().find(|(count, _)| **count > 0);
            sums.longest = slowest.map_or(0, |(_, bound)| bound as u32);
            sums.last = sums.first.saturating_add(sums.own + 2000);
        }
        if let Ok(record) = decode(record) {
            engine.ingest(record, &mut Check);
        }
        engine.advance(now, &mut Check);
        let _orders = engine.orders();
    }
    engine.finish(now, &mut Check);
    let _summary = engine.summary();
});
