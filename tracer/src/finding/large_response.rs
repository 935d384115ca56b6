//! `large-response`: a server answers with megabytes, again and again: time to make them, to send them and to read
//! them.

use super::{
    Names, Seconds, Severity, Share,
    kind::{Destination, Proves, Rule, Verdict},
    method::{PerName, is_stream, name, upstream_http},
    threshold::thresholds,
    value::{evidence, ratio},
    window::{Merge, PerDestination, Window},
};
use crate::request::{Attribution, Call};

/// Share of the destination's time, from which on it is a warning.
const WARNING_SHARE: f64 = 0.5;
/// The status of a part that the client asked for: it knows how large the whole is.
const PARTIAL_CONTENT: u16 = 206;

thresholds! {
    /// When large responses are a pattern.
    pub(super) struct Thresholds {
        /// Large responses to calls of one name that must have been seen.
        bar responses: u64 = 3, 1..=1_000_000;
        /// Their bytes as a share of the bytes of all responses of that destination.
        bar share_of_bytes: f64 = 0.2, 0.001..=1;
        /// Bytes from which on a response is large.
        fact large_bytes: u64 = 1_000_000, 1_000..=1_000_000_000;
    }
}

evidence! {
    /// Large responses of one server.
    pub(super) struct Evidence {
        /// What was called: the gRPC method, or the HTTP method and the path with `N` or `*` for identifiers; the
        /// one that took most time first.
        methods: Names,
        /// Large responses to these calls.
        responses: u64,
        /// Bytes of them on the wire, on average.
        bytes_mean: u64,
        /// Bytes of the largest.
        bytes_max: u64,
        /// From the first byte of the call to the last of the response, on average.
        seconds_per_call: Seconds,
        /// From the first byte of the response to the last, on average.
        transfer_seconds_per_call: Seconds,
        /// Their bytes as a share of the bytes of all responses of that destination, streams aside.
        share_of_bytes: Share,
        /// Their time as a share of the time of all calls to that destination, streams aside.
        share_of_time: Share,
        /// All calls to that destination, streams aside.
        calls: u64,
    }
}

/// Calls, per destination.
type Tally = PerDestination<Server>;

/// Calls to one server.
#[derive(Debug, Default)]
pub(super) struct Server {
    calls: u64,
    bytes: u64,
    nanoseconds: u64,
    large: PerName<Large>,
}

impl Merge for Server {
    fn merge(&mut self, other: &Self) {
        self.calls += other.calls;
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.nanoseconds += other.nanoseconds;
        self.large.merge(&other.large);
    }
}

/// Large responses to calls of one name, or of several.
#[derive(Clone, Debug, Default)]
struct Large {
    responses: u64,
    bytes: u64,
    largest: u64,
    nanoseconds: u64,
    transfer: u64,
    first: Option<u64>,
}

impl Merge for Large {
    fn merge(&mut self, other: &Self) {
        self.responses += other.responses;
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.largest = self.largest.max(other.largest);
        self.nanoseconds += other.nanoseconds;
        self.transfer += other.transfer;
        self.first = [self.first, other.first].into_iter().flatten().min();
    }
}

/// The rule.
pub(super) struct LargeResponse;

impl Rule for LargeResponse {
    const ID: &'static str = "large-response";
    type Thresholds = Thresholds;
    type Evidence = Evidence;
    type Tally = Tally;

    fn call(window: &mut Window<Tally>, call: &Call, _: Attribution, thresholds: &Thresholds) -> Proves {
        let http = upstream_http(call).filter(|_| call.answered && !is_stream(call));
        let Some(http) = http else { return Proves::Nothing };
        let Some(server) = window.at(call.start).at(call.peer) else { return Proves::Nothing };
        let nanoseconds = call.end.saturating_sub(call.start);
        let messages = &call.messages;
        server.calls += 1;
        server.bytes = server.bytes.saturating_add(messages.response_bytes);
        server.nanoseconds += nanoseconds;
        if messages.response_bytes < thresholds.large_bytes || http.status() == Some(PARTIAL_CONTENT) {
            return Proves::Nothing;
        }
        server.large.at(name(http)).merge(&Large {
            responses: 1,
            bytes: messages.response_bytes,
            largest: messages.response_bytes,
            nanoseconds,
            transfer: messages.response_last.saturating_sub(messages.response_first),
            first: Some(call.start),
        });
        Proves::Destination(call.peer.into())
    }

    fn judge(tally: &Tally, thresholds: &Thresholds) -> Vec<Verdict<Evidence>> {
        tally.iter().filter_map(|(peer, server)| server.judge(peer.into(), thresholds)).collect()
    }
}

impl Server {
    fn judge(&self, destination: Destination, thresholds: &Thresholds) -> Option<Verdict<Evidence>> {
        let often = |(_, large): &(&str, &Large)| large.responses >= thresholds.responses;
        let mut found: Vec<_> = self.large.iter().filter(often).collect();
        found.sort_by_key(|(_, large)| std::cmp::Reverse(large.nanoseconds));
        let (mut all, mut methods) = (Large::default(), Names::default());
        for (name, large) in found {
            methods.add(name);
            all.merge(large);
        }
        let is_found = all.responses > 0 && ratio(all.bytes, self.bytes) >= thresholds.share_of_bytes;
        is_found.then(|| self.verdict(destination, &all, methods))
    }

    fn verdict(&self, destination: Destination, all: &Large, methods: Names) -> Verdict<Evidence> {
        let share = ratio(all.nanoseconds, self.nanoseconds);
        let share_of_bytes = ratio(all.bytes, self.bytes);
        let mean = all.bytes / all.responses.max(1);
        let seconds = Seconds(ratio(all.nanoseconds, all.responses) / 1e9);
        let transfer = Seconds(ratio(all.transfer, all.responses) / 1e9);
        Verdict {
            severity: if share >= WARNING_SHARE { Severity::Warning } else { Severity::Info },
            explanation: format!(
                "{} responses of {destination} to {} had {} on average and {} at most: {:.0} % of the bytes of all {} \
                 responses there. Such a call takes {:.2} ms, {:.2} ms of them to transfer the response; together they \
                 are {:.0} % of the time of all calls there.",
                all.responses,
                methods.joined(),
                size(mean),
                size(all.largest),
                share_of_bytes * 100.0,
                self.calls,
                seconds.0 * 1e3,
                transfer.0 * 1e3,
                share * 100.0,
            ),
            destination: Some(destination),
            since: all.first.unwrap_or_default(),
            remedy: "Ask for less: a page at a time (limit and continue, or the like), keys or the needed fields only, \
                     a watch instead of reading all again. Let the server compress. Values of a megabyte belong into \
                     an object store, with their name in the database: etcd and the API server read and write them \
                     whole."
                .to_owned(),
            evidence: Evidence {
                methods,
                responses: all.responses,
                bytes_mean: mean,
                bytes_max: all.largest,
                seconds_per_call: seconds,
                transfer_seconds_per_call: transfer,
                share_of_bytes: Share(share_of_bytes),
                share_of_time: Share(share),
                calls: self.calls,
            },
        }
    }
}

/// Bytes for people.
fn size(bytes: u64) -> String {
    if bytes >= 1_000_000 {
        format!("{:.2} MB", ratio(bytes, 1_000_000))
    } else {
        format!("{:.1} kB", ratio(bytes, 1_000))
    }
}

#[cfg(test)]
#[path = "large_response_tests.rs"]
mod tests;
