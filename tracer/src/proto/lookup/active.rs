//! One lookup in progress: its queries, their transmissions, and what they say together.

use std::net::SocketAddr;

use super::{
    GIVE_UP, GRACE, Lookup, QUERY_LIMIT, Report, Sighting,
    query::{AT_ONCE, Answer, NXDOMAIN, Query},
    silence::silence,
};
use crate::{proto::dns::Message, request::Thread};

/// When a retry with another id comes at the latest: a connection is set up by then, if its SYN is not lost
/// (RFC 6298, section 2).
const SOON: u64 = 1_000_000_000;

/// How well a query fits as a retry of a lookup: its id, its thread, and the newest lookup first.
pub(super) type Fit = (bool, bool, u32);

/// A lookup in progress.
#[derive(Debug)]
pub(super) struct Active {
    number: u32,
    thread: Thread,
    start: u64,
    local: SocketAddr,
    peer: SocketAddr,
    queries: Vec<Query>,
    last: u64,
    reports: u32,
}

impl Active {
    /// A lookup that begins with this query.
    pub(super) fn new(number: u32, sighting: &Sighting) -> Self {
        Self {
            number,
            thread: sighting.thread,
            start: sighting.time,
            local: sighting.local,
            peer: sighting.peer,
            queries: vec![Query::new(sighting)],
            last: sighting.time,
            reports: 0,
        }
    }

    /// Adds a query of this lookup: a new one, or a transmission of one that waits.
    pub(super) fn push(&mut self, sighting: &Sighting) {
        let message = &sighting.message;
        self.last = sighting.time;
        // glibc closes its socket at the first answer that is cut and asks both types again over TCP; others do
        // so for the type that was cut.
        let is_after_cut = sighting.flow != 0 && self.is_truncated(&message.name);
        let Some(query) = self.queries.iter_mut().find(|q| q.answer.is_none() && q.asks(message)) else {
            self.queries.push(Query::new(sighting));
            return;
        };
        if is_after_cut {
            query.abandon_datagrams();
        }
        query.transmit(sighting);
    }

    /// Takes an answer if it is one to a transmission of this lookup.
    pub(super) fn answer(&mut self, sighting: &Sighting) -> bool {
        let taken = self.queries.iter_mut().any(|query| query.answered(sighting));
        if taken {
            self.last = sighting.time;
        }
        taken
    }

    /// A connection is over; `true` when this lookup waited for an answer on it.
    pub(super) fn lose(&mut self, flow: u64, now: u64) -> bool {
        let mut any = false;
        for query in &mut self.queries {
            any |= query.lose(flow);
        }
        if any {
            self.last = now;
        }
        any
    }

    pub(super) fn is_of(&self, thread: Thread) -> bool {
        self.thread == thread
    }

    pub(super) fn uses(&self, sighting: &Sighting) -> bool {
        self.queries.last().is_some_and(|q| q.was_sent_from(sighting))
    }

    /// Whether time has ended it: no further search domain was tried, or no answer came.
    pub(super) fn is_over(&self, now: u64) -> bool {
        let limit = if self.is_waiting() || self.awaits_tcp() { GIVE_UP } else { GRACE };
        now.saturating_sub(self.last) > limit
    }

    /// Every query has its answer, and the last name exists.
    pub(super) fn is_complete(&self) -> bool {
        let Some(last) = self.queries.last() else { return true };
        let found = |q: &Query| {
            q.name == last.name && q.answer.is_some_and(|answer| answer.rcode == 0 && answer.records > 0)
        };
        !self.is_waiting() && !self.awaits_tcp() && !last.is_transfer() && self.queries.iter().any(found)
    }

