use std::net::{Ipv4Addr, SocketAddr};

use super::*;
use crate::request::{CallKind, What};

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
        is_final: t3 != 0,
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
        thread,
        what: What::Opaque,
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
    assert_eq!(lab.owned(), [(2, vec![(3, Attribution::Thread, 1)]), (1, vec![])]);
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
    let (key, unanswered) = call(2, A, 20, 60);
    lab.tracker.call(key, unanswered, true, 60 * MS, 0);
    lab.advance(1000);
    assert_eq!(lab.requests[0].stages.upstream, 30 * MS);
    assert!(lab.calls.is_empty(), "it has not ended");
}

#[test]
fn an_update_replaces_and_a_late_one_is_counted() {
    let mut lab = Lab::default();
    let (key, mut first) = request(1, A, 10, 50, 51);
    first.is_final = false;
    lab.tracker.request(key, first, 0);
    let (key, second) = request(1, A, 10, 50, 60);
    lab.tracker.request(key, second, 1);
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
    lab.tracker.finish(&pod(), &mut |settled| match settled {
        Settled::Request(_) => requests += 1,
        Settled::Call(..) => calls += 1,
    });
    assert_eq!((requests, calls), (1, 1));
}
