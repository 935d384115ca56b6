use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use super::*;
use crate::request::{
    CallKind, What,
    wait::{PATIENCE, Rest},
};

const MS: u64 = 1_000_000;
const A: Thread = Thread { thread: 11, process: 10 };
const B: Thread = Thread { thread: 12, process: 10 };

fn pod() -> Arc<Pod> {
    Arc::new(Pod { uid: "pod".to_owned(), name: None })
}

fn address() -> SocketAddr {
    SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 80)
}

/// A request on `flow`, received at `t1` ms and answered from `t2` to `t3` ms (0: not yet).
fn request(flow: u64, thread: Thread, t1: u64, t2: u64, t3: u64) -> (Key, Pending) {
    let messages = Messages {
        request_first: t1 * MS,
        request_last: t1 * MS,
        response_first: t2 * MS,
        response_last: t3 * MS,
        request_bytes: 10,
        response_bytes: 10,
    };
    let transport = Transport { local: address(), peer: address(), srtt_us: 0, retransmits: 0 };
    let pending = Pending {
        messages,
        transport,
        thread,
        http: None,
        marks: Marks::default(),
        emitted: t3.max(t1) * MS,
        rest: if t3 == 0 { Rest::Possible } else { Rest::None },
    };
    (Key { first: t1 * MS, flow, number: 1 }, pending)
}

fn call(flow: u64, thread: Thread, start: u64, end: u64) -> (Key, Call) {
    let call = Call {
        kind: CallKind::Upstream,
        start: start * MS,
        end: end * MS,
        flow,
        number: 1,
        local: address(),
        peer: address(),
        peer_name: None,
        thread,
        what: What::Opaque,
        messages: Messages::default(),
        answered: true,
    };
    (Key { first: start * MS, flow, number: 1 }, call)
}

/// Flow, attribution and number of sharers of a request's call.
type Owned = (u64, Attribution, u32);

/// Feeds a tracker and collects what settles.
#[derive(Default)]
struct Lab {
    tracker: PodTracker,
    requests: Vec<Request>,
    calls: Vec<(Call, Attribution)>,
}

impl Lab {
    fn request(&mut self, (key, pending): (Key, Pending)) {
        self.tracker.request(key, pending, 0);
    }

    fn call(&mut self, (key, call): (Key, Call)) {
        let emitted = call.end;
        self.tracker.call(key, call, false, emitted, 0);
    }

    fn advance(&mut self, ms: u64) {
        let (requests, calls) = (&mut self.requests, &mut self.calls);
        self.tracker.advance(&pod(), ms * MS, &mut |settled| match settled {
            Settled::Request(request) => requests.push(request.clone()),
            Settled::Call(call, attribution) => calls.push((call.clone(), attribution)),
        });
    }

    /// The flow of each settled request, and its calls.
    fn owned(&self) -> Vec<(u64, Vec<Owned>)> {
        let calls = |r: &Request| r.calls.iter().map(|c| (c.call.flow, c.attribution, c.requests)).collect();
        self.requests.iter().map(|request| (request.flow, calls(request))).collect()
    }
}

#[test]
fn a_request_settles_with_its_call_when_nothing_can_change() {
    let mut lab = Lab::default();
    lab.request(request(1, A, 10, 50, 51));
    lab.call(call(2, A, 20, 40));
    lab.advance(51 + SETTLE / MS - 1);
    assert!(lab.requests.is_empty() && lab.calls.is_empty());
    lab.advance(51 + SETTLE / MS);
    assert_eq!(lab.owned(), [(1, vec![(2, Attribution::Thread, 1)])]);
    assert_eq!(lab.requests[0].stages.values(), [0, 0, 0, 0, 20 * MS, 20 * MS, MS]);
    assert_eq!(lab.calls.len(), 1, "the call settles after its request");
}