    /// How well a query fits as the retry of one of this lookup: over TCP after an answer that was cut, or of one
    /// that failed otherwise. None when it is no retry of this lookup.
    ///
    /// Nearly all resolvers keep the id (glibc, musl from 1.2.4 on, Go, c-ares), dig takes a new one: that has to
    /// come [`SOON`], because the answer may have been good enough, and somebody else asks over TCP. Go may ask from
    /// another thread.
    pub(super) fn retried_by(&self, sighting: &Sighting) -> Option<Fit> {
        let (thread, message) = (sighting.thread, &sighting.message);
        let is_asker = if thread.is_known() && self.thread.is_known() {
            self.thread.process == thread.process
        } else {
            self.local.ip() == sighting.local.ip()
        };
        if !is_asker || self.queries.len() >= QUERY_LIMIT {
            return None;
        }
        let has_id = self.queries.iter().any(|q| q.asks(message) && q.was_sent_as(message.id));
        let is_soon = has_id || sighting.time.saturating_sub(self.last) < SOON;
        let is_new_to_tcp = || !self.queries.iter().any(|q| q.asks(message) && q.over_tcp > 0);
        let after_cut =
            || sighting.flow != 0 && is_soon && self.is_truncated(&message.name) && is_new_to_tcp();
        let after_failure = || self.queries.iter().any(|q| q.is_resent_as(sighting));
        (after_cut() || after_failure()).then_some((has_id, self.is_of(thread), self.number))
    }

    /// The query of the same thread or socket that goes on with this lookup: the same name (another type, or
    /// a retransmission), or the next expansion after a negative answer.
    pub(super) fn goes_on_with(&self, sighting: &Sighting) -> bool {
        let name = &sighting.message.name;
        // A connection may be shared by all lookups of a process (RFC 7766, section 6.2.1).
        let is_shared = sighting.flow != 0 && !sighting.thread.is_known();
        self.is_open_to(sighting)
            && self.queries.last().is_some_and(|last| {
                last.name == *name
                    || self.expands(last, sighting.time)
                        && if is_shared {
                            is_next_expansion(&last.name, name)
                        } else {
                            common_labels(&last.name, name) > 0
                        }
            })
    }

    /// As [`Active::goes_on_with`] for a query of another thread of the process (resolvers that ask A and AAAA
    /// from different threads): never a retransmission, and an expansion only by a parent domain or none.
    pub(super) fn goes_on_elsewhere(&self, sighting: &Sighting) -> bool {
        let message = &sighting.message;
        if self.thread.process != sighting.thread.process || self.has_asked(message) {
            return false;
        }
        self.is_open_to(sighting)
            && self.queries.last().is_some_and(|last| {
                last.name == message.name
                    || self.expands(last, sighting.time) && is_next_expansion(&last.name, &message.name)
            })
    }

    /// As [`Active::goes_on_with`] for a query of another socket of the same address, when nobody tells threads
    /// (a capture): never a retransmission, the other type of the name at once, or the next expansion.
    pub(super) fn goes_on_from(&self, sighting: &Sighting) -> bool {
        let (message, time) = (&sighting.message, sighting.time);
        if self.local.ip() != sighting.local.ip() || self.has_asked(message) {
            return false;
        }
        self.is_open_to(sighting)
            && self.queries.last().is_some_and(|last| {
                last.name == message.name && time.saturating_sub(last.sent) <= AT_ONCE
                    || self.expands(last, time) && is_next_expansion(&last.name, &message.name)
            })
    }

    /// What is known of it at `now`; `open` says that it goes on.
    pub(super) fn report(&mut self, now: u64, open: bool) -> Report {
        let updates = self.reports;
        self.reports = self.reports.saturating_add(1);
        let waiting = self.is_waiting();
        let answered = self.queries.last().is_some_and(|q| q.answer.is_some()) && !(open && waiting);
        let last_answer = self.queries.iter().filter_map(|q| q.answer).map(|answer| answer.time).max();
        // Without an answer and without waiting for one, its connection is over, which was the last of it.
        let given_up = if waiting { now.min(self.last.saturating_add(GIVE_UP)) } else { self.last };
        let mut lookup = self.summarize();
        if !open && lookup.timeouts > 0 {
            lookup.silence = silence(&self.queries.iter().map(Query::asked).collect::<Vec<_>>());
        }
        Report {
            number: self.number,
            updates,
            open,
            start: self.start,
            end: last_answer.filter(|_| answered).unwrap_or(given_up).max(self.start),
            local: self.local,
            peer: self.peer,
            thread: self.thread,
            answered,
            lookup,
        }
    }

    /// A question that has its answer is asked by the next lookup, and so is what does not fit, what is asked a
    /// second time on a connection that loses nothing, and what a server that cut its answer is asked again
    /// without TCP: whoever does that was content with the answer.
    fn is_open_to(&self, sighting: &Sighting) -> bool {
        let (message, flow) = (&sighting.message, sighting.flow);
        let closed = |q: &Query| {
            q.asks(message)
                && (q.is_conclusive()
                    || flow != 0 && q.waits_on(flow)
                    || flow == 0 && q.is_truncated() && q.was_sent_to(sighting.peer))
        };
        self.queries.len() < QUERY_LIMIT && !self.queries.iter().any(closed)
    }

