//! Groups DNS queries into lookups: A and AAAA, retransmissions and search-domain expansion are one.

mod active;
mod silence;

use std::{collections::VecDeque, net::SocketAddr};

use self::active::Active;
pub use self::silence::{Server, Silence};
use super::dns::Message;
use crate::request::Thread;

/// What a program asked for, and what it cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lookup {
    /// The name the program asked for, as far as the queries tell.
    pub name: String,
    /// Queries sent, retransmissions included.
    pub queries: u32,
    /// Of them, those answered NXDOMAIN for an expansion with a search domain, when the name itself or an
    /// expansion that exists was asked for after it.
    pub wasted: u32,
    /// Search domains that were tried in vain, in order, at most [`QUERY_LIMIT`].
    pub search_domains: Vec<String>,
    /// Response codes of the answers in order, at most [`QUERY_LIMIT`].
    pub rcodes: Vec<u8>,
    /// Transmissions that got no answer, but for those sent at once to another server than the one that answered.
    pub timeouts: u32,
    /// Time of each answered query, nanoseconds, in the order of `rcodes`.
    pub answer_times: Vec<u64>,
    /// The waits for answers that did not come; known at its end.
    pub silence: Silence,
}

/// Queries kept per lookup: 32 search domains, A and AAAA.
pub const QUERY_LIMIT: usize = 64;
/// Lookups in progress that are kept per pod; beyond it the oldest ends as it is.
pub const ACTIVE_LIMIT: usize = 1024;
/// After a negative answer, how long the next search domain may take to be tried.
const GRACE: u64 = 50_000_000;
/// When a query without an answer is given up: three attempts of the resolver's 5 s.
const GIVE_UP: u64 = 15_000_000_000;

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

/// What is known of a lookup: given at its first query, whenever that changes, and at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Tells the pod's lookups apart.
    pub number: u32,
    /// How often it was reported before.
    pub updates: u32,
    /// It has not ended.
    pub open: bool,
    /// First query.
    pub start: u64,
    /// The answer that ended it, or when it was given up; of an open one, the newest answer or now.
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

/// The lookups of one pod.
#[derive(Debug, Default)]
pub struct Lookups {
    active: VecDeque<Active>,
    number: u32,
    /// Answers that no query waits for.
    pub unmatched: u64,
}

impl Lookups {
    /// Takes a datagram of the pod as a DNS client, and reports the lookups that it began, moved or ended.
    pub fn ingest(&mut self, datagram: &Datagram) -> Vec<Report> {
        if datagram.message.answer { self.answer(datagram) } else { self.query(datagram) }
    }

    /// Reports the lookups that time has ended: no further search domain was tried, or no answer came.
    pub fn advance(&mut self, now: u64) -> Vec<Report> {
        if !self.active.iter().any(|active| active.is_over(now)) {
            return Vec::new();
        }
        let (ended, kept): (VecDeque<_>, VecDeque<_>) =
            self.active.drain(..).partition(|active| active.is_over(now));
        self.active = kept;
        ended.into_iter().map(|mut active| active.report(now, false)).collect()
    }

    /// Ends everything in progress.
    pub fn finish(&mut self, now: u64) -> Vec<Report> {
        self.active.drain(..).map(|mut active| active.report(now, false)).collect()
    }

    fn query(&mut self, datagram: &Datagram) -> Vec<Report> {
        let joined = self.joinable(datagram);
        if let Some(active) = joined.and_then(|at| self.active.get_mut(at)) {
            active.push(datagram);
            return vec![active.report(datagram.time, true)];
        }
        let cut = if self.active.len() >= ACTIVE_LIMIT { self.active.pop_front() } else { None };
        self.number = self.number.wrapping_add(1);
        let mut active = Active::new(self.number, datagram);
        let begun = active.report(datagram.time, true);
        self.active.push_back(active);
        cut.map(|mut active| active.report(datagram.time, false)).into_iter().chain([begun]).collect()
    }

    /// The lookup that a query goes on with: the same thread's, or the same process' when that thread has none.
    /// The newest first.
    fn joinable(&self, datagram: &Datagram) -> Option<usize> {
        let (thread, message, time) = (datagram.thread, &datagram.message, datagram.time);
        if !thread.is_known() {
            let local = datagram.local;
            let same = self.active.iter().rposition(|a| a.uses(local) && a.goes_on_with(message, time));
            return same
                .or_else(|| self.active.iter().rposition(|a| a.goes_on_from(local.ip(), message, time)));
        }
        let same = self.active.iter().rposition(|a| a.is_of(thread) && a.goes_on_with(message, time));
        same.or_else(|| self.active.iter().rposition(|a| a.goes_on_elsewhere(thread, message, time)))
    }

    fn answer(&mut self, datagram: &Datagram) -> Vec<Report> {
        let Some(at) = self.active.iter_mut().position(|active| active.answer(datagram)) else {
            self.unmatched += 1;
            return Vec::new();
        };
        let Some(active) = self.active.get_mut(at) else { return Vec::new() };
        let complete = active.is_complete();
        let report = active.report(datagram.time, !complete);
        if complete {
            self.active.remove(at);
        }
        vec![report]
    }
}

#[cfg(test)]
mod tests;