#[test]
fn parallel_requests_get_the_calls_of_their_threads() {
    let mut lab = Lab::default();
    lab.request(request(1, A, 10, 50, 50));
    lab.request(request(2, B, 11, 51, 51));
    lab.call(call(3, B, 20, 30));
    lab.call(call(4, A, 21, 31));
    lab.advance(1000);
    let expected = [(1, vec![(4, Attribution::Thread, 1)]), (2, vec![(3, Attribution::Thread, 1)])];
    assert_eq!(lab.owned(), expected);
}

#[test]
fn a_call_waits_for_the_answer_that_tells_whose_it_was() {
    let mut lab = Lab::default();
    lab.request(request(1, A, 10, 50, 50));
    let (key, waiting) = request(2, Thread::default(), 11, 0, 0);
    lab.tracker.request(key, waiting, 0);
    lab.call(call(3, B, 20, 30));
    lab.advance(500);
    assert!(lab.requests.is_empty(), "request 2 may own the call");
    let (key, answered) = request(2, B, 11, 600, 600);
    lab.tracker.request(key, answered, 1);
    lab.advance(1000);
    assert_eq!(lab.owned(), [(1, vec![]), (2, vec![(3, Attribution::Thread, 1)])]);
}

#[test]
fn patience_ends_and_the_call_is_shared() {
    let mut lab = Lab::default();
    lab.request(request(1, A, 10, 50, 50));
    lab.request(request(2, Thread::default(), 11, 0, 0));
    lab.call(call(3, B, 20, 30));
    lab.advance(50 + (SETTLE + PATIENCE) / MS);
    assert_eq!(lab.owned(), [(1, vec![(3, Attribution::Shared, 2)])]);
    assert!(lab.calls.is_empty(), "request 2 will get its half");
}

#[test]
fn unknown_threads_share_in_parallel_and_own_alone() {
    let mut lab = Lab::default();
    lab.request(request(1, Thread::default(), 10, 50, 50));
    lab.request(request(2, Thread::default(), 30, 60, 60));
    lab.call(call(3, Thread::default(), 20, 25));
    lab.call(call(4, Thread::default(), 40, 45));
    lab.advance(1000);
    let shared = (4, Attribution::Shared, 2);
    assert_eq!(lab.owned(), [(1, vec![(3, Attribution::Exclusive, 1), shared]), (2, vec![shared])]);
}

#[test]
fn a_call_never_attaches_to_a_request_already_answered() {
    let mut lab = Lab::default();
    lab.request(request(1, A, 10, 50, 80));
    lab.call(call(2, A, 50, 70));
    lab.advance(1000);
    assert_eq!(lab.owned(), [(1, vec![])]);
    assert_eq!(lab.calls[0].1, Attribution::None);
}

#[test]
fn a_call_that_outlives_the_response_covers_the_rest_of_the_window() {
    let mut lab = Lab::default();
    lab.request(request(1, A, 10, 50, 50));
    let (key, known) = call(2, A, 20, 60);
    lab.tracker.call(key, Call { answered: false, ..known }, true, 60 * MS, 0);
    lab.advance(1000);
    assert_eq!(lab.requests[0].stages.upstream, 30 * MS);
    assert_eq!(lab.requests[0].calls[0].call.end, 50 * MS, "as far as the request saw it");
    assert!(lab.calls.is_empty(), "it has not ended");
}

#[test]
fn an_update_replaces_and_a_late_one_is_counted() {
    let mut lab = Lab::default();
    let (key, mut first) = request(1, A, 10, 50, 51);
    first.rest = Rest::Possible;
    lab.tracker.request(key, first, 0);
    let (key, second) = request(1, A, 10, 50, 60);
    lab.tracker.request(key, second.clone(), 1);
    lab.advance(1000);
    assert_eq!(lab.requests.len(), 1);
    assert_eq!(lab.requests[0].total(), 50 * MS);
    lab.tracker.request(key, second, 2);
    lab.advance(2000);
    assert_eq!((lab.requests.len(), lab.tracker.late), (1, 1));
}

#[test]
fn requests_in_flight_are_bounded() {
    let mut lab = Lab::default();
    for flow in 0..IN_FLIGHT_LIMIT as u64 + 10 {
        lab.request(request(flow, A, 10 + flow, 0, 0));
    }
    assert_eq!((lab.tracker.in_flight.len(), lab.tracker.abandoned), (IN_FLIGHT_LIMIT, 10));
}

