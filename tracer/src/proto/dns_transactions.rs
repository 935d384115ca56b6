//! Which answer belongs to which query, by the rules of Wireshark's `dns.time`, `dns.response_to` and
//! `dns.retransmission`. The same rules hold for mDNS and LLMNR, whose answers mostly come from somebody
//! else than was asked and are therefore unsolicited.

use std::{
    collections::{VecDeque, hash_map::Entry},
    net::{IpAddr, SocketAddr},
};

use rustc_hash::FxHashMap;

use super::stream::Seen;

/// Ports of either end that make a UDP datagram DNS, mDNS or LLMNR without looking at it.
pub const UDP_PORTS: [u16; 3] = [53, 5353, 5355];

/// Queries that are remembered, the newest ones: what comes to an older one is unsolicited.
pub const QUERY_LIMIT: usize = 65_536;
/// A query with the id of one that waits is a retransmission when it comes this soon after it, else a new one.
const RETRANSMISSION: u64 = 5_000_000_000;

/// Address and port: a third smaller than a [`SocketAddr`], of which many thousands would be kept.
type End = (IpAddr, u16);

/// Where the two ends talk: ids are compared within one conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Conversation {
    /// Datagrams between two ends, in either direction: the lower end first. See [`Conversation::datagrams`].
    Datagrams(End, End),
    /// A TCP flow, by its number: a later one of the same ports is another conversation.
    Flow(u64),
}

impl Conversation {
    /// That of a datagram between these ends.
    #[must_use]
    pub fn datagrams(one: SocketAddr, other: SocketAddr) -> Self {
        let [one, other] = [one, other].map(|end| (end.ip(), end.port()));
        Self::Datagrams(one.min(other), one.max(other))
    }
}

/// What a message says that matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Transaction id.
    pub id: u16,
    /// It asks for a zone transfer ([`is_transfer`]) or answers that question, which takes several answers. None
    /// of a message without a question: it leaves that as it was.
    pub transfer: Option<bool>,
    /// When it was complete: its datagram, or its last byte in TCP.
    pub seen: Seen,
}

/// Whether a question of this type (IXFR, AXFR) may be answered by several messages.
#[must_use]
pub fn is_transfer(query_type: u16) -> bool {
    matches!(query_type, 251 | 252)
}

/// What a query is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Query {
    /// A new one.
    New,
    /// One that waits, sent again.
    Retransmitted {
        /// The first transmission.
        original: Seen,
        /// Transmissions after the first one so far.
        times: u32,
    },
}

/// What an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The answer to a query, or a further message of a zone transfer.
    Answered(Answered),
    /// An answer to a query that has its answer.
    Duplicate {
        /// The answer that counts.
        original: Seen,
    },
    /// Nobody asked, or so long ago that it is forgotten.
    Unsolicited,
}

/// A query with its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The query's first transmission: the time of the lookup begins there.
    pub query: Seen,
    /// Transmissions after the first one.
    pub retransmitted: u32,
    /// The query's first answer was another one.
    pub further: bool,
}

#[derive(Clone, Copy, Debug)]
struct Transaction {
    number: u64,
    query: Seen,
    retransmitted: u32,
    transfer: bool,
    answer: Option<Seen>,
}

type Key = (Conversation, u16);

/// The queries of all conversations.
#[derive(Debug, Default)]
pub struct Transactions {
    known: FxHashMap<Key, Transaction>,
    /// In the order of their numbers, without holes; the older ones of a key are not in `known` any more.
    order: VecDeque<Key>,
    next: u64,
    /// Queries that waited for an answer when [`QUERY_LIMIT`] pushed them out.
    pub forgotten: u64,
}

impl Transactions {
    /// Takes a query.
    pub fn query(&mut self, conversation: Conversation, message: Message) -> Query {
        let Message { id, transfer, seen } = message;
        let key = (conversation, id);
        let fresh = Transaction {
            number: self.next,
            query: seen,
            retransmitted: 0,
            transfer: transfer.unwrap_or(false),
            answer: None,
        };
        match self.known.entry(key) {
            Entry::Occupied(mut entry) if entry.get().is_repeated_at(seen) => {
                let transaction = entry.get_mut();
                transaction.retransmitted = transaction.retransmitted.saturating_add(1);
                transaction.transfer = transfer.unwrap_or(transaction.transfer);
                return Query::Retransmitted {
                    original: transaction.query,
                    times: transaction.retransmitted,
                };
            }
            Entry::Occupied(mut entry) => {
                entry.insert(fresh);
            }
            Entry::Vacant(entry) => {
                entry.insert(fresh);
            }
        }
        self.remember(key);
        Query::New
    }

    /// Takes an answer.
    pub fn answer(&mut self, conversation: Conversation, message: Message) -> Answer {
        let Message { id, transfer, seen } = message;
        let Some(transaction) = self.known.get_mut(&(conversation, id)) else { return Answer::Unsolicited };
        let several = transaction.transfer;
        transaction.transfer = transfer.unwrap_or(several);
        match transaction.answer {
            Some(original) if !several => return Answer::Duplicate { original },
            _ => {}
        }
        let further = transaction.answer.is_some();
        transaction.answer.get_or_insert(seen);
        Answer::Answered(Answered {
            query: transaction.query,
            retransmitted: transaction.retransmitted,
            further,
        })
    }

    fn remember(&mut self, key: Key) {
        self.next += 1;
        self.order.push_back(key);
        if self.order.len() <= QUERY_LIMIT {
            return;
        }
        let Some(oldest) = self.order.pop_front() else { return };
        let number = self.next - 1 - QUERY_LIMIT as u64;
        if let Entry::Occupied(entry) = self.known.entry(oldest)
            && entry.get().number == number
        {
            self.forgotten += u64::from(entry.remove().answer.is_none());
        }
    }
}

impl Transaction {
    fn is_repeated_at(&self, seen: Seen) -> bool {
        self.answer.is_none() && seen.time.saturating_sub(self.query.time) < RETRANSMISSION
    }
}

#[cfg(test)]
#[path = "dns_transactions_tests.rs"]
mod tests;
