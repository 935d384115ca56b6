use std::sync::Arc;

use super::*;
use crate::{
    finding::fixture::{self, Case, address, http, upstream},
    request::AttributedCall,
};

/// A request that was received at once, with its calls: from, to. Microseconds.
#[derive(Clone, Debug)]
struct Served {
    from: u64,
    to: u64,
    calls: Vec<(u64, u64)>,
}

/// What a pod does that is called by so many callers, each asking again 2 ms after its answer, and that makes
/// `per_request` calls of 5 ms or so for each request. `leave` says when a call leaves that is due at a time.
fn served(
    callers: u64,
    requests: usize,
    per_request: usize,
    mut leave: impl FnMut(u64) -> u64,
) -> Vec<Served> {
    // Callers with what they are at: when it is due, and the request so far.
    let begin = |from| (from, Served { from, to: 0, calls: Vec::new() });
    let mut busy: Vec<(u64, Served)> = (0..callers).map(|caller| begin(caller * 700)).collect();
    let mut done = Vec::new();
    while done.len() < requests {
        busy.sort_by_key(|(due, _)| *due);
        let (due, request) = &mut busy[0];
        if request.calls.len() < per_request {
            let start = leave(*due);
            let end = start + 4_700 + start % 601;
            request.calls.push((start, end));
            *due = end;
        } else {
            let next = *due + 2_000 + *due % 907;
            done.push(Served { to: *due + 100, ..request.clone() });
            busy[0] = begin(next);
        }
    }
    done.sort_by_key(|request| request.to);
    done
}

/// The token bucket of client-go: who finds no token waits for the next that nobody waits for.
fn limiter(per_second: u64, burst: u64) -> impl FnMut(u64) -> u64 {
    let interval = 1_000_000 / per_second;
    // When the bucket was, or will be, empty of tokens that are not reserved.
    let mut full_at = 0u64;
    move |due| {
        full_at = full_at.max(due) + interval;
        // A timer is late by a few hundred microseconds at most.
        due.max(full_at.saturating_sub(burst * interval) + due % 301)
    }
}

fn call(index: u64, (from, to): (u64, u64)) -> Call {
    let mut call = upstream(http("GET", "/api/v1/configmaps/x"), 0, 0);
    (call.start, call.end, call.flow) = (from * 1000, to * 1000, index);
    call
}

/// What is said of it, when calls belong to their request, or to all that were in flight.
fn judge(served: &[Served], shared: bool) -> Option<Verdict<Evidence>> {
    let calls: Vec<_> = served.iter().flat_map(|request| request.calls.iter().copied()).collect();
    let mut calls: Vec<_> = (1..).zip(calls).map(|(index, times)| call(index, times)).collect();
    calls.sort_by_key(|call| call.start);
    let mut case = Case::<ClientThrottle>::new();
    for of in served {
        let owned = calls.iter().filter(|call| {
            let at = call.start / 1000;
            of.from <= at && at < of.to && (shared || of.calls.iter().any(|own| own.0 == at))
        });
        let attribution = if shared { Attribution::Shared } else { Attribution::Thread };
        let mut request = fixture::request(0);
        let messages = &mut request.messages;
        (messages.request_first, messages.request_last) = (of.from * 1000, of.from * 1000);
        (messages.response_first, messages.response_last) = (of.to * 1000, of.to * 1000);
        request.stages = crate::request::Stages { own: (of.to - of.from) * 1000, ..Default::default() };
        request.calls = owned
            .map(|call| AttributedCall { call: Arc::new(call.clone()), attribution, requests: 1 })
            .collect();
        case.request(&request);
        for call in calls.iter().filter(|call| of.calls.iter().any(|own| own.0 == call.start / 1000)) {
            case.call(call, attribution);
        }
    }
    let mut verdicts = case.verdicts();
    assert!(verdicts.len() <= 1);
    verdicts.pop()
}

fn silent(served: &[Served]) {
    for shared in [false, true] {
        let found = judge(served, shared);
        assert!(found.is_none(), "shared: {shared}: {found:?}");
    }
}

#[test]
fn a_limit_of_5_per_second_after_10_is_found_for_any_number_of_callers() {
    for callers in [1, 5, 10] {
        for shared in [false, true] {
            let found = judge(&served(callers, 60, 1, limiter(5, 10)), shared);
            let found = found.unwrap_or_else(|| panic!("{callers} callers, shared: {shared}"));
            assert_eq!(found.severity, Severity::Critical);
            assert_eq!(found.destination, Some(address(6, 443).into()));
            let evidence = found.evidence;
            assert!((evidence.calls_per_second.0 - 5.0).abs() < 0.02, "{evidence:?}");
            assert!((10..=11).contains(&evidence.burst), "{evidence:?}");
            assert!((48..=50).contains(&evidence.calls_paced), "{evidence:?}");
            #[expect(clippy::cast_precision_loss, reason = "ten at most")]
            let callers = callers as f64;
            assert!((evidence.requests_waiting.0 - callers).abs() < 0.15 * callers, "{evidence:?}");
            assert!(evidence.share_of_time.0 > 0.9 && evidence.seconds_per_call.0 < 0.006, "{evidence:?}");
            assert!(found.explanation.contains("had left without waiting: 5.0"), "{}", found.explanation);
        }
    }
}

