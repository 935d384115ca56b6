//! `expensive-request`: some calls of a server take much longer than all others: it is not slow, it is asked for
//! something expensive, such as a range over every key.
//!
//! etcd warns in its log of what takes more than 100 ms ("apply request took too long").

use std::cmp::Reverse;

use super::{
    Names, Number, Seconds, Severity, Share,
    kind::{Destination, Proves, Rule, Verdict},
    method::{PerName, answered_in, is_stream, name, upstream_http},
    threshold::thresholds,
    value::{evidence, ratio},
    window::{Merge, PerDestination, Window},
};
use crate::request::{Attribution, Call};

thresholds! {
    /// When some calls are expensive.
    pub(super) struct Thresholds {
        /// Slow calls of one name that must have been seen, each at another time, and quick ones of any name.
        bar calls: u64 = 3, 1..=1_000_000;
        /// How many times as long as the quick calls the slow ones take, on average.
        bar times_the_others: f64 = 5.0, 1.1..=10_000;
        /// Their time as a share of the time of all calls to that destination.
        bar share_of_time: f64 = 0.1, 0.001..=1;
        /// The share of all slow calls that came after a quick one: of a server that is overloaded, none are quick.
        bar share_among_quick: f64 = 0.5, 0.01..=1;
        /// From when on a call is slow: from its last byte to the first of the response.
        fact slow_seconds: f64 = 0.3, 0.001..=60;
        /// What takes longer than this is a long poll: the server waits for something to happen.
        fact long_poll_seconds: f64 = 15.0, 0.1..=3600;
    }
}

evidence! {
    /// Expensive calls of one server.
    pub(super) struct Evidence {
        /// What was called: the gRPC method, or the HTTP method and the path with `N` or `*` for identifiers; the
        /// one that took most time first.
        methods: Names,
        /// Slow calls of these.
        calls_slow: u64,
        /// From the last byte of a slow call to the first of its response, on average.
        seconds_per_slow_call: Seconds,
        /// The longest such time.
        longest_seconds: Seconds,
        /// Quick calls to that destination, of any name.
        calls_quick: u64,
        /// From the last byte of a quick call to the first of its response, on average.
        seconds_per_quick_call: Seconds,
        /// How many times as long the slow ones take.
        times_the_others: Number,
        /// The time of the slow calls as a share of the time of all calls to that destination, streams and long
        /// polls aside.
        share_of_time: Share,
        /// Of all slow calls, the share that came after a quick one.
        share_among_quick: Share,
    }
}

/// Calls, per destination.
type Tally = PerDestination<Server>;

/// Some calls with the time until they were answered.
#[derive(Clone, Copy, Debug, Default)]
struct Calls {
    count: u64,
    nanoseconds: u64,
    longest: u64,
    first: Option<u64>,
    /// Calls that overlap count once here: a stall of the server holds up all of them, whatever they ask for.
    moments: u64,
    /// From the beginning to the end of the newest moment.
    newest: (u64, u64),
}

impl Calls {
    fn one(start: u64, nanoseconds: u64) -> Self {
        let newest = (start, start.saturating_add(nanoseconds));
        Self { count: 1, nanoseconds, longest: nanoseconds, first: Some(start), moments: 1, newest }
    }

    fn mean(&self) -> f64 {
        ratio(self.nanoseconds, self.count) / 1e9
    }
}

impl Merge for Calls {
    fn merge(&mut self, other: &Self) {
        let (mine, theirs) = (self.newest, other.newest);
        let is_same = self.moments > 0 && other.moments > 0 && mine.0 <= theirs.1 && theirs.0 <= mine.1;
        self.moments += other.moments - u64::from(is_same);
        if is_same {
            self.newest = (mine.0.min(theirs.0), mine.1.max(theirs.1));
        } else if other.moments > 0 {
            self.newest = theirs;
        }
        self.count += other.count;
        self.nanoseconds += other.nanoseconds;
        self.longest = self.longest.max(other.longest);
        self.first = [self.first, other.first].into_iter().flatten().min();
    }
}

/// Calls to one server.
#[derive(Debug, Default)]
pub(super) struct Server {
    quick: Calls,
    slow: PerName<Calls>,
    /// Slow calls that came after a quick one.
    among_quick: u64,
    /// The newest call was quick.
    was_quick: bool,
}

