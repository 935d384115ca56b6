//! One question of a lookup: what was sent for it, and the answer that counts.

use std::net::SocketAddr;

use super::{
    Sighting,
    silence::{self, Asked, Sent},
};
use crate::proto::{
    dns::{Addresses, Message},
    dns_transactions::is_transfer,
};

/// Transmissions kept per query: three attempts at two or three servers. Beyond it the oldest is forgotten and
/// counts as a timeout.
const TRANSMISSION_LIMIT: usize = 8;
/// Transmissions within this time of each other are one attempt, at several servers.
pub(super) const AT_ONCE: u64 = 100_000_000;
pub(super) const NXDOMAIN: u8 = 3;

/// What became of a transmission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Waiting,
    Answered,
    /// Its connection is over: no answer can come.
    Lost,
    /// The lookup went on over TCP: an answer may come, and nobody reads it.
    Abandoned,
}

/// One message that asks. A retransmission may have another id, socket and server (RFC 5452, section 4.2).
#[derive(Debug)]
struct Transmission {
    id: u16,
    flow: u64,
    local: SocketAddr,
    peer: SocketAddr,
    sent: u64,
    fate: Fate,
}

/// An answer to a query.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub(super) time: u64,
    /// When the transmission that it answers was sent.
    asked: u64,
    pub(super) rcode: u8,
    pub(super) records: u16,
    /// It is to be asked for again over TCP: a part of the records cannot be told from all of them (RFC 2181,
    /// section 9; RFC 7766, section 5).
    pub(super) truncated: bool,
}

impl Answer {
    /// An error sends the resolver to its next server, cut or not (glibc and c-ares look at the code first), and
    /// over TCP there is nothing to cut.
    fn of(sighting: &Sighting, asked: u64) -> Self {
        let Message { rcode, answers, truncated, .. } = sighting.message;
        let truncated = truncated && sighting.flow == 0 && says_something(rcode);
        Self { time: sighting.time, asked, rcode, records: answers, truncated }
    }

    /// The name exists or does not; anything else sends the resolver to its next server, or to TCP.
    pub(super) fn is_conclusive(self) -> bool {
        says_something(self.rcode) && !self.truncated
    }

    pub(super) fn is_negative(self) -> bool {
        !self.truncated && (self.rcode == NXDOMAIN || self.records == 0)
    }
}

fn says_something(rcode: u8) -> bool {
    matches!(rcode, 0 | NXDOMAIN)
}

#[derive(Debug)]
pub(super) struct Query {
    pub(super) name: String,
    kind: u16,
    pub(super) sent: u64,
    transmissions: Vec<Transmission>,
    forgotten: u32,
    /// Transmissions over TCP.
    pub(super) over_tcp: u32,
    pub(super) answer: Option<Answer>,
    /// Those in the answer that counts.
    pub(super) addresses: Addresses,
}

impl Query {
    pub(super) fn new(sighting: &Sighting) -> Self {
        let mut query = Self {
            name: sighting.message.name.clone(),
            kind: sighting.message.query_type,
            sent: sighting.time,
            transmissions: Vec::new(),
            forgotten: 0,
            over_tcp: 0,
            answer: None,
            addresses: Addresses::default(),
        };
        query.transmit(sighting);
        query
    }

    pub(super) fn asks(&self, message: &Message) -> bool {
        self.kind == message.query_type && self.name == message.name
    }

    pub(super) fn asks_as(&self, other: &Self) -> bool {
        self.kind == other.kind && self.name == other.name
    }

    pub(super) fn transmit(&mut self, sighting: &Sighting) {
        if self.transmissions.len() >= TRANSMISSION_LIMIT {
            self.transmissions.remove(0);
            self.forgotten = self.forgotten.saturating_add(1);
        }
        self.over_tcp = self.over_tcp.saturating_add(u32::from(sighting.flow != 0));
        self.transmissions.push(Transmission {
            id: sighting.message.id,
            flow: sighting.flow,
            local: sighting.local,
            peer: sighting.peer,
            sent: sighting.time,
            fate: Fate::Waiting,
        });
    }

    /// Nobody reads the datagrams that may still come.
    pub(super) fn abandon_datagrams(&mut self) {
        for transmission in self.transmissions.iter_mut().filter(|t| t.flow == 0) {
            if transmission.fate == Fate::Waiting {
                transmission.fate = Fate::Abandoned;
            }
        }
    }

    /// The connection is over; `true` when an answer was waited for on it.
    pub(super) fn lose(&mut self, flow: u64) -> bool {
        let on_it = |t: &&mut Transmission| t.flow == flow && t.fate == Fate::Waiting;
        let mut lost = self.transmissions.iter_mut().filter(on_it).peekable();
        let any = lost.peek().is_some();
        lost.for_each(|transmission| transmission.fate = Fate::Lost);
        any
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.answer.is_none() && self.transmissions.iter().any(|t| t.fate == Fate::Waiting)
    }