    fn has_asked(&self, message: &Message) -> bool {
        self.queries.iter().any(|q| q.asks(message))
    }

    /// An answer about this name was cut.
    fn is_truncated(&self, name: &str) -> bool {
        self.queries.iter().any(|q| q.name == name && q.is_truncated())
    }

    /// An answer was cut, and the question has neither been asked over TCP nor answered by the next server.
    ///
    /// It is asked at once as a rule, but the connection has to be set up first, which takes seconds when the SYN
    /// is lost. Who does not ask again (musl before 1.2.4, `RES_IGNTC`) has the answer meanwhile: a lookup that
    /// only awaits this ends with it.
    fn awaits_tcp(&self) -> bool {
        let goes_on = |cut: &Query| {
            self.queries.iter().any(|q| q.asks_as(cut) && (q.over_tcp > 0 || q.is_conclusive()))
        };
        self.queries.iter().any(|q| q.is_truncated() && !goes_on(q))
    }

    fn expands(&self, last: &Query, time: u64) -> bool {
        last.answer.is_some_and(Answer::is_negative) && time.saturating_sub(self.last) <= GRACE
    }

    fn is_waiting(&self) -> bool {
        self.queries.iter().any(Query::is_waiting)
    }

    /// The labels that the names of all queries begin with.
    fn shared_name<'a>(&self, last: &'a Query) -> &'a str {
        if self.queries.iter().all(|q| q.name == last.name) {
            return &last.name;
        }
        let shared = self.queries.iter().map(|q| common_labels(&last.name, &q.name)).min().unwrap_or(0);
        leading_labels(&last.name, shared)
    }

    fn summarize(&self) -> Lookup {
        let Some(last) = self.queries.last() else { return Lookup::default() };
        let name = self.shared_name(last);
        let mut lookup = Lookup { name: name.to_owned(), ..Lookup::default() };
        // An expansion is wasted when the name itself, or an expansion that exists, comes after it.
        let useful = |q: &Query| q.name == name || q.answer.is_some_and(|answer| answer.rcode == 0);
        let end_of_waste = self.queries.iter().rposition(useful);
        for (at, query) in self.queries.iter().enumerate() {
            lookup.queries = lookup.queries.saturating_add(query.sent_times());
            lookup.over_tcp = lookup.over_tcp.saturating_add(query.over_tcp);
            lookup.timeouts = lookup.timeouts.saturating_add(query.timeouts());
            let Some(answer) = query.answer else { continue };
            lookup.truncated += u32::from(answer.truncated);
            if !answer.truncated {
                lookup.addresses.merge(&query.addresses);
            }
            lookup.rcodes.push(answer.rcode);
            lookup.answer_times.push(answer.time.saturating_sub(query.sent));
            if answer.rcode != NXDOMAIN || query.name == name || end_of_waste.is_none_or(|end| at > end) {
                continue;
            }
            lookup.wasted += 1;
            let domain = query.name.get(name.len() + 1..).unwrap_or_default();
            if !domain.is_empty() && !lookup.search_domains.iter().any(|d| d == domain) {
                lookup.search_domains.push(domain.to_owned());
            }
        }
        lookup
    }
}

/// Whether `next` is the name of `last` with a parent of its search domain, or with none.
fn is_next_expansion(last: &str, next: &str) -> bool {
    let common = common_labels(last, next);
    common > 0 && labels_from(last, common).ends_with(&labels_from(next, common))
}

fn labels_from(name: &str, first: usize) -> Vec<&str> {
    name.split('.').skip(first).collect()
}

/// Number of labels that both names begin with.
fn common_labels(a: &str, b: &str) -> usize {
    a.split('.').zip(b.split('.')).take_while(|(a, b)| a == b && !a.is_empty()).count()
}

/// The first `count` labels of `name`.
fn leading_labels(name: &str, count: usize) -> &str {
    let end = name.match_indices('.').nth(count.saturating_sub(1)).map_or(name.len(), |(at, _)| at);
    name.get(..end).unwrap_or(name)
}
