//! The slowest requests of the last minutes, with their calls.

use std::{cmp::Reverse, collections::VecDeque, sync::Arc};

use crate::{
    pod::Pod,
    request::{Marks, Request},
};

/// Nanoseconds of a span: the oldest goes as a whole.
const SPAN: u64 = 120_000_000_000;
/// Spans kept: eight to ten minutes.
const SPANS: usize = 5;
/// Requests of one span, of all pods: the slowest.
const SPAN_LIMIT: usize = 100;
/// Requests of one span and pod, so that one slow pod does not push all others out.
const POD_LIMIT: usize = 10;
/// Calls of a request that are kept, so that all requests together hold some 10 MiB.
const CALL_LIMIT: usize = 64;

/// Minutes from which there are requests, at most.
pub(super) const MINUTES: u64 = SPAN * SPANS as u64 / 60_000_000_000;

/// The requests.
#[derive(Debug, Default)]
pub(super) struct Recent {
    /// Oldest first.
    spans: VecDeque<Span>,
}

#[derive(Debug)]
struct Span {
    at: u64,
    /// Slowest first.
    kept: Vec<Request>,
}

impl Recent {
    /// Takes a settled request, and keeps it if it is slow enough.
    pub(super) fn request(&mut self, request: &Request) {
        if request.marks.has(Marks::UNANSWERED) {
            return;
        }
        let at = request.messages.response_last / SPAN;
        let newest = self.spans.back().map_or(at, |span| span.at);
        if at.saturating_add(SPANS as u64) <= newest {
            return;
        }
        let later = self.spans.iter().rev().take_while(|span| span.at > at).count();
        let place = self.spans.len() - later;
        if place.checked_sub(1).and_then(|last| self.spans.get(last)).is_none_or(|span| span.at != at) {
            self.spans.insert(place, Span { at, kept: Vec::new() });
        }
        if let Some(span) = self.spans.iter_mut().rev().find(|span| span.at == at) {
            span.request(request);
        }
        self.advance(request.messages.response_last);
    }

    /// Forgets what is too old at `now`.
    pub(super) fn advance(&mut self, now: u64) {
        let newest = now / SPAN;
        while self.spans.front().is_some_and(|span| span.at.saturating_add(SPANS as u64) <= newest) {
            self.spans.pop_front();
        }
    }

    /// The slowest, at most `limit` of those that are `wanted`, slowest first.
    pub(super) fn slowest(&self, limit: usize, wanted: impl Fn(&Pod) -> bool) -> Vec<&Request> {
        let all = self.spans.iter().flat_map(|span| &span.kept).filter(|request| wanted(&request.pod));
        let mut found: Vec<&Request> = all.collect();
        found.sort_by_key(|request| Reverse(request.total()));
        found.truncate(limit);
        found
    }
}

impl Span {
    fn request(&mut self, request: &Request) {
        let place = self.kept.partition_point(|kept| kept.total() >= request.total());
        if place >= SPAN_LIMIT {
            return;
        }
        // A pod may have got its name meanwhile.
        let is_own = |kept: &Request| Arc::ptr_eq(&kept.pod, &request.pod) || kept.pod.uid == request.pod.uid;
        if self.kept.iter().filter(|kept| is_own(kept)).count() >= POD_LIMIT {
            // The fastest of the same pod gives way.
            match self.kept.iter().rposition(is_own) {
                Some(last) if last >= place => drop(self.kept.remove(last)),
                _ => return,
            }
        }
        let mut request = request.clone();
        if request.calls.len() > CALL_LIMIT {
            request.calls.truncate(CALL_LIMIT);
            request.calls.shrink_to_fit();
            request.marks.set(Marks::CALLS_CUT);
        }
        self.kept.insert(place, request);
        self.kept.truncate(SPAN_LIMIT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::fixture;

    fn request(uid: &str, at: u64, milliseconds: u64) -> Request {
        let mut request = fixture::request_with(Vec::new());
        request.pod = fixture::unnamed_pod(uid);
        request.messages.response_last = at;
        request.stages = crate::request::Stages { upstream: milliseconds * 1_000_000, ..Default::default() };
        request
    }

    fn slowest(recent: &Recent, limit: usize, uid: &str) -> Vec<u64> {
        let found = recent.slowest(limit, |pod| uid.is_empty() || pod.uid == uid);
        found.iter().map(|request| request.total() / 1_000_000).collect()
    }

    #[test]
    fn the_slowest_come_first_of_all_or_of_a_pod() {
        let mut recent = Recent::default();
        for (uid, milliseconds) in [("a", 5), ("b", 7), ("a", 9), ("b", 1)] {
            recent.request(&request(uid, 1, milliseconds));
        }
        assert_eq!(slowest(&recent, 3, ""), [9, 7, 5]);
        assert_eq!(slowest(&recent, 3, "b"), [7, 1]);
    }

    #[test]
    fn a_slow_pod_leaves_room_for_others() {
        let mut recent = Recent::default();
        (100..200).for_each(|milliseconds| recent.request(&request("slow", 1, milliseconds)));
        recent.request(&request("quick", 1, 1));
        assert_eq!(slowest(&recent, 100, "slow"), (190..200).rev().collect::<Vec<_>>());
        assert_eq!(slowest(&recent, 100, "quick"), [1]);
    }

    #[test]
    fn all_together_are_bounded() {
        let mut recent = Recent::default();
        for at in 0..20 {
            for pod in 0..50 {
                for milliseconds in 1..20 {
                    recent.request(&request(&pod.to_string(), at * SPAN, milliseconds));
                }
            }
        }
        assert_eq!(slowest(&recent, usize::MAX, "").len(), SPANS * SPAN_LIMIT);
    }

    #[test]
    fn what_is_old_goes() {
        let mut recent = Recent::default();
        recent.request(&request("a", 1, 9));
        recent.request(&request("a", 4 * SPAN, 5));
        assert_eq!(slowest(&recent, 9, ""), [9, 5]);
        recent.advance(5 * SPAN);
        assert_eq!(slowest(&recent, 9, ""), [5]);
        // What comes much too late is old already.
        recent.request(&request("a", 9 * SPAN, 4));
        recent.request(&request("a", 1, 9));
        assert_eq!(slowest(&recent, 9, ""), [4]);
    }

    #[test]
    fn many_calls_are_cut_and_marked() {
        let mut recent = Recent::default();
        let mut many = fixture::request();
        many.calls = many.calls.iter().cycle().take(200).cloned().collect();
        recent.request(&many);
        let kept = recent.slowest(1, |_| true);
        assert_eq!(kept[0].calls.len(), CALL_LIMIT);
        assert!(kept[0].marks.has(Marks::CALLS_CUT));
    }
}
