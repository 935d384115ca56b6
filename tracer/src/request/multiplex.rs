//! Which processes multiplex: one thread working on several requests at once, as async runtimes do.
//!
//! A thread that blocks on its calls writes nothing while one is outstanding. A thread that writes on another
//! flow meanwhile does not block, and then the thread says nothing about whose call it was. Evidence against
//! one thread counts against its whole process, because runtimes move work between threads.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use super::Thread;

/// Calls and writes kept per thread.
const TRAIL: usize = 16;
/// Threads followed per pod; at the cap all trails are dropped and grow anew (the verdicts stay).
const THREAD_LIMIT: usize = 16_384;
/// Processes with a verdict per pod.
const PROCESS_LIMIT: usize = 1024;
/// How long a verdict stands after the last evidence: one minute.
const VERDICT: u64 = 60_000_000_000;

#[derive(Debug, Default)]
struct Trail {
    /// Outstanding from, to (known so far), flow.
    calls: VecDeque<(u64, u64, u64)>,
    /// Time and flow.
    writes: VecDeque<(u64, u64)>,
}

/// What is known of a pod's threads.
#[derive(Debug, Default)]
pub(super) struct Multiplexing {
    trails: FxHashMap<Thread, Trail>,
    verdicts: FxHashMap<u32, u64>,
    responders: FxHashMap<Thread, u64>,
}

impl Multiplexing {
    /// A call by `thread` on `flow` was outstanding from `start` to `until`, as far as is known. Lookups are
    /// not told: a resolver asks for A and AAAA at once and blocks all the same.
    pub(super) fn call(&mut self, thread: Thread, flow: u64, start: u64, until: u64) {
        let Some(trail) = self.trail(thread) else { return };
        let busy = trail.writes.iter().any(|&(time, other)| other != flow && time > start && time < until);
        match trail.calls.iter_mut().find(|call| call.0 == start && call.2 == flow) {
            Some(known) => known.1 = known.1.max(until),
            None => push(&mut trail.calls, (start, until, flow)),
        }
        if busy {
            self.evidence(thread, until);
        }
        self.write(thread, flow, start);
    }

    /// `thread` wrote the response of a request.
    pub(super) fn response(&mut self, thread: Thread, flow: u64, time: u64) {
        if self.responders.len() >= THREAD_LIMIT {
            self.responders.clear();
        }
        if thread.is_known() {
            self.responders.insert(thread, time);
        }
        self.write(thread, flow, time);
    }

    /// Whether threads of the process say nothing about whose call it was.
    #[must_use]
    pub(super) fn is_multiplexing(&self, process: u32, now: u64) -> bool {
        self.verdicts.get(&process).is_some_and(|last| now.saturating_sub(*last) < VERDICT)
    }

    /// Whether the thread writes responses itself.
    #[must_use]
    pub(super) fn is_responder(&self, thread: Thread) -> bool {
        self.responders.contains_key(&thread)
    }

    fn write(&mut self, thread: Thread, flow: u64, time: u64) {
        let Some(trail) = self.trail(thread) else { return };
        let busy =
            trail.calls.iter().any(|&(start, until, other)| other != flow && time > start && time < until);
        if !trail.writes.contains(&(time, flow)) {
            push(&mut trail.writes, (time, flow));
        }
        if busy {
            self.evidence(thread, time);
        }
    }

    fn trail(&mut self, thread: Thread) -> Option<&mut Trail> {
        if !thread.is_known() {
            return None;
        }
        if self.trails.len() >= THREAD_LIMIT && !self.trails.contains_key(&thread) {
            self.trails.clear();
        }
        Some(self.trails.entry(thread).or_default())
    }

    fn evidence(&mut self, thread: Thread, time: u64) {
        if self.verdicts.len() < PROCESS_LIMIT || self.verdicts.contains_key(&thread.process) {
            let last = self.verdicts.entry(thread.process).or_default();
            *last = (*last).max(time);
        }
    }
}

fn push<T>(trail: &mut VecDeque<T>, value: T) {
    if trail.len() >= TRAIL {
        trail.pop_front();
    }
    trail.push_back(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREAD: Thread = Thread { thread: 11, process: 10 };
    const OTHER: Thread = Thread { thread: 12, process: 10 };

    #[test]
    fn a_thread_that_blocks_on_its_calls_does_not_multiplex() {
        let mut threads = Multiplexing::default();
        threads.call(THREAD, 1, 100, 200);
        threads.call(THREAD, 2, 210, 300);
        threads.response(THREAD, 3, 310);
        threads.response(OTHER, 4, 150);
        assert!(!threads.is_multiplexing(10, 400));
        assert!(threads.is_responder(THREAD));
    }

    #[test]
    fn a_write_while_a_call_is_outstanding_convicts_the_process_in_either_order() {
        let mut threads = Multiplexing::default();
        threads.call(THREAD, 1, 100, 200);
        threads.response(THREAD, 3, 150);
        assert!(threads.is_multiplexing(10, 400));

        let mut threads = Multiplexing::default();
        threads.response(THREAD, 3, 150);
        threads.call(THREAD, 1, 100, 200);
        assert!(threads.is_multiplexing(10, 400));
        assert!(!threads.is_multiplexing(10, 150 + VERDICT + 50));
    }

    #[test]
    fn overlapping_calls_of_one_thread_convict() {
        let mut threads = Multiplexing::default();
        threads.call(THREAD, 1, 100, 200);
        threads.call(THREAD, 2, 110, 190);
        assert!(threads.is_multiplexing(10, 400));
    }

    #[test]
    fn a_call_known_in_pieces_is_one_call() {
        let mut threads = Multiplexing::default();
        threads.call(THREAD, 1, 100, 140);
        threads.call(THREAD, 1, 100, 200);
        threads.response(THREAD, 3, 210);
        assert!(!threads.is_multiplexing(10, 400));
        threads.response(THREAD, 3, 180);
        assert!(threads.is_multiplexing(10, 400));
    }

    #[test]
    fn unknown_threads_prove_nothing() {
        let mut threads = Multiplexing::default();
        threads.call(Thread::default(), 1, 100, 200);
        threads.response(Thread::default(), 3, 150);
        assert!(!threads.is_multiplexing(0, 400));
    }
}
