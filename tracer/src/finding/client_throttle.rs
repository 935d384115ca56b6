//! `client-throttle`: requests wait, in the pod itself, for a limit that the pod's own client puts on its calls:
//! each is answered quickly, but after a burst they leave one interval after the other.
//!
//! client-go allows 5 calls per second after a burst of 10 unless told otherwise (`rest.Config`, QPS and Burst),
//! which was Tiller's story. A trace cannot see the limiter; it sees what only a limiter does
//! ([`is_limiter`]).

use super::{
    Number, Seconds, Severity, Share,
    kind::{Destination, Proves, Rule, Verdict},
    method::has_failed,
    pace::{Departure, Departures, Pace},
    threshold::thresholds,
    value::{evidence, ratio},
    window::{Merge, PerDestination, Window},
};
use crate::request::{Attribution, Call, CallKind, Request, folded::Folded};

/// Share of the requests' time, from which on it is critical.
const CRITICAL_SHARE: f64 = 0.5;
/// Waits that are worth keeping, nanoseconds.
const SHORTEST_WAIT: u64 = 1_000_000;
/// The shortest interval that can be told from the jitter of timers, nanoseconds: 100 per second.
const SHORTEST_INTERVAL: u64 = 10_000_000;
/// Departures that contradict a limiter, as a share of those at its pace: clocks and threads are not exact.
const CONTRADICTIONS: f64 = 0.1;
/// Calls that left at once, from which on they are a burst.
const BURST: u64 = 3;
/// Requests that wait at the same time, on average, from which on the pace is not one request's own.
const WAITING: f64 = 1.5;
/// Requests that waited for their first call: the limit is there before a request begins, work and polling are not.
const FIRSTS: u64 = 3;
/// Share of the time in which a saturated limiter makes requests wait or serves them.
const SATURATED: f64 = 0.9;
/// Limits are whole numbers per second, up to this one ...
const WHOLE_UP_TO: f64 = 10.0;
/// ... their pace is as exact as this, on average ...
const EXACT: f64 = 0.005;
/// ... and each interval as this.
const EVEN: f64 = 0.01;

thresholds! {
    /// When a pace is a limiter's.
    pub(super) struct Thresholds {
        /// Calls that left at the pace.
        bar calls: u64 = 10, 3..=1_000_000;
        /// Of the calls for which a request waited, the share that left at the pace.
        bar even_share: f64 = 0.7, 0.1..=1;
        /// The time in which requests waited as a share of the time of all requests.
        bar share_of_time: f64 = 0.2, 0.001..=1;
        /// The longest interval that is a limit, and not somebody who looks every second whether something is done.
        fact longest_interval_seconds: f64 = 0.6, 0.01..=60;
    }
}

evidence! {
    /// Calls that wait for their own client's limit.
    pub(super) struct Evidence {
        /// Calls per second that the limit allows.
        calls_per_second: Number,
        /// From the beginning of one call to that of the next, at the pace: the median.
        interval_seconds: Seconds,
        /// By how much such an interval differs from it, on average.
        interval_deviation_seconds: Seconds,
        /// The most calls that left without waiting, before calls had to wait: the burst that the limit allows, if
        /// tracing saw its beginning.
        burst: u64,
        /// Calls to that destination.
        calls: u64,
        /// Of them, those that left at the pace, with a request waiting for them.
        calls_paced: u64,
        /// How long a call takes, on average.
        seconds_per_call: Seconds,
        /// Requests that called that destination.
        requests: u64,
        /// Requests that wait at the same time, on average.
        requests_waiting: Number,
        /// How long a request waits for the limit: time that its breakdown shows as `self`.
        self_seconds_per_request: Seconds,
        /// That time as a share of the time of all requests.
        share_of_time: Share,
    }
}

/// Requests, and how their calls leave.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Time of all requests, nanoseconds.
    total: u64,
    servers: PerDestination<Server>,
}

/// Calls to one destination.
#[derive(Debug, Default)]
struct Server {
    requests: u64,
    departures: Departures,
}

impl Merge for Server {
    fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.departures.merge(&other.departures);
    }
}

impl Merge for Tally {
    fn merge(&mut self, other: &Self) {
        self.total += other.total;
        self.servers.merge(&other.servers);
    }
}

/// The rule.
pub(super) struct ClientThrottle;

impl Rule for ClientThrottle {
    const ID: &'static str = "client-throttle";
    type Thresholds = Thresholds;
    type Evidence = Evidence;
    type Tally = Tally;

    fn request(window: &mut Window<Tally>, request: &Request) {
        let tally = window.at(request.messages.request_first);
        tally.total += request.total();
        let mut ready = request.messages.request_last;
        let mut called = Vec::new();
        for call in request.calls.iter().map(|attributed| &attributed.call) {
            let waited = call.start.saturating_sub(ready);
            ready = ready.max(call.end);
            let is_new = !called.contains(&call.peer);
            let Some(server) = server(tally, call) else { continue };
            server.requests += u64::from(is_new);
            if waited >= SHORTEST_WAIT {
                let departure = departure(call);
                let is_first = called.is_empty();
                server.departures.add(Departure { waited, longest: waited, is_first, ..departure });
            }
            if is_new {
                called.push(call.peer);
            }
        }
    }

    fn folded(window: &mut Window<Tally>, folded: &Folded) {
        window.at(folded.first).total += folded.stages.total();
    }

