//! Groups DNS queries into lookups: A and AAAA, retransmissions, the retry over TCP of what was cut, and
//! search-domain expansion are one.

mod active;
mod query;
mod silence;

use std::{collections::VecDeque, net::SocketAddr};

use self::active::Active;
pub use self::silence::{Server, Silence};
use super::dns::{Addresses, Message};
use crate::request::Thread;

/// What a program asked for, and what it cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lookup {
    /// The name the program asked for, as far as the queries tell.
    pub name: String,
    /// Queries sent, retransmissions included.
    pub queries: u32,
    /// Of them, those sent over TCP.
    pub over_tcp: u32,
    /// Answers that were cut to fit the datagram, so that their questions had to be asked again over TCP.
    pub truncated: u32,
    /// Of the queries, those answered NXDOMAIN for an expansion with a search domain, when the name itself or an
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
    /// The addresses that answers gave the name.
    pub addresses: Addresses,
}

/// Queries kept per lookup: 32 search domains, A and AAAA.
pub const QUERY_LIMIT: usize = 64;
/// Lookups in progress that are kept per pod; beyond it the oldest ends as it is.
pub const ACTIVE_LIMIT: usize = 1024;
/// After a negative answer, how long the next search domain may take to be tried.
const GRACE: u64 = 50_000_000;
/// When a query without an answer is given up, or a retry over TCP is no longer awaited: three attempts of the
/// resolver's 5 s.
const GIVE_UP: u64 = 15_000_000_000;

/// A query or answer, and where it was seen.
#[derive(Clone, Debug)]
pub struct Sighting {
    /// When it passed: over TCP, a query's first byte and an answer's last one.
    pub time: u64,
    /// The TCP flow that carries it; 0 for a datagram.
    pub flow: u64,
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
    /// Takes a message of the pod as a DNS client, and reports the lookups that it began, moved or ended.
    pub fn ingest(&mut self, sighting: &Sighting) -> Vec<Report> {
        if sighting.message.answer { self.answer(sighting) } else { self.query(sighting) }
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

    /// A TCP flow is over: no answer comes on it any more. Reports the lookups that waited for one, which go on
    /// if the resolver asks again.
    pub fn closed(&mut self, flow: u64, now: u64) -> Vec<Report> {
        let waited = self.active.iter_mut().filter_map(|a| a.lose(flow, now).then(|| a.report(now, true)));
        waited.collect()
    }

    /// Ends everything in progress.
    pub fn finish(&mut self, now: u64) -> Vec<Report> {
        self.active.drain(..).map(|mut active| active.report(now, false)).collect()
    }

    fn query(&mut self, sighting: &Sighting) -> Vec<Report> {
        let joined = self.joinable(sighting);
        if let Some(active) = joined.and_then(|at| self.active.get_mut(at)) {
            active.push(sighting);
            return vec![active.report(sighting.time, true)];
        }
        let cut = if self.active.len() >= ACTIVE_LIMIT { self.active.pop_front() } else { None };
        self.number = self.number.wrapping_add(1);
        let mut active = Active::new(self.number, sighting);
        let begun = active.report(sighting.time, true);
        self.active.push_back(active);
        cut.map(|mut active| active.report(sighting.time, false)).into_iter().chain([begun]).collect()
    }

    /// The lookup that a query goes on with: the one of which it is a retry; else the same thread's, or the same
    /// process' when that thread has none, the newest first.
    fn joinable(&self, sighting: &Sighting) -> Option<usize> {
        let fits = self.active.iter().enumerate().filter_map(|(at, a)| Some((a.retried_by(sighting)?, at)));
        if let Some((_, at)) = fits.max() {
            return Some(at);
        }
        let newest = |goes_on: &dyn Fn(&Active) -> bool| self.active.iter().rposition(goes_on);
        if sighting.thread.is_known() {
            return newest(&|a| a.is_of(sighting.thread) && a.goes_on_with(sighting))
                .or_else(|| newest(&|a| a.goes_on_elsewhere(sighting)));
        }
        newest(&|a| a.uses(sighting) && a.goes_on_with(sighting))
            .or_else(|| newest(&|a| a.goes_on_from(sighting)))
    }

    fn answer(&mut self, sighting: &Sighting) -> Vec<Report> {
        let Some(at) = self.active.iter_mut().position(|active| active.answer(sighting)) else {
            self.unmatched += 1;
            return Vec::new();
        };
        let Some(active) = self.active.get_mut(at) else { return Vec::new() };
        let complete = active.is_complete();
        let report = active.report(sighting.time, !complete);
        if complete {
            self.active.remove(at);
        }
        vec![report]
    }
}

#[cfg(test)]
mod tcp_tests;
#[cfg(test)]
mod tests;
