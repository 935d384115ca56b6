//! `metadata-credentials`: requests wait for the metadata service again and again, because the credentials it
//! hands out live no longer than the SDK's refresh threshold, so that the SDK refreshes them on every use.
//!
//! The threshold of the AWS SDKs is 15 minutes (aws-sdk-java 1893 and 1921); kiam's default session of 15
//! minutes never exceeds it.

use super::{
    Flows, Number, Seconds, Severity, Share,
    kind::{Proves, Rule, Verdict},
    threshold::thresholds,
    value::{evidence, ratio},
    window::{Merge, Window},
};
use crate::{
    proto::metadata::{MetadataCall, Step},
    request::{Attribution, Call, Request, What, folded::Folded},
};

/// Share of the time, from which on it is critical.
const CRITICAL_SHARE: f64 = 0.5;
thresholds! {
    /// When fetches of credentials are a pattern.
    pub(super) struct Thresholds {
        /// Requests, and fetches of credentials for them, that must have been seen.
        bar requests: u64 = 5, 1..=1_000_000;
        /// Fetches of credentials per request.
        bar fetches_per_request: f64 = 0.5, 0.01..=100;
        /// SDKs refresh credentials that have this many seconds or less to live.
        fact sdk_refresh_threshold_seconds: u64 = 900, 1..=86_400;
    }
}

evidence! {
    /// Credentials that never last.
    pub(super) struct Evidence {
        /// Requests of the pod.
        requests: u64,
        /// Calls that fetched credentials for them, each once, whatever number of requests waited for it.
        credentials_fetches: u64,
        /// Calls to the metadata service, connects aside, per request.
        metadata_calls_per_request: Number,
        /// Time in which a request waited for the metadata service, on average.
        metadata_seconds_per_request: Seconds,
        /// That time as a share of the requests' time.
        share_of_time: Share,
        /// From issue to expiry of the credentials.
        credentials_lifetime_seconds: Seconds,
        /// The longest that fetched credentials had left: if even that is too short, no fetch ever helps.
        credentials_remaining_seconds: Seconds,
        /// What that is compared with.
        sdk_refresh_threshold_seconds: Seconds,
        /// From the first fetch to the last.
        observed_seconds: Seconds,
        /// Some of the fetches: from, to, path.
        flows: Flows,
    }
}

/// Fetches of credentials, and the requests that waited for them.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    requests: u64,
    fetches: u64,
    calls: u64,
    total: u64,
    metadata: u64,
    remaining: Option<i64>,
    lifetime: Option<i64>,
    first: Option<u64>,
    last: u64,
    flows: Flows,
}

impl Merge for Tally {
    fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.fetches += other.fetches;
        self.calls += other.calls;
        self.total += other.total;
        self.metadata += other.metadata;
        self.remaining = self.remaining.max(other.remaining);
        self.lifetime = self.lifetime.max(other.lifetime);
        self.first = self.first.or(other.first);
        self.last = self.last.max(other.last);
        self.flows.merge(&other.flows);
    }
}

/// The rule.
pub(super) struct MetadataCredentials;

impl Rule for MetadataCredentials {
    const ID: &'static str = "metadata-credentials";
    type Thresholds = Thresholds;
    type Evidence = Evidence;
    type Tally = Tally;

    fn request(window: &mut Window<Tally>, request: &Request) {
        let tally = window.at(request.messages.request_first);
        tally.requests += 1;
        tally.total += request.total();
        tally.metadata += request.stages.metadata;
    }

    fn folded(window: &mut Window<Tally>, folded: &Folded) {
        let tally = window.at(folded.first);
        tally.requests += folded.count;
        tally.total += folded.stages.total();
    }

    fn call(window: &mut Window<Tally>, call: &Call, attribution: Attribution, _: &Thresholds) -> Proves {
        let What::Metadata(metadata) = &call.what else { return Proves::Nothing };
        // What no request waits for is a refresh in the background, as it should be.
        if metadata.step == Step::Connect || attribution == Attribution::None {
            return Proves::Nothing;
        }
        let tally = window.at(call.start);
        tally.calls += 1;
        if metadata.step != Step::Credentials {
            return Proves::Nothing;
        }
        tally.fetch(call, metadata);
        Proves::Pod
    }