#[test]
fn answered_requests_are_bounded_and_the_oldest_settle_early() {
    let mut lab = Lab::default();
    for flow in 0..ANSWERED_LIMIT as u64 + 10 {
        lab.request(request(flow, A, 10, 20, 20));
    }
    lab.advance(20);
    assert_eq!(lab.requests.len(), 10);
}

#[test]
fn calls_are_bounded_and_the_oldest_settle_early() {
    let mut lab = Lab::default();
    lab.request(request(1, A, 1, 0, 0));
    for flow in 0..CALL_LIMIT as u64 + 10 {
        lab.call(call(2 + flow, B, 10 + flow, 11 + flow));
    }
    lab.advance(20);
    assert_eq!(lab.calls.len(), 10);
}

#[test]
fn the_end_settles_everything_that_was_answered() {
    let mut lab = Lab::default();
    lab.request(request(1, A, 10, 50, 51));
    lab.request(request(2, B, 10, 0, 0));
    lab.call(call(3, A, 20, 40));
    let (mut requests, mut calls) = (0, 0);
    lab.tracker.finish(&pod(), 100 * MS, &mut |settled| match settled {
        Settled::Request(_) => requests += 1,
        Settled::Call(..) => calls += 1,
    });
    assert_eq!((requests, calls), (1, 1));
}

#[test]
fn of_a_shared_call_no_more_than_the_whole_is_given() {
    let mut lab = Lab::default();
    lab.request(request(1, Thread::default(), 10, 50, 50));
    lab.call(call(3, Thread::default(), 20, 30));
    lab.advance(350);
    lab.request(request(2, Thread::default(), 10, 60, 400));
    lab.advance(1000);
    assert_eq!(lab.owned(), [(1, vec![(3, Attribution::Exclusive, 1)]), (2, vec![])]);
}

/// A request by thread 11, 10 to 30 ms, whose client is 250 ms away; its call; a request of a near client.
fn far_client(lab: &mut Lab) {
    let (key, mut far) = request(1, A, 10, 30, 30);
    far.emitted = 380 * MS;
    far.transport.srtt_us = 250_000;
    lab.request(request(2, B, 5, 35, 36));
    lab.call(call(3, A, 15, 25));
    lab.advance(350);
    lab.request((Key { flow: 1, ..key }, far));
    lab.advance(2000);
}

#[test]
fn the_record_of_a_far_client_is_waited_for() {
    let mut lab = Lab::default();
    let (key, mut earlier) = request(9, B, 1, 2, 3);
    earlier.transport.srtt_us = 250_000;
    lab.request((key, earlier));
    far_client(&mut lab);
    assert_eq!(lab.owned()[1..], [(2, vec![]), (1, vec![(3, Attribution::Thread, 1)])]);
}

#[test]
fn before_a_far_client_is_known_to_be_far_a_responders_call_is_not_exclusive() {
    let mut lab = Lab::default();
    lab.call(call(8, A, 1, 2));
    lab.request(request(9, A, 1, 3, 3));
    far_client(&mut lab);
    let owned = lab.owned();
    let (_, calls) = owned.iter().find(|(flow, _)| *flow == 2).unwrap();
    assert_eq!(calls[..], [(3, Attribution::Shared, 1)]);
}

#[test]
fn a_request_that_is_never_answered_stops_counting_after_a_minute() {
    let mut lab = Lab::default();
    let (one_way, pending) = request(9, Thread::default(), 1, 0, 0);
    lab.tracker.request(one_way, pending, 0);
    lab.request(request(1, A, 61_000, 61_050, 61_050));
    lab.call(call(2, Thread::default(), 61_010, 61_040));
    lab.advance(62_000);
    assert_eq!(lab.owned(), [(1, vec![(2, Attribution::Exclusive, 1)])]);
    assert_eq!(lab.calls.len(), 1, "it holds no call back");
    assert_eq!(lab.tracker.oldest_unsettled(62_000 * MS), None);
    let (_, answered) = request(9, A, 1, 63_000, 63_000);
    lab.tracker.request(one_way, answered, 1);
    lab.advance(64_000);
    assert_eq!(lab.owned()[1..], [(9, vec![])], "it can be answered all the same");
}

