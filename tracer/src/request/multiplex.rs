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
/// Processes with a verdict per pod; at the cap the oldest goes, the unproven first.
const PROCESS_LIMIT: usize = 1024;
/// Calls that moved between threads, less those that did not, that convict a process. One alone may be a
/// thread's work after its response, while another thread's request is in flight.
const MOVED: u8 = 4;

/// What is known of a process. It does not expire: a process does not change its model.
#[derive(Clone, Copy, Debug, Default)]
struct Verdict {
    convicted: bool,
    moved: u8,
    /// When the last evidence came.
    last: u64,
}

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
    verdicts: FxHashMap<u32, Verdict>,
    /// The number of the last response of each thread.
    responders: FxHashMap<Thread, u64>,
    responses: u64,
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
            self.responses += 1;
            self.responders.insert(thread, self.responses);
        }
        self.write(thread, flow, time);
    }

    /// Whether threads of the process say nothing about whose call it was.
    #[must_use]
    pub(super) fn is_multiplexing(&self, process: u32) -> bool {
        self.verdicts.get(&process).is_some_and(|verdict| verdict.convicted)
    }

    /// A call of `thread` at `time` belonged to a request that another thread answered.
    pub(super) fn moved(&mut self, thread: Thread, time: u64) {
        let verdict = self.verdict(thread.process, time);
        verdict.moved = verdict.moved.saturating_add(1);
        verdict.convicted |= verdict.moved >= MOVED;
    }

    /// A call of the process belonged to a request that its thread answered.
    pub(super) fn stayed(&mut self, process: u32) {
        if let Some(verdict) = self.verdicts.get_mut(&process) {
            verdict.moved = verdict.moved.saturating_sub(1);
        }
    }

    /// Whether the thread writes responses itself.
    #[must_use]
    pub(super) fn is_responder(&self, thread: Thread) -> bool {
        self.responders.contains_key(&thread)
    }

    /// Responses so far.
    #[must_use]
    pub(super) fn responses(&self) -> u64 {
        self.responses
    }

    /// Whether the thread has written a response after the first `responses` ones.
    #[must_use]
    pub(super) fn has_responded_since(&self, thread: Thread, responses: u64) -> bool {
        self.responders.get(&thread).is_some_and(|last| *last > responses)
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
        self.verdict(thread.process, time).convicted = true;
    }

    fn verdict(&mut self, process: u32, time: u64) -> &mut Verdict {
        if self.verdicts.len() >= PROCESS_LIMIT && !self.verdicts.contains_key(&process) {
            let oldest = self.verdicts.iter().min_by_key(|(_, verdict)| (verdict.convicted, verdict.last));
            if let Some(oldest) = oldest.map(|(process, _)| *process) {
                self.verdicts.remove(&oldest);
            }
        }
        let verdict = self.verdicts.entry(process).or_default();
        verdict.last = verdict.last.max(time);
        verdict
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
        assert!(!threads.is_multiplexing(10));
        assert!(threads.is_responder(THREAD));
    }

    #[test]
    fn a_write_while_a_call_is_outstanding_convicts_the_process_in_either_order() {
        let mut threads = Multiplexing::default();
        threads.call(THREAD, 1, 100, 200);
        threads.response(THREAD, 3, 150);
        assert!(threads.is_multiplexing(10));

        let mut threads = Multiplexing::default();
        threads.response(THREAD, 3, 150);
        threads.call(THREAD, 1, 100, 200);
        assert!(threads.is_multiplexing(10));
    }

    #[test]
    fn overlapping_calls_of_one_thread_convict() {
        let mut threads = Multiplexing::default();
        threads.call(THREAD, 1, 100, 200);
        threads.call(THREAD, 2, 110, 190);
        assert!(threads.is_multiplexing(10));
    }

    #[test]
    fn a_call_known_in_pieces_is_one_call() {
        let mut threads = Multiplexing::default();
        threads.call(THREAD, 1, 100, 140);
        threads.call(THREAD, 1, 100, 200);
        threads.response(THREAD, 3, 210);
        assert!(!threads.is_multiplexing(10));
        threads.response(THREAD, 3, 180);
        assert!(threads.is_multiplexing(10));
    }

    #[test]
    fn calls_that_move_between_threads_convict_unless_as_many_stay() {
        let mut threads = Multiplexing::default();
        for time in 0..100 {
            threads.moved(THREAD, time);
            threads.stayed(10);
        }
        assert!(!threads.is_multiplexing(10));
        (0..u64::from(MOVED)).for_each(|time| threads.moved(THREAD, time));
        assert!(threads.is_multiplexing(10));
    }

    #[test]
    fn a_new_process_is_convicted_when_many_have_been() {
        let mut threads = Multiplexing::default();
        let limit = u32::try_from(PROCESS_LIMIT).unwrap();
        for process in 0..=limit {
            threads.evidence(Thread { thread: process + 1, process }, 1000 + u64::from(process));
        }
        assert!(threads.is_multiplexing(limit) && threads.is_multiplexing(1));
        assert!(!threads.is_multiplexing(0), "the oldest verdict goes");
        assert_eq!(threads.verdicts.len(), PROCESS_LIMIT);
    }

    #[test]
    fn unknown_threads_prove_nothing() {
        let mut threads = Multiplexing::default();
        threads.call(Thread::default(), 1, 100, 200);
        threads.response(Thread::default(), 3, 150);
        assert!(!threads.is_multiplexing(0));
    }
}
