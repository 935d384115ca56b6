//! Groups DNS queries into lookups: A and AAAA, retransmissions and search-domain expansion are one.

use std::{collections::VecDeque, net::SocketAddr};

use super::dns::Message;
use crate::request::Thread;

/// What a program asked for, and what it cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lookup {
    /// The name the program asked for, as far as the queries tell.
    pub name: String,
    /// Queries sent, retransmissions included.
    pub queries: u32,
    /// Of them, those answered NXDOMAIN for an expansion with a search domain.
    pub wasted: u32,
    /// Search domains that were tried in vain, in order, at most [`QUERY_LIMIT`].
    pub search_domains: Vec<String>,
    /// Response codes of the answers in order, at most [`QUERY_LIMIT`].
    pub rcodes: Vec<u8>,
    /// Queries that got no answer.
    pub timeouts: u32,
    /// Time of each answered query, nanoseconds, in the order of `rcodes`.
    pub answer_times: Vec<u64>,
}

/// Queries kept per lookup: 32 search domains, A and AAAA.
pub const QUERY_LIMIT: usize = 64;
/// Lookups in progress that are kept per pod; beyond it the oldest ends as it is.
pub const ACTIVE_LIMIT: usize = 1024;
/// After a negative answer, how long the next search domain may take to be tried.
const GRACE: u64 = 50_000_000;
/// When a query without an answer is given up: three attempts of the resolver's 5 s.
const GIVE_UP: u64 = 15_000_000_000;
const NXDOMAIN: u8 = 3;

/// A query or answer with what its datagram says.
#[derive(Clone, Debug)]
pub struct Datagram {
    /// When it passed the hook.
    pub time: u64,
    /// The pod's end.
    pub local: SocketAddr,
    /// The server's end.
    pub peer: SocketAddr,
    /// Who sent it; unknown for answers.
    pub thread: Thread,
    /// The message.
    pub message: Message,
}

/// A lookup that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// First query.
    pub start: u64,
    /// The answer that ended it, or when it was given up.
    pub end: u64,
    /// The pod's end of the first query.
    pub local: SocketAddr,
    /// The server's end of the first query.
    pub peer: SocketAddr,
    /// Who asked.
    pub thread: Thread,
    /// What it was.
    pub lookup: Lookup,
    /// Whether the last query got an answer.
    pub answered: bool,
}

#[derive(Debug)]
struct Query {
    id: u16,
    name: String,
    kind: u16,
    local: SocketAddr,
    peer: SocketAddr,
    sent: u64,
    /// Time, code and number of records of the answer.
    answer: Option<(u64, u8, u16)>,
}

#[derive(Debug)]
struct Active {
    thread: Thread,
    queries: Vec<Query>,
    retransmissions: u32,
    /// Queries beyond [`QUERY_LIMIT`].
    uncounted: u32,
    last: u64,
}

/// The lookups of one pod.
#[derive(Debug, Default)]
pub struct Lookups {
    active: VecDeque<Active>,
    /// Answers that no query waits for.
    pub unmatched: u64,
}

impl Lookups {
    /// Takes a datagram of the pod as a DNS client, and gives the lookup that it ended.
    pub fn ingest(&mut self, datagram: &Datagram) -> Option<Ended> {
        if datagram.message.answer { self.answer(datagram) } else { self.query(datagram) }
    }

    /// Gives the lookups that time has ended: no further search domain was tried, or no answer came.
    pub fn advance(&mut self, now: u64) -> Vec<Ended> {
        let over = |active: &Active| {
            let limit = if active.is_waiting() { GIVE_UP } else { GRACE };
            now.saturating_sub(active.last) > limit
        };
        let (ended, kept): (VecDeque<_>, VecDeque<_>) = self.active.drain(..).partition(over);
        self.active = kept;
        ended.into_iter().map(|active| active.end(now)).collect()
    }

    /// Ends everything in progress.
    pub fn finish(&mut self, now: u64) -> Vec<Ended> {
        self.active.drain(..).map(|active| active.end(now)).collect()
    }

    fn query(&mut self, datagram: &Datagram) -> Option<Ended> {
        let joined = self.joinable(datagram);
        if let Some(active) = joined.and_then(|at| self.active.get_mut(at)) {
            active.push(datagram);
            return None;
        }
        let cut = if self.active.len() >= ACTIVE_LIMIT { self.active.pop_front() } else { None };
        let mut active = Active {
            thread: datagram.thread,
            queries: Vec::new(),
            retransmissions: 0,
            uncounted: 0,
            last: datagram.time,
        };
        active.push(datagram);
        self.active.push_back(active);
        cut.map(|active| active.end(datagram.time))
    }

    /// The lookup that a query goes on with: the same thread's, or the same process' when that thread has none
    /// (resolvers that ask A and AAAA from different threads).
    fn joinable(&self, datagram: &Datagram) -> Option<usize> {
        let find = |same: &dyn Fn(&Active) -> bool| {
            self.active.iter().position(|a| same(a) && a.goes_on_with(&datagram.message, datagram.time))
        };
        let thread = datagram.thread;
        if !thread.is_known() {
            return find(&|a| a.queries.last().is_some_and(|q| q.local == datagram.local));
        }
        find(&|a| a.thread == thread).or_else(|| {
            find(&|a| {
                a.thread.process == thread.process && a.thread != thread && !a.has_asked(&datagram.message)
            })
        })
    }