#[test]
fn several_calls_per_request_and_other_limits_are_found_too() {
    for shared in [false, true] {
        assert!(judge(&served(3, 30, 4, limiter(20, 20)), shared).is_some());
        assert!(judge(&served(1, 20, 5, limiter(50, 100)), shared).is_none(), "within the burst");
    }
}

#[test]
fn a_limit_whose_burst_was_before_the_trace_is_found() {
    for callers in [1, 5] {
        let found = judge(&served(callers, 60, 1, limiter(5, 10))[12..], false).expect("callers wait for it");
        assert!(found.evidence.burst < BURST && !found.explanation.contains("without waiting"), "{found:?}");
    }
}

#[test]
fn a_slow_server_is_not_the_clients_limit() {
    let slow: Vec<_> = (0..60)
        .map(|n| Served {
            from: n * 200_000,
            to: n * 200_000 + 199_000,
            calls: vec![(n * 200_000 + 500, n * 200_000 + 198_000)],
        })
        .collect();
    silent(&slow);
}

#[test]
fn work_between_calls_is_not_a_limit() {
    for callers in [1, 4] {
        silent(&served(callers, 40, 3, |due| due + 50_000 + due % 3_001));
        silent(&served(callers, 40, 3, |due| due + 50_000));
    }
}

#[test]
fn a_few_calls_and_then_a_loop_of_work_and_calls_are_not_a_limit() {
    let mut number = 0;
    let looped = served(1, 4, 40, |due| {
        number += 1;
        if (number - 1) % 40 < 4 { due } else { due + 50_000 }
    });
    silent(&looped);
}

#[test]
fn one_thread_that_works_for_several_requests_in_turn_is_not_a_limit() {
    let mut free = 0;
    let queued = served(5, 100, 1, |due| {
        free = due.max(free) + 40_000 + due % 9_001;
        free
    });
    silent(&queued);
}

#[test]
fn a_steady_load_is_not_a_limit() {
    let load = |work: u64| -> Vec<_> {
        let at = |n: u64| n * 200_000 + n * 7919 % 1000;
        let request = |n: u64| {
            let start = at(n) + work + n * n * 104_729 % (1 + work / 30);
            Served { from: at(n), to: start + 6_000, calls: vec![(start, start + 5_000)] }
        };
        (0..100).map(request).collect()
    };
    silent(&load(300));
    silent(&load(20_000));
    silent(&load(150_000));
    silent(&load(185_000));
}

#[test]
fn a_poller_is_not_a_limit() {
    let mut case = Case::<ClientThrottle>::new();
    for n in 0..100 {
        let proves = case.call(&call(n, (n * 200_000, n * 200_000 + 5_000)), Attribution::None);
        assert_eq!(proves, Proves::Nothing);
    }
    assert!(case.verdicts().is_empty(), "no request waits for it");
}

#[test]
fn a_handler_that_asks_every_200_ms_whether_something_is_done_is_not_a_limit() {
    let asked: Vec<_> = (0..20)
        .map(|n| {
            let from = n * 1_010_000;
            let calls = (0..6).map(|k| (from + k * 200_000, from + k * 200_000 + 5_000)).take(5).collect();
            Served { from, to: from + 900_000, calls }
        })
        .collect();
    silent(&asked);
}

#[test]
fn waits_after_refusals_are_the_servers_wish() {
    let served = served(5, 60, 1, limiter(5, 10));
    let mut case = Case::<ClientThrottle>::new();
    for (index, request) in (1..).zip(&served) {
        let mut refused = call(index, request.calls[0]);
        refused.answered = false;
        let mut of = fixture::request(0);
        of.messages.request_last = request.from * 1000;
        of.calls = vec![AttributedCall {
            call: Arc::new(refused.clone()),
            attribution: Attribution::Thread,
            requests: 1,
        }];
        case.request(&of);
        case.call(&refused, Attribution::Thread);
    }
    assert!(case.verdicts().is_empty());
}

#[test]
fn a_call_that_a_request_waited_for_is_evidence() {
    let mut case = Case::<ClientThrottle>::new();
    let late = call(1, (60_000, 65_000));
    let mut request = fixture::request(0);
    request.calls =
        vec![AttributedCall { call: Arc::new(late.clone()), attribution: Attribution::Thread, requests: 1 }];
    case.request(&request);
    assert_eq!(case.call(&late, Attribution::Thread), Proves::Destination(address(6, 443).into()));
    assert_eq!(case.call(&call(2, (70_000, 75_000)), Attribution::None), Proves::Nothing);
    assert!(case.verdicts().is_empty());
}
