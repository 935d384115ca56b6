//! One lookup in progress: its queries, their transmissions, and what they say together.

use std::net::{IpAddr, SocketAddr};

use super::{
    Datagram, GIVE_UP, GRACE, Lookup, QUERY_LIMIT, Report,
    silence::{Asked, Fate, Sent, silence},
};
use crate::{proto::dns::Message, request::Thread};

/// Transmissions kept per query: three attempts at two or three servers. Beyond it the oldest is forgotten and
/// counts as a timeout.
const TRANSMISSION_LIMIT: usize = 8;
/// Transmissions within this time of each other are one attempt, at several servers.
const AT_ONCE: u64 = 100_000_000;
const NXDOMAIN: u8 = 3;

/// One datagram of a query. A retransmission may have another id, socket and server (RFC 5452, section 4.2).
#[derive(Debug)]
struct Transmission {
    id: u16,
    local: SocketAddr,
    peer: SocketAddr,
    sent: u64,
    answered: bool,
}

#[derive(Clone, Copy, Debug)]
struct Answer {
    time: u64,
    /// When the transmission that it answers was sent.
    asked: u64,
    rcode: u8,
    records: u16,
}

impl Answer {
    /// The name exists or does not; anything else sends the resolver to its next server.
    fn is_conclusive(self) -> bool {
        matches!(self.rcode, 0 | NXDOMAIN)
    }

    fn is_negative(self) -> bool {
        self.rcode == NXDOMAIN || self.records == 0
    }
}

