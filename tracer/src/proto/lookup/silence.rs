//! How long a lookup waited for answers that did not come, and who did not give them.

use std::net::SocketAddr;

/// Servers kept per lookup: resolvers read three from their configuration.
const SERVER_LIMIT: usize = 8;
/// Queries sent within this time of each other left together.
const TOGETHER: u64 = 100_000_000;

/// Waits of a lookup for answers that did not come. Empty when there was none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Silence {
    /// Time in which the lookup waited for something that got no answer, nanoseconds; A and AAAA that waited
    /// together count once. Nobody sees when the last try was given up: it counts as long as the one before it
    /// took, and nothing when it was the only one.
    pub waited: u64,
    /// The longest of these waits for one transmission, nanoseconds.
    pub longest: u64,
    /// Queries that got no answer at first, while another that left together with them from the same socket did,
    /// and that were answered when they were sent again.
    pub raced: u32,
    /// As `raced`, but never answered.
    pub one_sided: u32,
    /// The servers that were asked, [`SERVER_LIMIT`] at most.
    pub servers: Vec<Server>,
}

/// What a server did with the queries of a lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its address and port.
    pub address: SocketAddr,
    /// Transmissions that it answered.
    pub answered: u32,
    /// Transmissions that were waited for in vain.
    pub unanswered: u32,
}

/// A query of a lookup.
pub(super) struct Asked<'a> {
    pub(super) name: &'a str,
    /// When the answer came that counts.
    pub(super) answered: Option<u64>,
    /// In order.
    pub(super) sent: Vec<Sent>,
}

/// A transmission of a query.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) time: u64,
    pub(super) local: SocketAddr,
    pub(super) peer: SocketAddr,
    pub(super) fate: Fate,
}

/// What became of a transmission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It was answered.
    Answered,
    /// It was waited for in vain.
    TimedOut,
    /// Another server's answer to the same attempt was taken.
    Spare,
}

/// The waits of these queries.
pub(super) fn silence(queries: &[Asked<'_>]) -> Silence {
    let mut silence = Silence::default();
    let mut waits: Vec<(u64, u64)> = queries.iter().flat_map(Asked::waits).collect();
    silence.longest = waits.iter().map(|(from, to)| to - from).max().unwrap_or(0);
    waits.sort_unstable();
    let mut until = 0;
    for (from, to) in waits {
        silence.waited += to.saturating_sub(from.max(until));
        until = until.max(to);
    }
    for query in queries {
        if query.sent.iter().any(|sent| queries.iter().any(|other| other.got_through_with(sent, query))) {
            let count = if query.answered.is_some() { &mut silence.raced } else { &mut silence.one_sided };
            *count += 1;
        }
    }
    for sent in queries.iter().flat_map(|query| &query.sent) {
        silence.count(sent);
    }
    silence
}

impl Asked<'_> {
    /// The waits for transmissions that got no answer, from one to the next.
    fn waits(&self) -> impl Iterator<Item = (u64, u64)> {
        let timed_out = self.sent.iter().enumerate().filter(|(_, sent)| sent.fate == Fate::TimedOut);
        timed_out.map(|(at, sent)| {
            let next = at.checked_add(1).and_then(|at| self.sent.get(at)).map(|next| next.time);
            let before = at.checked_sub(1).and_then(|at| self.sent.get(at));
            let as_before = before.map_or(0, |before| sent.time.saturating_sub(before.time));
            let until = next.or(self.answered).unwrap_or(sent.time.saturating_add(as_before));
            (sent.time, until.max(sent.time))
        })
    }

    /// Whether a transmission of this query was answered that left together with `sent` of another query.
    fn got_through_with(&self, sent: &Sent, of: &Self) -> bool {
        !std::ptr::eq(self, of)
            && sent.fate == Fate::TimedOut
            && self.name == of.name
            && self.sent.iter().any(|own| {
                own.fate == Fate::Answered
                    && (own.local, own.peer) == (sent.local, sent.peer)
                    && own.time.abs_diff(sent.time) <= TOGETHER
            })
    }
}

impl Silence {
    fn count(&mut self, sent: &Sent) {
        if sent.fate == Fate::Spare {
            return;
        }
        let known = self.servers.iter().position(|server| server.address == sent.peer);
        if known.is_none() && self.servers.len() < SERVER_LIMIT {
            self.servers.push(Server { address: sent.peer, answered: 0, unanswered: 0 });
        }
        let server = match known {
            Some(at) => self.servers.get_mut(at),
            None => self.servers.last_mut().filter(|server| server.address == sent.peer),
        };
        let Some(server) = server else { return };
        match sent.fate {
            Fate::Answered => server.answered += 1,
            _ => server.unanswered += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn sent(seconds: u64, server: u8, fate: Fate) -> Sent {
        let local = SocketAddr::from(([10, 0, 0, 2], 40000));
        Sent { time: seconds * SECOND, local, peer: SocketAddr::from(([10, 0, 0, server], 53)), fate }
    }

    fn asked(answered: Option<u64>, sent: &[Sent]) -> Asked<'static> {
        Asked { name: "db.example.com", answered: answered.map(|s| s * SECOND), sent: sent.to_vec() }
    }

    #[test]
    fn a_dead_first_server_costs_its_timeout_once_for_both_types() {
        let both = || asked(Some(5), &[sent(0, 1, Fate::TimedOut), sent(5, 2, Fate::Answered)]);
        let silence = silence(&[both(), both()]);
        assert_eq!((silence.waited, silence.longest), (5 * SECOND, 5 * SECOND));
        assert_eq!((silence.raced, silence.one_sided), (0, 0));
        let servers: Vec<_> =
            silence.servers.iter().map(|s| (s.address.ip().to_string(), s.answered, s.unanswered)).collect();
        assert_eq!(servers, [("10.0.0.1".to_owned(), 0, 2), ("10.0.0.2".to_owned(), 2, 0)]);
    }

    #[test]
    fn one_of_a_pair_that_is_answered_when_sent_again_was_raced() {
        let a = asked(Some(0), &[sent(0, 1, Fate::Answered)]);
        let aaaa = asked(Some(5), &[sent(0, 1, Fate::TimedOut), sent(5, 1, Fate::Answered)]);
        let silence = silence(&[a, aaaa]);
        assert_eq!((silence.raced, silence.one_sided, silence.waited), (1, 0, 5 * SECOND));
    }

    #[test]
    fn a_type_that_is_never_answered_is_no_race() {
        let a = asked(Some(0), &[sent(0, 1, Fate::Answered)]);
        let aaaa = asked(None, &[sent(0, 1, Fate::TimedOut), sent(5, 1, Fate::TimedOut)]);
        let silence = silence(&[a, aaaa]);
        assert_eq!((silence.raced, silence.one_sided), (0, 1));
        assert_eq!(silence.waited, 10 * SECOND, "the second try waits as long as the first");
    }

    #[test]
    fn the_wait_for_a_single_try_is_not_known() {
        let silence = silence(&[asked(None, &[sent(0, 1, Fate::TimedOut)])]);
        assert_eq!((silence.waited, silence.servers[0].unanswered), (0, 1));
    }

    #[test]
    fn a_server_asked_at_once_with_the_one_that_answered_is_not_waited_for() {
        let parallel = asked(Some(0), &[sent(0, 1, Fate::Spare), sent(0, 2, Fate::Answered)]);
        let silence = silence(&[parallel]);
        assert_eq!((silence.waited, silence.servers.len()), (0, 1));
    }
}