    fn answer(&mut self, datagram: &Datagram) -> Option<Ended> {
        let message = &datagram.message;
        let found = self.active.iter().enumerate().find_map(|(at, active)| {
            let waits = |q: &Query| {
                q.answer.is_none()
                    && q.id == message.id
                    && q.local == datagram.local
                    && q.peer == datagram.peer
                    && q.kind == message.query_type
                    && q.name == message.name
            };
            active.queries.iter().position(waits).map(|query| (at, query))
        });
        let Some((at, query)) = found else {
            self.unmatched += 1;
            return None;
        };
        let active = self.active.get_mut(at)?;
        active.queries.get_mut(query)?.answer = Some((datagram.time, message.rcode, message.answers));
        active.last = datagram.time;
        if !active.is_complete() {
            return None;
        }
        self.active.remove(at).map(|active| active.end(datagram.time))
    }
}

impl Active {
    fn push(&mut self, datagram: &Datagram) {
        let message = &datagram.message;
        self.last = datagram.time;
        let again =
            |q: &&mut Query| q.answer.is_none() && q.name == message.name && q.kind == message.query_type;
        if let Some(query) = self.queries.iter_mut().find(again) {
            // A retransmission: the answer may come to the new id and socket (RFC 5452, section 4.2).
            query.id = message.id;
            query.local = datagram.local;
            query.peer = datagram.peer;
            self.retransmissions += 1;
        } else if self.queries.len() < QUERY_LIMIT {
            self.queries.push(Query {
                id: message.id,
                name: message.name.clone(),
                kind: message.query_type,
                local: datagram.local,
                peer: datagram.peer,
                sent: datagram.time,
                answer: None,
            });
        } else {
            self.uncounted += 1;
        }
    }

    fn is_waiting(&self) -> bool {
        self.queries.iter().any(|q| q.answer.is_none())
    }

    /// Every query has its answer, and the last name exists.
    fn is_complete(&self) -> bool {
        let Some(last) = self.queries.last() else { return true };
        let found =
            |q: &&Query| q.name == last.name && q.answer.is_some_and(|(_, rcode, n)| rcode == 0 && n > 0);
        !self.is_waiting() && self.queries.iter().any(|q| found(&q))
    }

    fn has_asked(&self, message: &Message) -> bool {
        self.queries.iter().any(|q| q.name == message.name && q.kind == message.query_type)
    }

    /// The same name again (another type, or a retransmission), or the next expansion after NXDOMAIN.
    fn goes_on_with(&self, message: &Message, time: u64) -> bool {
        let Some(last) = self.queries.last() else { return false };
        if last.name == message.name {
            return true;
        }
        let negative = last.answer.is_some_and(|(_, rcode, answers)| rcode == NXDOMAIN || answers == 0);
        negative && time.saturating_sub(self.last) <= GRACE && common_labels(&last.name, &message.name) > 0
    }

    fn end(self, now: u64) -> Ended {
        let answered = self.queries.last().is_some_and(|q| q.answer.is_some());
        let last_answer = self.queries.iter().filter_map(|q| q.answer).map(|(time, ..)| time).max();
        let first = self.queries.first();
        let start = first.map_or(self.last, |q| q.sent);
        let unspecified = SocketAddr::new(std::net::Ipv4Addr::UNSPECIFIED.into(), 0);
        Ended {
            start,
            end: if answered { last_answer.unwrap_or(self.last) } else { now.min(self.last + GIVE_UP) },
            local: first.map_or(unspecified, |q| q.local),
            peer: first.map_or(unspecified, |q| q.peer),
            thread: self.thread,
            answered,
            lookup: self.summarize(),
        }
    }

    fn summarize(&self) -> Lookup {
        let Some(last) = self.queries.last() else { return Lookup::default() };
        let shared = self.queries.iter().map(|q| common_labels(&last.name, &q.name)).min().unwrap_or(0);
        let name = leading_labels(&last.name, shared);
        let mut lookup = Lookup {
            name: name.to_owned(),
            queries: u32::try_from(self.queries.len()).unwrap_or(u32::MAX)
                + self.retransmissions
                + self.uncounted,
            timeouts: self.retransmissions,
            ..Lookup::default()
        };
        for query in &self.queries {
            let Some((time, rcode, _)) = query.answer else {
                lookup.timeouts += 1;
                continue;
            };
            lookup.rcodes.push(rcode);
            lookup.answer_times.push(time.saturating_sub(query.sent));
            if rcode != NXDOMAIN || query.name == name {
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

/// Number of labels that both names begin with.
fn common_labels(a: &str, b: &str) -> usize {
    a.split('.').zip(b.split('.')).take_while(|(a, b)| a == b && !a.is_empty()).count()
}

/// The first `count` labels of `name`.
fn leading_labels(name: &str, count: usize) -> &str {
    let end = name.match_indices('.').nth(count.saturating_sub(1)).map_or(name.len(), |(at, _)| at);
    name.get(..end).unwrap_or(name)
}

#[cfg(test)]
#[path = "lookup_tests.rs"]
mod tests;
