//! `dns-timeout`: lookups wait until the resolver gives up on a query and sends it again, 5 s with glibc's and Go's
//! defaults, 1 to 2.5 s with others.
//!
//! The causes differ, and so do the remedies: a server of `resolv.conf` that never answers; the race of A and AAAA
//! from one socket in the node's connection tracking (kubernetes 56903 and 62628); a server that ignores one of the
//! two; lost packets.

use std::net::SocketAddr;

use super::{
    Names, Seconds, Severity, Share,
    kind::{Proves, Rule, Verdict},
    threshold::thresholds,
    value::{evidence, ratio},
    window::{Merge, PerDestination, Window},
};
use crate::{
    proto::lookup::Lookup,
    request::{Attribution, Call, What},
};

/// Share of the lookups that time out without ever being answered, from which on it is critical.
const CRITICAL_UNANSWERED: f64 = 0.5;
/// Unanswered queries of a server that answered none, before it is called silent: one may be a lost packet.
const SILENT: u64 = 2;

thresholds! {
    /// When timeouts are a pattern.
    pub(super) struct Thresholds {
        /// Lookups that waited for a timeout.
        bar lookups: u64 = 2, 1..=1_000_000;
        /// Time lost in timeouts as a share of the time of all lookups: one in a thousand that takes 5 s is most of it.
        bar share_of_lookup_time: f64 = 0.2, 0.001..=1;
        /// The shortest wait that is a resolver's timeout, and not a client that asks again at once.
        fact shortest_wait_seconds: f64 = 0.9, 0.05..=60;
    }
}

evidence! {
    /// Timeouts of lookups.
    pub(super) struct Evidence {
        /// Lookups of the pod.
        lookups: u64,
        /// Of them, those that waited for a timeout.
        lookups_timed_out: u64,
        /// Of these, those that never got an answer.
        lookups_unanswered: u64,
        /// Transmissions of queries that were waited for in vain.
        timeouts: u64,
        /// Time in which those lookups waited for a timeout, at least.
        lost_seconds: Seconds,
        /// That time per lookup that timed out.
        lost_seconds_per_lookup: Seconds,
        /// The longest wait for one query: 5 s is the default of glibc and Go.
        longest_wait_seconds: Seconds,
        /// Time lost as a share of the time of all lookups.
        share_of_lookup_time: Share,
        /// Lookups in which one of A and AAAA from the same socket was lost, and was answered when asked again.
        lookups_raced: u64,
        /// Lookups in which one of A and AAAA was never answered, and the other was.
        lookups_one_sided: u64,
        /// Servers that were asked and answered nothing.
        silent_servers: Names,
        /// Servers that answered.
        answering_servers: Names,
        /// The names that were looked up.
        names: Names,
    }
}

/// Lookups, and what timeouts cost them.
#[derive(Debug, Default)]
pub(super) struct Tally {
    lookups: u64,
    timed_out: u64,
    unanswered: u64,
    timeouts: u64,
    /// Time of all lookups, as far as they waited for something, nanoseconds.
    total: u64,
    lost: u64,
    longest: u64,
    raced: u64,
    one_sided: u64,
    servers: PerDestination<Server>,
    names: Names,
    first: Option<u64>,
}

/// What a server did.
#[derive(Debug, Default)]
struct Server {
    answered: u64,
    unanswered: u64,
}

impl Merge for Server {
    fn merge(&mut self, other: &Self) {
        self.answered += other.answered;
        self.unanswered += other.unanswered;
    }
}

impl Merge for Tally {
    fn merge(&mut self, other: &Self) {
        self.lookups += other.lookups;
        self.timed_out += other.timed_out;
        self.unanswered += other.unanswered;
        self.timeouts += other.timeouts;
        self.total += other.total;
        self.lost += other.lost;
        self.longest = self.longest.max(other.longest);
        self.raced += other.raced;
        self.one_sided += other.one_sided;
        self.servers.merge(&other.servers);
        self.names.merge(&other.names);
        self.first = self.first.or(other.first);
    }
}

/// Why lookups time out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// No server answers anything.
    AllSilent,
    /// Some servers answer nothing, others do.
    SomeSilent,
    /// One of two types is not answered.
    OneSided,
    /// One of a pair is lost, and answered when asked again.
    Race,
    /// Queries or answers are lost now and then.
    Loss,
}

/// The rule.
pub(super) struct DnsTimeout;

impl Rule for DnsTimeout {
    const ID: &'static str = "dns-timeout";
    type Thresholds = Thresholds;
    type Evidence = Evidence;
    type Tally = Tally;

    fn call(window: &mut Window<Tally>, call: &Call, _: Attribution, thresholds: &Thresholds) -> Proves {
        let What::Dns(lookup) = &call.what else { return Proves::Nothing };
        let tally = window.at(call.start);
        tally.lookups += 1;
        // When a lookup without an answer was given up, nobody sees.
        let length = if call.answered { call.end.saturating_sub(call.start) } else { lookup.silence.waited };
        tally.total += length;
        tally.servers(call.peer, lookup);
        if Seconds::of(lookup.silence.longest).0 < thresholds.shortest_wait_seconds {
            return Proves::Nothing;
        }
        tally.timed_out(call, lookup);
        Proves::Pod
    }

