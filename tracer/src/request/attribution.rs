//! Whose call was it.

use super::{Attribution, Call, Thread, multiplex::Multiplexing, pod::Key, wait::PATIENCE};

/// A request that was in flight when the call began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Which request.
    pub key: Key,
    /// Who answered it, and when; `None` while it waits for its answer.
    pub answer: Option<(Thread, u64)>,
}

/// To whom a call belongs. Made once, when the first request that may own it settles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// One request, for certain as far as the attribution says.
    Owner(Key, Attribution),
    /// Any of those that were in flight when it began. They are not listed: there may be thousands.
    Shared {
        /// How many there were.
        requests: u32,
        /// Whether only those that waited for their answer count.
        waiting: bool,
        /// Those that waited for their answer counted from this first byte on.
        from: u64,
        /// When the newest record was emitted: what was answered later waited.
        newest: u64,
    },
    /// Nobody's: no request was in flight.
    None,
}

impl Decision {
    /// The attribution it stands for.
    pub(super) fn attribution(&self) -> Attribution {
        match self {
            Self::Owner(_, attribution) => *attribution,
            Self::Shared { .. } => Attribution::Shared,
            Self::None => Attribution::None,
        }
    }

    /// How many requests share the call.
    pub(super) fn requests(&self) -> u32 {
        match self {
            Self::Owner(..) => 1,
            Self::Shared { requests, .. } => *requests,
            Self::None => 0,
        }
    }

    /// Whether a request that was in flight when the call began is one of them; `known` is when the first
    /// record with its answer was emitted.
    pub(super) fn includes(&self, request: &Key, known: u64) -> bool {
        match self {
            Self::Owner(owner, _) => owner == request,
            Self::Shared { waiting, newest, .. } if known <= *newest => !waiting,
            Self::Shared { from, .. } => request.first >= *from,
            Self::None => false,
        }
    }
}

/// What a decision looks at besides the call and its candidates.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    pub threads: &'a Multiplexing,
    /// Whether a candidate's answer can be waited for.
    pub patient: bool,
    /// Requests without an answer count from this first byte on.
    pub from: u64,
    /// When the newest record was emitted.
    pub newest: u64,
}

/// Decides, or gives the candidate whose answer is worth waiting for: who writes it may settle the matter.
///
/// The thread decides only where it means something: known, of a process that does not multiplex. Then the
/// call belongs to the next response of its thread. A thread that writes responses itself works for a request
/// that another thread answered only if work moves between threads. Such requests are candidates only when
/// there are no others, and the call is then shared even by a single one: the doubt shows.
pub(super) fn decide(call: &Call, candidates: &[Candidate], view: View<'_>) -> Result<Decision, Key> {
    let blocking = is_blocking(call, view.threads);
    if blocking && let Some(key) = answered_by(call.thread, candidates) {
        return Ok(Decision::Owner(key, Attribution::Thread));
    }
    let stranger = blocking && view.threads.is_responder(call.thread);
    match candidates {
        [] => return Ok(Decision::None),
        [only] if !stranger || only.answer.is_none() => {
            return Ok(Decision::Owner(only.key, Attribution::Exclusive));
        }
        _ => {}
    }
    let waiting = || candidates.iter().filter(|c| c.answer.is_none());
    // A request that was old already may be a long poll, whose answer may come in hours.
    let young = waiting().find(|c| call.start.saturating_sub(c.key.first) < PATIENCE);
    if blocking
        && view.patient
        && let Some(young) = young
    {
        return Err(young.key);
    }
    let only_waiting = stranger && waiting().next().is_some();
    let requests = if only_waiting { waiting().count() } else { candidates.len() };
    Ok(Decision::Shared {
        requests: u32::try_from(requests).unwrap_or(u32::MAX),
        waiting: only_waiting,
        from: view.from,
        newest: view.newest,
    })
}

/// Whether the call tells that work moves between threads: its thread writes responses, but other threads of
/// its process answered every request that it may belong to.
pub(super) fn is_moved(call: &Call, candidates: &[Candidate], threads: &Multiplexing) -> bool {
    let elsewhere = |c: &Candidate| {
        c.answer.is_some_and(|(t, _)| t != call.thread && t.is_known() && t.process == call.thread.process)
    };
    is_blocking(call, threads)
        && threads.is_responder(call.thread)
        && !candidates.is_empty()
        && candidates.iter().all(elsewhere)
}

fn is_blocking(call: &Call, threads: &Multiplexing) -> bool {
    call.thread.is_known() && !threads.is_multiplexing(call.thread.process)
}

