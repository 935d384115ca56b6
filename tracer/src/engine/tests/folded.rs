//! Requests that the kernel added up, next to those that came one by one.

use tracer_ebpf::{fold::Sums, record::FoldedRecord};

use super::*;

/// So many requests of the pod that took 400 µs each, all of it its own time, from `from` ms on.
fn folded(count: u32, from: u64) -> FoldedRecord {
    let (first, own) = (from * MS, u64::from(count) * 400_000);
    let mut sums = Sums { count, longest: 400_000, first, last: first + own, own, ..Sums::zeroed() };
    sums.buckets[0] = count;
    FoldedRecord { kind: kind::FOLDED, flow: 900, cgroup: POD, sums, ..FoldedRecord::zeroed() }
}

const BUSY: Folding = Folding { above: 1_000, longest: u64::MAX };

/// A lab whose busy pods are folded.
fn folding() -> Lab {
    let mut lab = Lab::new();
    lab.engine.fold(BUSY);
    lab
}

/// What the programs are told of the pod.
fn below(nanoseconds: u64) -> Order {
    Order::Below { place: 1, nanoseconds }
}

impl Lab {
    fn folded(&mut self, record: &FoldedRecord) {
        self.engine.ingest(Record::Folded(record), &mut self.seen);
    }

    /// A second passes in which so many requests took 400 µs each.
    fn second(&mut self, second: u64, requests: u64) -> Vec<Order> {
        for at in 0..requests {
            let mut record = self.exchange(role::SERVER, 0, 0, "GET /", "HTTP/1.1 200 OK");
            let first = (second * 1000 + 1) * MS + at;
            (record.request_first, record.request_last) = (first, first);
            (record.response_first, record.response_last) = (first + 400_000, first + 400_000);
            record.emitted = first + 500_000;
            record.flags = flow_flag::FINAL;
            self.flow(&record);
        }
        self.engine.advance((second + 1) * SECOND, &mut self.seen);
        self.engine.orders()
    }
}

#[test]
fn sums_count_like_the_requests_that_they_are_of() {
    let mut lab = Lab::new();
    let told = lab.exchange(role::SERVER, 0, 30, "GET /", "HTTP/1.1 200 OK");
    lab.flow(&told);
    lab.folded(&folded(1_000, 10));
    let [pod] = &lab.finish(1000)[..] else { panic!("one pod") };
    assert_eq!((pod.totals.requests, pod.totals.folded), (1_001, 1_000));
    assert_eq!(pod.totals.stages, Stages { own: 430 * MS, ..Stages::default() });
    assert_eq!((lab.seen.requests.len(), lab.seen.folded), (1, 1_000));
}

#[test]
fn sums_that_cannot_be_are_an_oddity() {
    let mut lab = Lab::new();
    let mut record = folded(3, 10);
    record.sums.own = u64::MAX;
    lab.folded(&record);
    lab.folded(&FoldedRecord { flow: 0, ..folded(3, 10) });
    assert!(lab.finish(1000).is_empty());
    let oddities = lab.engine.oddities();
    assert_eq!((oddities.sums_refused, oddities.unidentified), (3, 1));
}

#[test]
fn segments_that_were_retransmitted_meanwhile_are_counted() {
    let mut lab = Lab::new();
    lab.folded(&FoldedRecord { retransmits: 2, ..folded(3, 10) });
    lab.folded(&FoldedRecord { retransmits: 5, ..folded(3, 210) });
    assert_eq!(lab.seen.flows, [FlowEvent::Retransmits(2), FlowEvent::Retransmits(3)]);
}

#[test]
fn a_busy_pod_is_folded_as_long_as_it_is_busy() {
    let mut lab = folding();
    let place = Order::Place { cgroup: POD, place: 1 };
    assert_eq!(lab.second(0, 2_000), [place], "begins to look");
    assert_eq!(lab.second(1, 2_000), [below(500_000)]);
    lab.folded(&folded(3_000, 2_100));
    assert_eq!(lab.second(2, 0), []);
    assert_eq!(lab.second(3, 100), [below(0)]);
}

#[test]
fn nothing_is_folded_while_somebody_looks_at_each() {
    let mut lab = folding();
    lab.second(0, 2_000);
    assert_eq!(lab.second(1, 2_000), [below(500_000)]);
    lab.engine.hold_folding(true);
    assert_eq!(lab.second(2, 2_000), [below(0)]);
    assert_eq!(lab.second(3, 2_000), []);
    lab.engine.hold_folding(false);
    assert_eq!(lab.second(4, 2_000), [below(500_000)]);
}

#[test]
fn a_call_that_does_not_end_keeps_requests_from_being_folded_for_a_minute() {
    let mut lab = folding();
    lab.second(0, 2_000);
    let mut stream = lab.exchange(role::CLIENT, 1_000, 1_000, "GET /events", "");
    (stream.response_first, stream.response_last) = (0, 0);
    lab.flow(&stream);
    assert_eq!(lab.second(1, 2_000), []);
    lab.second(59, 2_000);
    assert_eq!(lab.second(60, 2_000), []);
    assert_eq!(lab.second(61, 2_000), [below(500_000)]);
}

#[test]
fn the_end_knows_that_something_may_have_been_folded() {
    let mut lab = folding();
    lab.second(0, 2_000);
    assert!(!lab.engine.unfold(), "not yet");
    lab.engine.fold(BUSY);
    lab.second(1, 2_000);
    lab.second(2, 0);
    assert!(lab.engine.unfold(), "what was folded a moment ago is still in the kernel");
}

#[test]
fn nothing_is_folded_unless_somebody_says_so() {
    let mut lab = Lab::new();
    lab.second(0, 2_000);
    assert_eq!(lab.second(1, 2_000), []);
}