    fn judge(tally: &Tally, thresholds: &Thresholds) -> Vec<Verdict<Evidence>> {
        let share = ratio(tally.lost, tally.total);
        if tally.timed_out < thresholds.lookups || share < thresholds.share_of_lookup_time {
            return Vec::new();
        }
        let lost = ratio(tally.unanswered, tally.timed_out) >= CRITICAL_UNANSWERED;
        let cause = tally.cause();
        vec![Verdict {
            severity: if lost { Severity::Critical } else { Severity::Warning },
            destination: None,
            since: tally.first.unwrap_or_default(),
            explanation: tally.explanation(cause),
            remedy: remedy(cause).to_owned(),
            evidence: Evidence {
                lookups: tally.lookups,
                lookups_timed_out: tally.timed_out,
                lookups_unanswered: tally.unanswered,
                timeouts: tally.timeouts,
                lost_seconds: Seconds::of(tally.lost),
                lost_seconds_per_lookup: Seconds(ratio(tally.lost, tally.timed_out) / 1e9),
                longest_wait_seconds: Seconds::of(tally.longest),
                share_of_lookup_time: Share(share),
                lookups_raced: tally.raced,
                lookups_one_sided: tally.one_sided,
                silent_servers: tally.named(Server::is_silent),
                answering_servers: tally.named(|server| server.answered > 0),
                names: tally.names.clone(),
            },
        }]
    }
}

impl Server {
    fn is_silent(&self) -> bool {
        self.answered == 0 && self.unanswered >= SILENT
    }
}

impl Tally {
    /// What the servers did. A lookup without a timeout names none: the one that it asked first answered.
    fn servers(&mut self, peer: SocketAddr, lookup: &Lookup) {
        if lookup.timeouts == 0
            && let Some(server) = self.servers.at(peer)
        {
            server.answered += u64::from(lookup.queries);
        }
        for seen in &lookup.silence.servers {
            if let Some(server) = self.servers.at(seen.address) {
                server.answered += u64::from(seen.answered);
                server.unanswered += u64::from(seen.unanswered);
            }
        }
    }

    fn timed_out(&mut self, call: &Call, lookup: &Lookup) {
        let silence = &lookup.silence;
        self.timed_out += 1;
        self.unanswered += u64::from(!call.answered);
        self.timeouts += u64::from(lookup.timeouts);
        self.lost += silence.waited;
        self.longest = self.longest.max(silence.longest);
        self.raced += u64::from(silence.raced > 0);
        self.one_sided += u64::from(silence.one_sided > 0);
        self.first = self.first.or(Some(call.start));
        self.names.add(&lookup.name);
    }

    fn cause(&self) -> Cause {
        let most = |lookups: u64| lookups.saturating_mul(2) >= self.timed_out;
        let silent = self.servers.iter().any(|(_, server)| server.is_silent());
        let answering = self.servers.iter().any(|(_, server)| server.answered > 0);
        match (silent, answering) {
            (true, false) => Cause::AllSilent,
            (true, true) => Cause::SomeSilent,
            _ if most(self.one_sided) => Cause::OneSided,
            _ if most(self.raced) => Cause::Race,
            _ => Cause::Loss,
        }
    }

    fn named(&self, which: impl Fn(&Server) -> bool) -> Names {
        let mut names = Names::default();
        for (address, _) in self.servers.iter().filter(|(_, server)| which(server)) {
            names.add(&address.to_string());
        }
        names
    }

    fn explanation(&self, cause: Cause) -> String {
        let why = match cause {
            Cause::AllSilent => format!("{} answered nothing.", self.named(Server::is_silent).joined()),
            Cause::SomeSilent => format!(
                "{} answered nothing, and only after its timeout was another server asked.",
                self.named(Server::is_silent).joined()
            ),
            Cause::OneSided => {
                "Of A and AAAA the server answered one and never the other, so the resolver waited for both."
                    .to_owned()
            }
            Cause::Race => format!(
                "In {} of them one of A and AAAA, sent from one socket at the same time, got no answer and was answered \
                 when it was sent again: the two race in the node's connection tracking, which drops one.",
                self.raced
            ),
            Cause::Loss => "The servers answer other queries: these, or their answers, were lost.".to_owned(),
        };
        let unanswered = match self.unanswered {
            0 => String::new(),
            some => format!(" Never answered: {some}."),
        };
        format!(
            "{} of {} lookups waited for a timeout of the resolver: {:.2} s each, up to {:.2} s for one \
             query.{unanswered} {why}",
            self.timed_out,
            self.lookups,
            ratio(self.lost, self.timed_out) / 1e9,
            Seconds::of(self.longest).0,
        )
    }
}

fn remedy(cause: Cause) -> &'static str {
    match cause {
        Cause::AllSilent => {
            "Let the pod reach its DNS servers: allow UDP and TCP port 53 to them in its network policies (egress), and \
             see that the DNS service has endpoints and the addresses in the pod's resolv.conf (dnsPolicy, dnsConfig) \
             are right."
        }
        Cause::SomeSilent => {
            "Take the silent server out of the pod's resolv.conf (dnsConfig.nameservers, or the node's resolv.conf), or \
             make it answer. Until then the options timeout:1 and attempts:3, or rotate, make the wait shorter."
        }
        Cause::OneSided => {
            "Have the DNS server answer AAAA queries, with an empty answer where there is no IPv6 address (a firewall or \
             a proxy before it may drop them), or set the option no-aaaa (glibc 2.36) in dnsConfig.options."
        }
        Cause::Race => {
            "Run NodeLocal DNSCache, which takes the pod's queries out of connection tracking, or set the option \
             single-request-reopen (glibc) in dnsConfig.options, so that A and AAAA leave from different sockets."
        }
        Cause::Loss => {
            "Look for loss between pod and DNS server: a full connection-tracking table (nf_conntrack: table full in the \
             node's log), a DNS server at its CPU limit, drops on the way. NodeLocal DNSCache shortens that way."
        }
    }
}

#[cfg(test)]
#[path = "dns_timeout_tests.rs"]
mod tests;