    pub(super) fn is_truncated(&self) -> bool {
        self.answer.is_some_and(|answer| answer.truncated)
    }

    pub(super) fn is_conclusive(&self) -> bool {
        self.answer.is_some_and(Answer::is_conclusive)
    }

    pub(super) fn was_sent_from(&self, sighting: &Sighting) -> bool {
        self.transmissions.iter().any(|t| t.local == sighting.local && t.flow == sighting.flow)
    }

    pub(super) fn was_sent_to(&self, peer: SocketAddr) -> bool {
        self.transmissions.iter().any(|t| t.peer == peer)
    }

    pub(super) fn was_sent_as(&self, id: u16) -> bool {
        self.transmissions.iter().any(|t| t.id == id)
    }

    /// An answer is still to come on a connection.
    pub(super) fn waits_on(&self, flow: u64) -> bool {
        self.transmissions.iter().any(|t| t.flow == flow && t.fate == Fate::Waiting)
    }

    /// Whether this is the same question again, because the last try failed: resolvers keep the id of a query that
    /// they send to their next server or over another connection.
    pub(super) fn is_resent_as(&self, sighting: &Sighting) -> bool {
        let failed = |t: &Transmission| t.fate == Fate::Lost || t.peer != sighting.peer;
        self.asks(&sighting.message)
            && !self.is_conclusive()
            && self.transmissions.iter().any(|t| t.id == sighting.message.id && failed(t))
    }

    pub(super) fn is_transfer(&self) -> bool {
        is_transfer(self.kind)
    }

    /// Takes an answer if it is one to a transmission of this query. The first counts, but for an error: after one
    /// that was cut, nobody reads those of other servers (glibc, musl).
    pub(super) fn answered(&mut self, sighting: &Sighting) -> bool {
        if !self.is_asked_by(&sighting.message) {
            return false;
        }
        let transfer = self.is_transfer();
        let Some(transmission) =
            self.transmissions.iter_mut().rfind(|t| t.is_answered_by(sighting, transfer))
        else {
            return false;
        };
        let abandoned = transmission.fate == Fate::Abandoned;
        transmission.fate = Fate::Answered;
        let answer = Answer::of(sighting, transmission.sent);
        match &mut self.answer {
            _ if abandoned => {}
            Some(known) if known.is_conclusive() && transfer => known.time = answer.time,
            Some(known) if known.is_conclusive() || known.truncated => {}
            _ => {
                self.answer = Some(answer);
                self.addresses.clone_from(&sighting.message.addresses);
            }
        }
        true
    }

    pub(super) fn sent_times(&self) -> u32 {
        u32::try_from(self.transmissions.len()).unwrap_or(u32::MAX).saturating_add(self.forgotten)
    }

    /// Transmissions without an answer, but for those of the attempt that got it from another server.
    pub(super) fn timeouts(&self) -> u32 {
        let kept = self.transmissions.iter().filter(|t| self.outcome(t) == silence::Fate::TimedOut).count();
        u32::try_from(kept).unwrap_or(u32::MAX).saturating_add(self.forgotten)
    }

    fn outcome(&self, transmission: &Transmission) -> silence::Fate {
        let at_once = |answer: Answer| answer.asked.abs_diff(transmission.sent) <= AT_ONCE;
        match transmission.fate {
            Fate::Answered => silence::Fate::Answered,
            Fate::Waiting | Fate::Lost if !self.answer.is_some_and(at_once) => silence::Fate::TimedOut,
            _ => silence::Fate::Spare,
        }
    }

    /// For what was waited for in vain.
    pub(super) fn asked(&self) -> Asked<'_> {
        let sent =
            |t: &Transmission| Sent { time: t.sent, local: t.local, peer: t.peer, fate: self.outcome(t) };
        Asked {
            name: &self.name,
            answered: self.answer.map(|answer| answer.time),
            sent: self.transmissions.iter().map(sent).collect(),
        }
    }

    /// Whether an answer repeats the question, or may leave it out: servers do with what they cannot read
    /// (FORMERR, NOTIMP), and in the further messages of a transfer (RFC 5936, section 2.2.1). A query without a
    /// question has none to repeat (RFC 1035, section 6.4; RFC 7873, section 5.4).
    fn is_asked_by(&self, answer: &Message) -> bool {
        let may_be_left_out = answer.rcode != 0 || self.is_transfer();
        self.asks(answer) || self.kind == 0 || !answer.has_question() && may_be_left_out
    }
}

impl Transmission {
    /// A transfer has several answers.
    fn is_answered_by(&self, sighting: &Sighting, transfer: bool) -> bool {
        let open = self.fate != Fate::Answered || transfer;
        open && self.id == sighting.message.id
            && self.flow == sighting.flow
            && self.local == sighting.local
            && self.peer == sighting.peer
    }
}
