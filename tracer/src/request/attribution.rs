//! Whose call was it.

use super::{Attribution, Call, Thread, multiplex::Multiplexing, pod::Key};

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
    /// Any of several.
    Shared(Box<[Key]>),
    /// Nobody's: no request was in flight.
    None,
}

impl Decision {
    /// The attribution it stands for.
    pub(super) fn attribution(&self) -> Attribution {
        match self {
            Self::Owner(_, attribution) => *attribution,
            Self::Shared(_) => Attribution::Shared,
            Self::None => Attribution::None,
        }
    }

    /// By how many requests the call is shared, when `request` is one of them.
    pub(super) fn share(&self, request: &Key) -> Option<u32> {
        match self {
            Self::Owner(owner, _) => (owner == request).then_some(1),
            Self::Shared(keys) => {
                keys.contains(request).then(|| u32::try_from(keys.len()).unwrap_or(u32::MAX))
            }
            Self::None => None,
        }
    }
}

/// Decides, or returns `None` to wait for a candidate's answer: who writes it may settle the matter. Not
/// `patient` means that the wait is over.
///
/// The thread decides only where it means something: known, of a process that does not multiplex. Then the
/// call belongs to the next response of its thread. A thread that writes responses itself never works for a
/// request that another thread answers, so such a request is no candidate.
pub(super) fn decide(
    call: &Call,
    candidates: &[Candidate],
    threads: &Multiplexing,
    patient: bool,
) -> Option<Decision> {
    let blocking = call.thread.is_known() && !threads.is_multiplexing(call.thread.process, call.start);
    if blocking && let Some(key) = answered_by(call.thread, candidates) {
        return Some(Decision::Owner(key, Attribution::Thread));
    }
    let stranger = blocking && threads.is_responder(call.thread);
    match candidates {
        [] => Some(Decision::None),
        [only] if stranger && only.answer.is_some() => Some(Decision::Shared(Box::new([only.key]))),
        [only] => Some(Decision::Owner(only.key, Attribution::Exclusive)),
        _ => {
            let waiting: Box<[Key]> =
                candidates.iter().filter(|c| c.answer.is_none()).map(|c| c.key).collect();
            if blocking && patient && !waiting.is_empty() {
                return None;
            }
            if stranger && !waiting.is_empty() {
                return Some(Decision::Shared(waiting));
            }
            Some(Decision::Shared(candidates.iter().map(|c| c.key).collect()))
        }
    }
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
    use crate::request::{CallKind, What};

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
            thread,
            what: What::Opaque,
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

    #[test]
    fn the_thread_that_answers_owns_its_calls() {
        let threads = Multiplexing::default();
        let candidates = [answered(1, A, 300), answered(2, B, 250)];
        let decision = decide(&call(B), &candidates, &threads, true);
        assert_eq!(decision, Some(Decision::Owner(key(2), Attribution::Thread)));
    }

    #[test]
    fn of_several_answers_by_one_thread_the_next_counts() {
        let threads = Multiplexing::default();
        let candidates = [answered(1, A, 400), answered(2, A, 300)];
        let decision = decide(&call(A), &candidates, &threads, true);
        assert_eq!(decision, Some(Decision::Owner(key(2), Attribution::Thread)));
    }

    #[test]
    fn the_only_request_in_flight_owns_the_call() {
        let threads = Multiplexing::default();
        let decision = decide(&call(Thread::default()), &[answered(1, A, 300)], &threads, true);
        assert_eq!(decision, Some(Decision::Owner(key(1), Attribution::Exclusive)));
    }

    #[test]
    fn a_multiplexing_process_shares() {
        let mut threads = Multiplexing::default();
        threads.call(A, 1, 100, 200);
        threads.response(A, 9, 150);
        let candidates = [answered(1, A, 300), answered(2, B, 250)];
        let decision = decide(&call(A), &candidates, &threads, true).unwrap();
        assert_eq!(decision, Decision::Shared(Box::new([key(1), key(2)])));
        assert_eq!((decision.share(&key(1)), decision.share(&key(3))), (Some(2), None));
    }

    #[test]
    fn an_answer_that_may_decide_is_waited_for() {
        let threads = Multiplexing::default();
        let candidates = [answered(1, A, 300), waiting(2)];
        assert_eq!(decide(&call(B), &candidates, &threads, true), None);
        assert_eq!(
            decide(&call(B), &candidates, &threads, false),
            Some(Decision::Shared(Box::new([key(1), key(2)])))
        );
    }

    #[test]
    fn a_responders_call_is_not_for_anothers_request() {
        let mut threads = Multiplexing::default();
        threads.response(B, 7, 10);
        let candidates = [answered(1, A, 300), waiting(2)];
        assert_eq!(
            decide(&call(B), &candidates, &threads, false),
            Some(Decision::Shared(Box::new([key(2)])))
        );
        let only = [answered(1, A, 300)];
        assert_eq!(decide(&call(B), &only, &threads, true), Some(Decision::Shared(Box::new([key(1)]))));
    }

    #[test]
    fn without_a_request_in_flight_it_is_nobodys() {
        assert_eq!(decide(&call(A), &[], &Multiplexing::default(), true), Some(Decision::None));
    }
}