#[derive(Debug)]
struct Query {
    name: String,
    kind: u16,
    sent: u64,
    transmissions: Vec<Transmission>,
    forgotten: u32,
    answer: Option<Answer>,
}

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
    pub(super) fn new(number: u32, datagram: &Datagram) -> Self {
        let mut active = Self {
            number,
            thread: datagram.thread,
            start: datagram.time,
            local: datagram.local,
            peer: datagram.peer,
            queries: Vec::new(),
            last: datagram.time,
            reports: 0,
        };
        active.push(datagram);
        active
    }

    /// Adds a query of this lookup: a new one, or a transmission of one that waits.
    pub(super) fn push(&mut self, datagram: &Datagram) {
        let message = &datagram.message;
        self.last = datagram.time;
        if let Some(query) = self.queries.iter_mut().find(|q| q.answer.is_none() && q.asks(message)) {
            query.transmit(datagram);
            return;
        }
        let mut query = Query {
            name: message.name.clone(),
            kind: message.query_type,
            sent: datagram.time,
            transmissions: Vec::new(),
            forgotten: 0,
            answer: None,
        };
        query.transmit(datagram);
        self.queries.push(query);
    }

    /// Takes an answer if it is one to a transmission of this lookup.
    pub(super) fn answer(&mut self, datagram: &Datagram) -> bool {
        let Some(query) = self.queries.iter_mut().find(|q| q.waits_for(datagram)) else { return false };
        query.answered(datagram);
        self.last = datagram.time;
        true
    }

    pub(super) fn is_of(&self, thread: Thread) -> bool {
        self.thread == thread
    }

    pub(super) fn uses(&self, local: SocketAddr) -> bool {
        self.queries.last().is_some_and(|q| q.transmissions.iter().any(|t| t.local == local))
    }

    /// Whether time has ended it: no further search domain was tried, or no answer came.
    pub(super) fn is_over(&self, now: u64) -> bool {
        let limit = if self.is_waiting() { GIVE_UP } else { GRACE };
        now.saturating_sub(self.last) > limit
    }

    /// Every query has its answer, and the last name exists.
    pub(super) fn is_complete(&self) -> bool {
        let Some(last) = self.queries.last() else { return true };
        let found = |q: &Query| {
            q.name == last.name && q.answer.is_some_and(|answer| answer.rcode == 0 && answer.records > 0)
        };
        !self.is_waiting() && self.queries.iter().any(found)
    }

    /// The query of the same thread or socket that goes on with this lookup: the same name (another type, or
    /// a retransmission), or the next expansion after a negative answer.
    pub(super) fn goes_on_with(&self, message: &Message, time: u64) -> bool {
        self.is_open_to(message)
            && self.queries.last().is_some_and(|last| {
                last.name == message.name
                    || self.expands(last, time) && common_labels(&last.name, &message.name) > 0
            })
    }

    /// As [`Active::goes_on_with`] for a query of another thread of the process (resolvers that ask A and AAAA
    /// from different threads): never a retransmission, and an expansion only by a parent domain or none.
    pub(super) fn goes_on_elsewhere(&self, thread: Thread, message: &Message, time: u64) -> bool {
        if self.thread.process != thread.process || self.queries.iter().any(|q| q.asks(message)) {
            return false;
        }
        self.is_open_to(message)
            && self.queries.last().is_some_and(|last| {
                last.name == message.name
                    || self.expands(last, time) && is_next_expansion(&last.name, &message.name)
            })
    }

    /// As [`Active::goes_on_with`] for a query of another socket of the same address, when nobody tells threads
    /// (a capture): never a retransmission, the other type of the name at once, or the next expansion.
    pub(super) fn goes_on_from(&self, local: IpAddr, message: &Message, time: u64) -> bool {
        if self.local.ip() != local || self.queries.iter().any(|q| q.asks(message)) {
            return false;
        }
        self.is_open_to(message)
            && self.queries.last().is_some_and(|last| {
                last.name == message.name && time.saturating_sub(last.sent) <= AT_ONCE
                    || self.expands(last, time) && is_next_expansion(&last.name, &message.name)
            })
    }

    /// What is known of it at `now`; `open` says that it goes on.
    pub(super) fn report(&mut self, now: u64, open: bool) -> Report {
        let updates = self.reports;
        self.reports = self.reports.saturating_add(1);
        let answered = self.queries.last().is_some_and(|q| q.answer.is_some());
        let last_answer = self.queries.iter().filter_map(|q| q.answer).map(|answer| answer.time).max();
        let given_up = now.min(self.last.saturating_add(GIVE_UP));
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

    /// A question that has its answer is asked by the next lookup, and so is what does not fit.
    fn is_open_to(&self, message: &Message) -> bool {
        let settled = |q: &Query| q.asks(message) && q.answer.is_some_and(Answer::is_conclusive);
        self.queries.len() < QUERY_LIMIT && !self.queries.iter().any(settled)
    }

    fn expands(&self, last: &Query, time: u64) -> bool {
        last.answer.is_some_and(Answer::is_negative) && time.saturating_sub(self.last) <= GRACE
    }

    fn is_waiting(&self) -> bool {
        self.queries.iter().any(|q| q.answer.is_none())
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
            lookup.timeouts = lookup.timeouts.saturating_add(query.timeouts());
            let Some(answer) = query.answer else { continue };
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

impl Query {
    fn asks(&self, message: &Message) -> bool {
        self.kind == message.query_type && self.name == message.name
    }

    fn transmit(&mut self, datagram: &Datagram) {
        if self.transmissions.len() >= TRANSMISSION_LIMIT {
            self.transmissions.remove(0);
            self.forgotten = self.forgotten.saturating_add(1);
        }
        self.transmissions.push(Transmission {
            id: datagram.message.id,
            local: datagram.local,
            peer: datagram.peer,
            sent: datagram.time,
            answered: false,
        });
    }

    fn waits_for(&self, datagram: &Datagram) -> bool {
        self.asks(&datagram.message) && self.transmissions.iter().any(|t| t.waits_for(datagram))
    }

    /// The first answer counts, but for one that sends the resolver to its next server.
    fn answered(&mut self, datagram: &Datagram) {
        let Some(transmission) = self.transmissions.iter_mut().rfind(|t| t.waits_for(datagram)) else {
            return;
        };
        transmission.answered = true;
        if !self.answer.is_some_and(Answer::is_conclusive) {
            self.answer = Some(Answer {
                time: datagram.time,
                asked: transmission.sent,
                rcode: datagram.message.rcode,
                records: datagram.message.answers,
            });
        }
    }

    fn sent_times(&self) -> u32 {
        u32::try_from(self.transmissions.len()).unwrap_or(u32::MAX).saturating_add(self.forgotten)
    }

    /// Transmissions without an answer, but for those of the attempt that got it from another server.
    fn timeouts(&self) -> u32 {
        let kept = self.transmissions.iter().filter(|t| self.fate(t) == Fate::TimedOut).count();
        u32::try_from(kept).unwrap_or(u32::MAX).saturating_add(self.forgotten)
    }

    fn fate(&self, transmission: &Transmission) -> Fate {
        match self.answer {
            _ if transmission.answered => Fate::Answered,
            Some(answer) if answer.asked.abs_diff(transmission.sent) <= AT_ONCE => Fate::Spare,
            _ => Fate::TimedOut,
        }
    }

    /// For what was waited for in vain.
    fn asked(&self) -> Asked<'_> {
        let sent = |t: &Transmission| Sent { time: t.sent, local: t.local, peer: t.peer, fate: self.fate(t) };
        Asked {
            name: &self.name,
            answered: self.answer.map(|answer| answer.time),
            sent: self.transmissions.iter().map(sent).collect(),
        }
    }
}

impl Transmission {
    fn waits_for(&self, datagram: &Datagram) -> bool {
        !self.answered
            && self.id == datagram.message.id
            && self.local == datagram.local
            && self.peer == datagram.peer
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
