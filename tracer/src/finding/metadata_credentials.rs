//! `metadata-credentials`: requests wait for the metadata service again and again, because the credentials it
//! hands out live no longer than the SDK's refresh threshold, so that the SDK refreshes them on every use.
//!
//! The threshold of the AWS SDKs is 15 minutes (aws-sdk-java 1893 and 1921); kiam's default session of 15
//! minutes never exceeds it.

use std::sync::Arc;

use super::{
    Detector, Finding, Severity, Value, ratio, seconds,
    window::{Merge, Period, Window},
};
use crate::{
    pod::Pod,
    proto::metadata::{MetadataCall, Step},
    request::{Attribution, Call, Request, What},
};

/// Identifier of the finding.
pub const ID: &str = "metadata-credentials";
/// SDKs refresh credentials that have this many seconds or less to live.
pub const REFRESH_THRESHOLD: i64 = 15 * 60;
/// Requests, and fetches of credentials for them, that must have been seen before anything is said.
const REQUESTS: u64 = 5;
/// Fetches of credentials per request, from which on it is a pattern.
const FETCHING: f64 = 0.5;
/// Share of the time, from which on it is critical.
const CRITICAL_SHARE: f64 = 0.5;
/// Flows named in the evidence.
const FLOWS: usize = 3;

#[derive(Clone, Debug, Default)]
struct Evidence {
    requests: u64,
    /// Calls that fetched credentials: each once, whatever number of requests waited for it.
    fetches: u64,
    /// Metadata calls, connects aside, counted in the same way.
    calls: u64,
    total: u64,
    metadata: u64,
    /// Longest remaining life seen, seconds: if even that is below the threshold, no fetch ever helps.
    remaining: Option<i64>,
    lifetime: Option<i64>,
    first: Option<u64>,
    last: u64,
    flows: Vec<String>,
}

impl Merge for Evidence {
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
        if !other.flows.is_empty() {
            self.flows.clone_from(&other.flows);
        }
    }
}

/// Watches a pod's requests.
#[derive(Debug)]
pub(super) struct Watcher {
    window: Window<Evidence>,
}

impl Watcher {
    pub(super) fn new(period: Period) -> Self {
        Self { window: Window::new(period) }
    }
}

impl Detector for Watcher {
    fn request(&mut self, request: &Request) {
        let evidence = self.window.at(request.messages.request_first);
        evidence.requests += 1;
        evidence.total += request.total();
        evidence.metadata += request.stages.metadata;
    }

    fn call(&mut self, call: &Call, attribution: Attribution) {
        let What::Metadata(metadata) = &call.what else { return };
        // What no request waits for is a refresh in the background, as it should be.
        if metadata.step == Step::Connect || attribution == Attribution::None {
            return;
        }
        let evidence = self.window.at(call.start);
        evidence.calls += 1;
        if metadata.step == Step::Credentials {
            evidence.fetch(call, metadata);
        }
    }

    fn finding(&self, subject: &Arc<Pod>, now: u64) -> Option<Finding> {
        let evidence = self.window.sum(now);
        let remaining = evidence.remaining.filter(|remaining| *remaining <= REFRESH_THRESHOLD)?;
        let few = evidence.requests.min(evidence.fetches) < REQUESTS;
        if few || ratio(evidence.fetches, evidence.requests) < FETCHING {
            return None;
        }
        let life = evidence.lifetime.unwrap_or(remaining);
        let share = ratio(evidence.metadata, evidence.total);
        Some(Finding {
            id: ID,
            severity: if share >= CRITICAL_SHARE { Severity::Critical } else { Severity::Warning },
            subject: Arc::clone(subject),
            since: evidence.first.unwrap_or(now),
            explanation: explanation(&evidence, life, remaining, share),
            remedy: remedy(life).to_owned(),
            evidence: evidence.named(life, remaining, share),
        })
    }
}

impl Evidence {
    fn fetch(&mut self, call: &Call, metadata: &MetadataCall) {
        self.fetches += 1;
        self.first = self.first.or(Some(call.start));
        self.last = self.last.max(call.end);
        self.remaining = self.remaining.max(metadata.remaining_seconds);
        self.lifetime = self.lifetime.max(metadata.lifetime_seconds);
        if self.flows.len() < FLOWS {
            self.flows.push(format!("{} → {} {}", call.local, call.peer, metadata.what));
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "seconds of a lifetime")]
    fn named(&self, life: i64, remaining: i64, share: f64) -> Vec<(&'static str, Value)> {
        vec![
            ("requests", Value::Count(self.requests)),
            ("credentials_fetches", Value::Count(self.fetches)),
            ("metadata_calls_per_request", Value::Number(ratio(self.calls, self.requests))),
            ("metadata_seconds_per_request", Value::Seconds(ratio(self.metadata, self.requests) / 1e9)),
            ("share_of_time", Value::Share(share)),
            ("credentials_lifetime_seconds", Value::Seconds(life as f64)),
            ("credentials_remaining_seconds", Value::Seconds(remaining as f64)),
            ("sdk_refresh_threshold_seconds", Value::Seconds(REFRESH_THRESHOLD as f64)),
            (
                "observed_seconds",
                Value::Seconds(seconds(self.last.saturating_sub(self.first.unwrap_or(self.last)))),
            ),
            ("flows", Value::List(self.flows.clone())),
        ]
    }
}

fn explanation(evidence: &Evidence, life: i64, remaining: i64, share: f64) -> String {
    let minutes = |seconds: i64| seconds.saturating_add(30) / 60;
    let credentials = if life > REFRESH_THRESHOLD {
        format!("had at most {} of their {} minutes left", minutes(remaining), minutes(life))
    } else {
        format!("live {} minutes", minutes(life))
    };
    format!(
        "{} requests fetched credentials from the metadata service {} times: {:.1} calls and {:.2} ms per request, \
         {:.0} % of the time. The credentials {credentials}; the SDK refreshes whatever has 15 minutes or less to \
         live, so it fetches them again on every use.",
        evidence.requests,
        evidence.fetches,
        ratio(evidence.calls, evidence.requests),
        ratio(evidence.metadata, evidence.requests) / 1e6,
        share * 100.0,
    )
}

fn remedy(life: i64) -> &'static str {
    if life > REFRESH_THRESHOLD {
        "Have the metadata proxy (kiam, kube2iam) renew the credentials in its cache earlier, while they have more \
         than 15 minutes to live, or move the pod to IAM roles for service accounts or EKS Pod Identity; make the \
         SDK client once per process, so that it caches."
    } else {
        "Have the metadata proxy (kiam, kube2iam) hand out credentials that live longer than 15 minutes, such as \
         --session-duration=60m, or move the pod to IAM roles for service accounts or EKS Pod Identity; make the \
         SDK client once per process, so that it caches."
    }
}

#[cfg(test)]
#[path = "metadata_credentials_tests.rs"]
mod tests;