impl Merge for Server {
    fn merge(&mut self, other: &Self) {
        self.quick.merge(&other.quick);
        self.slow.merge(&other.slow);
        self.among_quick += other.among_quick;
    }
}

/// The rule.
pub(super) struct ExpensiveRequest;

impl Rule for ExpensiveRequest {
    const ID: &'static str = "expensive-request";
    type Thresholds = Thresholds;
    type Evidence = Evidence;
    type Tally = Tally;

    fn call(window: &mut Window<Tally>, call: &Call, _: Attribution, thresholds: &Thresholds) -> Proves {
        let Some(http) = upstream_http(call).filter(|_| !is_stream(call)) else { return Proves::Nothing };
        let Some(nanoseconds) = answered_in(call) else { return Proves::Nothing };
        let seconds = Seconds::of(nanoseconds).0;
        if seconds > thresholds.long_poll_seconds {
            return Proves::Nothing;
        }
        let Some(server) = window.at(call.start).at(call.peer) else { return Proves::Nothing };
        if seconds < thresholds.slow_seconds {
            server.quick.merge(&Calls::one(call.start, nanoseconds));
            server.was_quick = true;
            return Proves::Nothing;
        }
        server.slow.at(name(http)).merge(&Calls::one(call.start, nanoseconds));
        server.among_quick += u64::from(std::mem::take(&mut server.was_quick));
        Proves::Destination(call.peer.into())
    }

    fn judge(tally: &Tally, thresholds: &Thresholds) -> Vec<Verdict<Evidence>> {
        tally.iter().filter_map(|(peer, server)| server.judge(peer.into(), thresholds)).collect()
    }
}

impl Server {
    fn judge(&self, destination: Destination, thresholds: &Thresholds) -> Option<Verdict<Evidence>> {
        let mut found: Vec<_> =
            self.slow.iter().filter(|(_, slow)| slow.moments >= thresholds.calls).collect();
        found.sort_by_key(|(_, slow)| Reverse(slow.nanoseconds));
        let (mut slow, mut methods) = (Calls::default(), Names::default());
        for (name, calls) in found {
            methods.add(name);
            slow.merge(calls);
        }
        let mut all = self.quick;
        self.slow.iter().for_each(|(_, calls)| all.merge(calls));
        let share = ratio(slow.nanoseconds, all.nanoseconds);
        let among = ratio(self.among_quick, all.count - self.quick.count);
        let seen = slow.count > 0 && self.quick.count >= thresholds.calls;
        let is_found = seen
            && slow.mean() >= self.quick.mean() * thresholds.times_the_others
            && share >= thresholds.share_of_time
            && among >= thresholds.share_among_quick;
        is_found.then(|| self.verdict(destination, slow, methods, [share, among]))
    }

    fn verdict(
        &self,
        destination: Destination,
        slow: Calls,
        methods: Names,
        [share, among]: [f64; 2],
    ) -> Verdict<Evidence> {
        let (mean, quick) = (slow.mean(), self.quick.mean());
        let times = if quick > 0.0 { mean / quick } else { 0.0 };
        let longest = Seconds::of(slow.longest);
        Verdict {
            severity: Severity::Warning,
            explanation: format!(
                "{} calls of {} took {:.2} ms on average and {:.2} ms at most until {destination} answered; its {} \
                 quick calls take {:.2} ms. So the server is not slow: these ask for something expensive. They are \
                 {:.0} % of the time of all calls there.",
                slow.count,
                methods.joined(),
                mean * 1e3,
                longest.0 * 1e3,
                self.quick.count,
                quick * 1e3,
                share * 100.0,
            ),
            destination: Some(destination),
            since: slow.first.unwrap_or_default(),
            remedy: "Find out what these calls ask for, in the caller's code or the server's slow log (etcd: \"apply \
                     request took too long\" names the range), and ask for less: a narrower range, a limit, no \
                     sorting by the server, an index; read it once and keep it, or watch it. Keep it off the path of \
                     requests."
                .to_owned(),
            evidence: Evidence {
                methods,
                calls_slow: slow.count,
                seconds_per_slow_call: Seconds(mean),
                longest_seconds: longest,
                calls_quick: self.quick.count,
                seconds_per_quick_call: Seconds(quick),
                times_the_others: Number(times),
                share_of_time: Share(share),
                share_among_quick: Share(among),
            },
        }
    }
}

#[cfg(test)]
#[path = "expensive_request_tests.rs"]
mod tests;