    fn call(window: &mut Window<Tally>, call: &Call, _: Attribution, _: &Thresholds) -> Proves {
        let Some(server) = server(window.at(call.start), call) else { return Proves::Nothing };
        let was_waited_for = server.departures.was_waited_for((call.flow, call.number));
        server.departures.add(departure(call));
        if was_waited_for { Proves::Destination(call.peer.into()) } else { Proves::Nothing }
    }

    fn judge(tally: &Tally, thresholds: &Thresholds) -> Vec<Verdict<Evidence>> {
        let judge = |(peer, server): (_, &Server)| {
            let pace = server.departures.pace();
            let share = ratio(pace.waited, tally.total).min(1.0);
            let is_found = pace.paced >= thresholds.calls
                && ratio(pace.paced, pace.waits) >= thresholds.even_share
                && share >= thresholds.share_of_time
                && Seconds::of(pace.interval).0 <= thresholds.longest_interval_seconds
                && is_limiter(&pace);
            is_found.then(|| server.verdict(Destination::Address(peer), &pace, share))
        };
        tally.servers.iter().filter_map(judge).collect()
    }
}

/// Where a call of another server counts.
fn server<'a>(tally: &'a mut Tally, call: &Call) -> Option<&'a mut Server> {
    (call.kind == CallKind::Upstream).then(|| tally.servers.at(call.peer)).flatten()
}

fn departure(call: &Call) -> Departure {
    Departure {
        start: call.start,
        call: (call.flow, call.number),
        end: call.end,
        failed: has_failed(call),
        ..Departure::default()
    }
}

/// Whether only a limiter explains an even pace.
///
/// Calls of a slow server, or of a pod that works between them, can be evenly spaced too. But a limiter never
/// lets a call go early, never holds one up when none has left for longer than its interval, lets requests wait for
/// their first call, and its calls are short. And one of these is seen: the burst that it lets through at first;
/// several requests that wait at once, for one pace; or one request after the other waits all the time, and the
/// pace is more even than their waits, or a whole number per second.
fn is_limiter(pace: &Pace) -> bool {
    let mean = pace.calls_took / pace.calls.max(1);
    let contradicted = ratio(pace.early + pace.late, pace.paced) > CONTRADICTIONS || pace.firsts < FIRSTS;
    if contradicted || pace.interval < SHORTEST_INTERVAL || mean > pace.interval / 2 {
        return false;
    }
    let is_tighter = pace.waits_off > 0 && pace.gaps_off.saturating_mul(2) <= pace.waits_off;
    pace.burst >= BURST
        || waiting(pace) >= WAITING
        || is_saturated(pace, mean) && (is_tighter || is_whole(pace))
}

/// Requests that wait at the same time, on average.
fn waiting(pace: &Pace) -> f64 {
    ratio(pace.waited, pace.paced_took)
}

fn is_saturated(pace: &Pace, mean: u64) -> bool {
    ratio(pace.waited + mean * pace.paced, pace.paced_took) >= SATURATED
}

fn is_whole(pace: &Pace) -> bool {
    let rate = per_second(pace);
    let is_even = ratio(pace.gaps_off, pace.paced_took) <= EVEN;
    is_even && rate <= WHOLE_UP_TO && (rate - rate.round()).abs() <= EXACT * rate
}

fn per_second(pace: &Pace) -> f64 {
    ratio(pace.paced, pace.paced_took) * 1e9
}

impl Server {
    fn verdict(&self, destination: Destination, pace: &Pace, share: f64) -> Verdict<Evidence> {
        let evidence = Evidence {
            calls_per_second: Number(per_second(pace)),
            interval_seconds: Seconds::of(pace.interval),
            interval_deviation_seconds: Seconds(ratio(pace.gaps_off, pace.paced) / 1e9),
            burst: pace.burst,
            calls: pace.calls,
            calls_paced: pace.paced,
            seconds_per_call: Seconds(ratio(pace.calls_took, pace.calls) / 1e9),
            requests: self.requests,
            requests_waiting: Number(waiting(pace)),
            self_seconds_per_request: Seconds(ratio(pace.waited, self.requests) / 1e9),
            share_of_time: Share(share),
        };
        Verdict {
            severity: if share >= CRITICAL_SHARE { Severity::Critical } else { Severity::Warning },
            explanation: explanation(&evidence, &destination),
            destination: Some(destination),
            since: pace.first.unwrap_or_default(),
            remedy: "Raise the limit of the pod's client: QPS and Burst of client-go's rest.Config (5 and 10 unless \
                     set; flags such as --kube-api-qps and --kube-api-burst), or the rate limiter of another client. \
                     Or make fewer calls: an informer's cache or a watch instead of reading again, one list instead \
                     of many gets."
                .to_owned(),
            evidence,
        }
    }
}

fn explanation(evidence: &Evidence, destination: &Destination) -> String {
    let burst = if evidence.burst >= BURST {
        format!(", once {} had left without waiting", evidence.burst)
    } else {
        String::new()
    };
    format!(
        "{} of {} calls to {destination} left {:.2} ms after the one before{burst}: {:.2} per second, however many \
         requests wait ({:.1} on average). Each call takes {:.2} ms; a request waits {:.2} ms in the pod itself, \
         {:.0} % of the time. That is a limit of the pod's own client, not a slow server.",
        evidence.calls_paced,
        evidence.calls,
        evidence.interval_seconds.0 * 1e3,
        evidence.calls_per_second.0,
        evidence.requests_waiting.0,
        evidence.seconds_per_call.0 * 1e3,
        evidence.self_seconds_per_request.0 * 1e3,
        evidence.share_of_time.0 * 100.0,
    )
}

#[cfg(test)]
#[path = "client_throttle_tests.rs"]
mod tests;