/// The request of which `thread` wrote the answer, the first one after the call.
fn answered_by(thread: Thread, candidates: &[Candidate]) -> Option<Key> {
    let mine =
        candidates.iter().filter_map(|c| c.answer.filter(|(t, _)| *t == thread).map(|(_, at)| (at, c.key)));
    mine.min().map(|(_, key)| key)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use super::*;
    use crate::{
        flow::Messages,
        request::{CallKind, What},
    };

    const A: Thread = Thread { thread: 11, process: 10 };
    const B: Thread = Thread { thread: 12, process: 10 };

    fn call(thread: Thread) -> Call {
        let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 1);
        Call {
            kind: CallKind::Upstream,
            start: 100,
            end: 200,
            flow: 1,
            number: 1,
            local: address,
            peer: address,
            peer_name: None,
            thread,
            what: What::Opaque,
            messages: Messages::default(),
            answered: true,
        }
    }

    fn key(flow: u64) -> Key {
        Key { first: 50, flow, number: 1 }
    }

    fn answered(flow: u64, thread: Thread, at: u64) -> Candidate {
        Candidate { key: key(flow), answer: Some((thread, at)) }
    }

    fn waiting(flow: u64) -> Candidate {
        Candidate { key: key(flow), answer: None }
    }

    fn check(
        call: &Call,
        candidates: &[Candidate],
        threads: &Multiplexing,
        patient: bool,
    ) -> Option<Decision> {
        decide(call, candidates, View { threads, patient, from: 40, newest: 500 }).ok()
    }

    fn shared(requests: u32, waiting: bool) -> Decision {
        Decision::Shared { requests, waiting, from: 40, newest: 500 }
    }

    #[test]
    fn the_thread_that_answers_owns_its_calls() {
        let threads = Multiplexing::default();
        let candidates = [answered(1, A, 300), answered(2, B, 250)];
        let decision = check(&call(B), &candidates, &threads, true);
        assert_eq!(decision, Some(Decision::Owner(key(2), Attribution::Thread)));
    }

    #[test]
    fn of_several_answers_by_one_thread_the_next_counts() {
        let threads = Multiplexing::default();
        let candidates = [answered(1, A, 400), answered(2, A, 300)];
        let decision = check(&call(A), &candidates, &threads, true);
        assert_eq!(decision, Some(Decision::Owner(key(2), Attribution::Thread)));
    }

    #[test]
    fn the_only_request_in_flight_owns_the_call() {
        let threads = Multiplexing::default();
        let decision = check(&call(Thread::default()), &[answered(1, A, 300)], &threads, true);
        assert_eq!(decision, Some(Decision::Owner(key(1), Attribution::Exclusive)));
    }

    #[test]
    fn a_multiplexing_process_shares() {
        let mut threads = Multiplexing::default();
        threads.call(A, 1, 100, 200);
        threads.response(A, 9, 150);
        let candidates = [answered(1, A, 300), answered(2, B, 250)];
        let decision = check(&call(A), &candidates, &threads, true).unwrap();
        assert_eq!(decision, shared(2, false));
        assert_eq!((decision.requests(), decision.includes(&key(1), 300)), (2, true));
        let old = Key { first: 39, ..key(1) };
        assert!(
            decision.includes(&old, 300) && !decision.includes(&old, 501),
            "it waited, and was not counted"
        );
    }

    #[test]
    fn an_answer_that_may_decide_is_waited_for() {
        let threads = Multiplexing::default();
        let candidates = [answered(1, A, 300), waiting(2)];
        assert_eq!(check(&call(B), &candidates, &threads, true), None);
        assert_eq!(check(&call(B), &candidates, &threads, false), Some(shared(2, false)));
    }

    #[test]
    fn a_responders_call_is_not_for_anothers_request() {
        let mut threads = Multiplexing::default();
        threads.response(B, 7, 10);
        let candidates = [answered(1, A, 300), waiting(2)];
        assert_eq!(check(&call(B), &candidates, &threads, false), Some(shared(1, true)));
        assert!(!shared(1, true).includes(&key(1), 400) && shared(1, true).includes(&key(2), 501));
        let only = [answered(1, A, 300)];
        assert_eq!(check(&call(B), &only, &threads, true), Some(shared(1, false)));
    }

    #[test]
    fn a_long_poll_is_not_waited_for() {
        let old = Candidate { key: Key { first: 50, flow: 2, number: 1 }, answer: None };
        let late = Call { start: 50 + PATIENCE, ..call(B) };
        let candidates = [answered(1, A, 300), old];
        assert_eq!(check(&late, &candidates, &Multiplexing::default(), true), Some(shared(2, false)));
    }

    #[test]
    fn work_has_moved_when_others_answered_every_request() {
        let mut threads = Multiplexing::default();
        assert!(!is_moved(&call(B), &[answered(1, A, 300)], &threads), "B may be a helper of A");
        threads.response(B, 7, 10);
        assert!(is_moved(&call(B), &[answered(1, A, 300)], &threads));
        assert!(!is_moved(&call(B), &[answered(1, A, 300), waiting(2)], &threads));
        assert!(!is_moved(&call(B), &[answered(1, A, 300), answered(2, B, 300)], &threads));
        let sidecar = Thread { thread: 90, process: 9 };
        assert!(!is_moved(&call(B), &[answered(1, sidecar, 300)], &threads));
    }

    #[test]
    fn without_a_request_in_flight_it_is_nobodys() {
        assert_eq!(check(&call(A), &[], &Multiplexing::default(), true), Some(Decision::None));
    }
}