#[test]
fn a_response_may_pause() {
    let mut lab = Lab::default();
    let (key, mut paused) = request(1, A, 10, 50, 51);
    paused.rest = Rest::Possible;
    lab.tracker.request(key, paused, 0);
    lab.advance(1800);
    assert_eq!(lab.requests.len(), 0);
    let (_, rest) = request(1, A, 10, 50, 1900);
    lab.tracker.request(key, rest, 1);
    lab.advance(1900 + SETTLE / MS);
    assert_eq!((lab.requests[0].stages.send, lab.tracker.late), (1850 * MS, 0));
}

#[test]
fn the_next_request_on_a_flow_ends_the_wait_for_more_of_the_last() {
    let mut lab = Lab::default();
    let (key, mut flushed) = request(1, A, 10, 50, 51);
    flushed.rest = Rest::Possible;
    lab.tracker.request(key, flushed, 0);
    let (mut next, pending) = request(1, A, 100, 150, 151);
    next.number = 2;
    lab.tracker.request(next, pending, 0);
    lab.advance(51 + SETTLE / MS);
    assert_eq!(lab.requests.iter().map(|request| request.number).collect::<Vec<_>>(), [1]);
}

#[test]
fn a_response_whose_client_reads_no_more_waits_for_the_rest() {
    let mut lab = Lab::default();
    let (key, mut stalled) = request(1, A, 10, 50, 51);
    stalled.rest = Rest::Certain;
    lab.tracker.request(key, stalled, 0);
    lab.advance(30_000);
    assert_eq!(lab.requests.len(), 0);
    let (_, rest) = request(1, A, 10, 50, 30_050);
    lab.tracker.request(key, rest, 1);
    lab.advance(31_000);
    assert_eq!((lab.requests[0].stages.send, lab.tracker.late), (30_000 * MS, 0));
}

#[test]
fn what_has_not_settled_is_told() {
    let mut lab = Lab::default();
    assert_eq!(lab.tracker.oldest_unsettled(0), None);
    lab.call(call(3, A, 20, 30));
    assert_eq!(lab.tracker.oldest_unsettled(100 * MS), Some(20 * MS));
    lab.request(request(1, A, 10, 0, 0));
    assert_eq!(lab.tracker.oldest_unsettled(100 * MS), Some(10 * MS));
}

/// Two thousand requests per second of 20 ms, one call each, while another request waits for its answer: the
/// work does not grow with the number of requests that wait.
#[test]
fn one_slow_request_does_not_slow_the_tracing() {
    let mut lab = Lab::default();
    lab.request(request(1, Thread::default(), 1, 0, 0));
    let began = Instant::now();
    for n in 0..8000 {
        let (thread, at) = (Thread { thread: 100 + u32::try_from(n % 40).unwrap(), process: 10 }, 10 + n / 2);
        lab.request(request(2 + n, Thread { thread: 7, process: 10 }, at, at + 20, at + 20));
        lab.call(call(20_000 + n, thread, at + 1, at + 19));
        if n % 100 == 0 {
            lab.advance(at + 20);
        }
    }
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    lab.advance(62_000);
    assert_eq!((lab.requests.len(), lab.calls.len()), (8000, 8000));
}

/// A process that multiplexes: a thousand requests at once, each with a call that all of them share.
#[test]
fn calls_shared_by_many_requests_cost_little() {
    let mut lab = Lab::default();
    for n in 0..1000 {
        lab.request(request(2 + n, Thread::default(), 10 + n, 1010 + n, 1010 + n));
        lab.call(call(10_000 + n, Thread::default(), 500 + n, 900 + n));
    }
    let began = Instant::now();
    lab.advance(10_000);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert!(lab.requests.iter().all(|request| request.total() == 1000 * MS));
}
