//! `etcd-authenticate`: a client of etcd asks for a token again and again, and pays for a bcrypt each time, where
//! one token serves for all calls as long as it is used.
//!
//! A simple token lives 300 s since its last use (`--auth-token-ttl`), and the client library renews it when etcd
//! says that it is invalid.

use super::{
    Number, Seconds, Severity, Share,
    kind::{Destination, Proves, Rule, Verdict},
    method::{Typical, grpc_path, has_failed, is_stream, upstream_http},
    threshold::thresholds,
    value::{evidence, ratio},
    window::{Merge, PerDestination, Window},
};
use crate::request::{Attribution, Call};

/// The call that gives a token for a name and a password.
const AUTHENTICATE: &str = "/etcdserverpb.Auth/Authenticate";
/// The call that reads.
const RANGE: &str = "/etcdserverpb.KV/Range";
/// What all calls of etcd begin with.
const ETCD: &str = "/etcdserverpb.";
/// Share of the time, from which on it is critical.
const CRITICAL_SHARE: f64 = 0.5;

thresholds! {
    /// When authentication is a habit.
    pub(super) struct Thresholds {
        /// Authentications that must have been seen.
        bar authentications: u64 = 5, 2..=1_000_000;
        /// Authentications as a share of all calls to that etcd: 0.1 is one for 9 others.
        bar share_of_calls: f64 = 0.1, 0.0001..=1;
        /// Their time as a share of the time of all calls to that etcd.
        bar share_of_time: f64 = 0.2, 0.001..=1;
        /// Authentications further apart than this on average are what tokens need that live so long.
        fact token_seconds: u64 = 300, 1..=86_400;
    }
}

evidence! {
    /// Authentications of a client that has a token already.
    pub(super) struct Evidence {
        /// Authentications that succeeded.
        authentications: u64,
        /// Time from one to the next, on average.
        seconds_between: Seconds,
        /// How long one takes, on average.
        seconds_per_authentication: Seconds,
        /// Their time as a share of the time of all calls to that etcd, streams aside.
        share_of_time: Share,
        /// Other calls to that etcd.
        other_calls: u64,
        /// Other calls per authentication.
        calls_per_authentication: Number,
        /// How long a usual Range takes: about the median, so that a few expensive ones do not count; 0 when there was
        /// none.
        seconds_per_range: Seconds,
        /// How many such Ranges an authentication costs; 0 when there was none.
        ranges_per_authentication: Number,
    }
}

/// Calls to etcd, per destination.
type Tally = PerDestination<Etcd>;

/// Some calls with their time.
#[derive(Clone, Copy, Debug, Default)]
struct Calls {
    count: u64,
    nanoseconds: u64,
}

/// Calls to one etcd.
#[derive(Debug, Default)]
pub(super) struct Etcd {
    authentications: Calls,
    /// Ranges included.
    others: Calls,
    ranges: Typical,
    first: Option<u64>,
    last: u64,
}

impl Calls {
    fn add(&mut self, count: u64, nanoseconds: u64) {
        self.count += count;
        self.nanoseconds += nanoseconds;
    }

    fn mean(&self) -> Seconds {
        Seconds(ratio(self.nanoseconds, self.count) / 1e9)
    }
}

impl Merge for Calls {
    fn merge(&mut self, other: &Self) {
        self.add(other.count, other.nanoseconds);
    }
}

impl Merge for Etcd {
    fn merge(&mut self, other: &Self) {
        self.authentications.merge(&other.authentications);
        self.ranges.merge(&other.ranges);
        self.others.merge(&other.others);
        self.first = self.first.or(other.first);
        self.last = self.last.max(other.last);
    }
}

/// The rule.
pub(super) struct EtcdAuthenticate;

impl Rule for EtcdAuthenticate {
    const ID: &'static str = "etcd-authenticate";
    type Thresholds = Thresholds;
    type Evidence = Evidence;
    type Tally = Tally;

