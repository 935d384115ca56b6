//! A call until it settles.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use super::{
    AttributedCall, Attribution, Call,
    answered::Settling,
    attribution::{Candidate, Decision, View, decide, is_moved},
    multiplex::Multiplexing,
    pod::{Key, Pending, Settled},
    wait::Due,
};

/// A call as far as it is known, and whose it was.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) call: Arc<Call>,
    /// It has no end yet; `call.end` is the latest moment at which it was known to be outstanding.
    pub(super) open: bool,
    pub(super) emitted: u64,
    pub(super) decision: Option<Decision>,
    /// Requests of the decision that have not settled.
    pub(super) left: u32,
    /// The request whose answer may decide, and the number of responses when that was found.
    awaited: Option<(Key, u64)>,
}

impl Entry {
    pub(super) fn new(call: Arc<Call>, open: bool, emitted: u64) -> Self {
        Self { call, open, emitted, decision: None, left: 0, awaited: None }
    }

    /// Decides, if it is time to.
    pub(super) fn decide(&mut self, candidates: &[Candidate], view: View<'_>) {
        match decide(&self.call, candidates, view) {
            Ok(decision) => {
                self.left = decision.requests();
                self.decision = Some(decision);
            }
            Err(awaited) => self.awaited = Some((awaited, view.threads.responses())),
        }
    }

    /// Whether it is undecided, and what it waited for when that was last tried has not come.
    pub(super) fn waits(&self, in_flight: &BTreeMap<Key, Pending>, threads: &Multiplexing) -> bool {
        self.decision.is_none()
            && self.awaited.is_some_and(|(request, responses)| {
                in_flight.contains_key(&request) && !threads.has_responded_since(self.call.thread, responses)
            })
    }

    /// Whether it has ended, and its newest record came long ago.
    pub(super) fn is_over(&self, due: Due) -> bool {
        !self.open && due.is_over(self.emitted)
    }

    /// The share of a request that settles.
    pub(super) fn claim(&mut self, request: &Settling<'_>) -> Option<AttributedCall> {
        let decision = self.decision.as_ref()?;
        if !decision.includes(&request.key, request.known) {
            return None;
        }
        // One that came too late to be counted gets nothing: the shares never exceed the whole.
        self.left = self.left.checked_sub(1)?;
        let mut call = Arc::clone(&self.call);
        if self.open && !self.call.answered {
            // It outlives the response: it covers the rest of the window. An open one that is answered waits for
            // nothing: only whether it goes on is not known yet.
            Arc::make_mut(&mut call).end = request.pending.messages.response_first.max(self.call.start);
        }
        Some(AttributedCall { call, attribution: decision.attribution(), requests: decision.requests() })
    }
}

/// Tells from a call whether work moves between threads.
pub(super) fn learn(threads: &mut Multiplexing, entry: &Entry, candidates: &[Candidate]) {
    match entry.decision.as_ref().map(Decision::attribution) {
        Some(Attribution::Thread) => threads.stayed(entry.call.thread.process),
        Some(Attribution::Shared) if is_moved(&entry.call, candidates, threads) => {
            threads.moved(entry.call.thread, entry.call.start);
        }
        _ => {}
    }
}

/// Gives a call that settles.
pub(super) fn settle_call(entry: &Entry, settle: &mut dyn FnMut(Settled<'_>)) {
    let attribution = entry.decision.as_ref().map_or(Attribution::None, Decision::attribution);
    settle(Settled::Call(&entry.call, attribution));
}

/// The calls that began in a request's window.
pub(super) fn calls_between(from: u64, until: u64) -> (Bound<Key>, Bound<Key>) {
    let until = Bound::Excluded(Key { first: until.max(from), flow: 0, number: 0 });
    (Bound::Included(Key { first: from, flow: 0, number: 0 }), until)
}