    fn judge(tally: &Tally, thresholds: &Thresholds) -> Vec<Verdict<Evidence>> {
        let seen = tally.requests.min(tally.fetches) >= thresholds.requests;
        let often = ratio(tally.fetches, tally.requests) >= thresholds.fetches_per_request;
        let threshold = thresholds.sdk_refresh_threshold_seconds.cast_signed();
        let short = tally.remaining.filter(|remaining| *remaining <= threshold);
        short
            .filter(|_| seen && often)
            .map(|remaining| tally.verdict(remaining, threshold))
            .into_iter()
            .collect()
    }
}

impl Tally {
    fn fetch(&mut self, call: &Call, metadata: &MetadataCall) {
        self.fetches += 1;
        self.first = self.first.or(Some(call.start));
        self.last = self.last.max(call.end);
        self.remaining = self.remaining.max(metadata.remaining_seconds);
        self.lifetime = self.lifetime.max(metadata.lifetime_seconds);
        self.flows.add(call, &metadata.what);
    }

    fn verdict(&self, remaining: i64, threshold: i64) -> Verdict<Evidence> {
        let life = self.lifetime.unwrap_or(remaining);
        let share = ratio(self.metadata, self.total);
        let first = self.first.unwrap_or(self.last);
        Verdict {
            severity: if share >= CRITICAL_SHARE { Severity::Critical } else { Severity::Warning },
            destination: None,
            since: first,
            explanation: self.explanation(life, remaining, threshold, share),
            remedy: remedy(life, threshold),
            evidence: Evidence {
                requests: self.requests,
                credentials_fetches: self.fetches,
                metadata_calls_per_request: Number(ratio(self.calls, self.requests)),
                metadata_seconds_per_request: Seconds(ratio(self.metadata, self.requests) / 1e9),
                share_of_time: Share(share),
                credentials_lifetime_seconds: whole(life),
                credentials_remaining_seconds: whole(remaining),
                sdk_refresh_threshold_seconds: whole(threshold),
                observed_seconds: Seconds::of(self.last.saturating_sub(first)),
                flows: self.flows.clone(),
            },
        }
    }

    fn explanation(&self, life: i64, remaining: i64, threshold: i64, share: f64) -> String {
        let credentials = if life > threshold {
            format!("had at most {} of their {} minutes left", minutes(remaining), minutes(life))
        } else {
            format!("live {} minutes", minutes(life))
        };
        format!(
            "{} requests fetched credentials from the metadata service {} times: {:.1} calls and {:.2} ms per \
             request, {:.0} % of the time. The credentials {credentials}; the SDK refreshes whatever has {} minutes \
             or less to live, so it fetches them again on every use.",
            self.requests,
            self.fetches,
            ratio(self.calls, self.requests),
            ratio(self.metadata, self.requests) / 1e6,
            share * 100.0,
            minutes(threshold),
        )
    }
}

#[expect(clippy::cast_precision_loss, reason = "seconds of a lifetime")]
fn whole(seconds: i64) -> Seconds {
    Seconds(seconds as f64)
}

fn minutes(seconds: i64) -> i64 {
    seconds.saturating_add(30) / 60
}

fn remedy(life: i64, threshold: i64) -> String {
    let minutes = minutes(threshold);
    let proxy = if life > threshold {
        format!(
            "renew the credentials in its cache earlier, while they have more than {minutes} minutes to live,"
        )
    } else {
        format!(
            "hand out credentials that live longer than {minutes} minutes, such as --session-duration=60m,"
        )
    };
    format!(
        "Have the metadata proxy (kiam, kube2iam) {proxy} or move the pod to IAM roles for service accounts or EKS \
         Pod Identity; make the SDK client once per process, so that it caches."
    )
}

#[cfg(test)]
#[path = "metadata_credentials_tests.rs"]
mod tests;