    fn call(window: &mut Window<Tally>, call: &Call, _: Attribution, _: &Thresholds) -> Proves {
        let path = upstream_http(call).and_then(grpc_path).filter(|path| path.starts_with(ETCD));
        let Some(path) = path.filter(|_| !is_stream(call)) else { return Proves::Nothing };
        let Some(etcd) = window.at(call.start).at(call.peer) else { return Proves::Nothing };
        let nanoseconds = call.end.saturating_sub(call.start);
        // A wrong password is another story, and no token comes of it.
        if path != AUTHENTICATE || has_failed(call) {
            etcd.others.add(1, nanoseconds);
            if path == RANGE {
                etcd.ranges.add(nanoseconds);
            }
            return Proves::Nothing;
        }
        etcd.authentications.add(1, nanoseconds);
        etcd.first = etcd.first.or(Some(call.start));
        etcd.last = etcd.last.max(call.start);
        Proves::Destination(call.peer.into())
    }

    fn judge(tally: &Tally, thresholds: &Thresholds) -> Vec<Verdict<Evidence>> {
        let found = tally.iter().filter(|(_, etcd)| etcd.is_found(thresholds));
        found.map(|(peer, etcd)| etcd.verdict(peer.into())).collect()
    }
}

impl Etcd {
    fn is_found(&self, thresholds: &Thresholds) -> bool {
        let own = self.authentications.count;
        own >= thresholds.authentications
            && ratio(own, own + self.others.count) >= thresholds.share_of_calls
            && self.share() >= thresholds.share_of_time
            && self.between() < thresholds.token_seconds.saturating_mul(1_000_000_000)
    }

    /// Nanoseconds from one authentication to the next.
    fn between(&self) -> u64 {
        let span = self.last.saturating_sub(self.first.unwrap_or(self.last));
        span / self.authentications.count.saturating_sub(1).max(1)
    }

    fn share(&self) -> f64 {
        let own = self.authentications.nanoseconds;
        ratio(own, own + self.others.nanoseconds)
    }

    fn verdict(&self, destination: Destination) -> Verdict<Evidence> {
        let share = self.share();
        let other_calls = self.others.count;
        let per = ratio(other_calls, self.authentications.count);
        let (own, range) = (self.authentications.mean(), Seconds(self.ranges.mean() / 1e9));
        let times = if range.0 > 0.0 { own.0 / range.0 } else { 0.0 };
        let as_dear = if times > 0.0 {
            format!(", as much as {times:.0} usual Ranges of {:.2} ms", range.0 * 1e3)
        } else {
            String::new()
        };
        let evidence = Evidence {
            authentications: self.authentications.count,
            seconds_between: Seconds::of(self.between()),
            seconds_per_authentication: own,
            share_of_time: Share(share),
            other_calls,
            calls_per_authentication: Number(per),
            seconds_per_range: range,
            ranges_per_authentication: Number(times),
        };
        Verdict {
            severity: if share >= CRITICAL_SHARE { Severity::Critical } else { Severity::Warning },
            explanation: format!(
                "{} authentications at the etcd {destination}, one for {per:.1} other calls and every {:.2} s. Each \
                 takes {:.2} ms{as_dear}; together they are {:.0} % of the time of all calls there. A token serves \
                 for all calls as long as it is used.",
                evidence.authentications,
                evidence.seconds_between.0,
                own.0 * 1e3,
                share * 100.0,
            ),
            destination: Some(destination),
            since: self.first.unwrap_or(self.last),
            remedy: "Make the client once per process and use it for all calls, so that it keeps its token; update \
                     the client library if it asks for a token per call or per connection. Where clients must be \
                     many, let etcd know them by their certificates (--client-cert-auth, the common name is the \
                     user), which needs no Authenticate; a lower --bcrypt-cost makes each one cheaper."
                .to_owned(),
            evidence,
        }
    }
}

#[cfg(test)]
#[path = "etcd_authenticate_tests.rs"]
mod tests;
