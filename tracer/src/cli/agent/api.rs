//! What `/api/v1` answers: docs/api.md.

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::{
    history::{ENTRIES, Entry, INTERVAL},
    memory::Memory,
    recent::MINUTES,
};
use crate::{
    clock::WallClock,
    export::json,
    pod::Pod,
    request::{
        Stages,
        totals::{PodSummary, Summary},
    },
};

/// Minutes of breakdowns when none are asked for, and at most.
const HISTORY_MINUTES: std::ops::RangeInclusive<u64> = 1..=INTERVAL * ENTRIES / 60_000_000_000;
const DEFAULT_MINUTES: u64 = 10;
/// Requests when no number is asked for, and at most.
const REQUESTS: std::ops::RangeInclusive<usize> = 1..=100;
const DEFAULT_REQUESTS: usize = 20;

/// What can be asked for after `?`.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// Only this pod: its name, namespace and name, or UID.
    pod: Option<String>,
    /// Minutes of breakdowns.
    minutes: Option<u64>,
    /// Number of requests.
    limit: Option<usize>,
}

impl Wanted {
    /// What is wrong with it, if something is.
    pub(super) fn wrong(&self) -> Option<String> {
        let minutes = self.minutes.filter(|minutes| !HISTORY_MINUTES.contains(minutes));
        let limit = self.limit.filter(|limit| !REQUESTS.contains(limit));
        let range = |name, from, to| format!("{name} has to be a whole number from {from} to {to}");
        minutes
            .map(|_| range("minutes", *HISTORY_MINUTES.start(), *HISTORY_MINUTES.end()))
            .or_else(|| limit.map(|_| range("limit", *REQUESTS.start() as u64, *REQUESTS.end() as u64)))
    }

    fn is(&self, pod: &Pod) -> bool {
        self.pod.as_ref().is_none_or(|wanted| {
            pod.uid == *wanted
                || pod.name.as_ref().is_some_and(|name| name.name == *wanted)
                || pod.to_string() == *wanted
        })
    }
}

/// The pods with their breakdowns over time, up to `now` of the source's clock.
pub(super) fn pods(
    summary: &Summary,
    memory: &Memory,
    wanted: &Wanted,
    now: u64,
    clock: WallClock,
) -> String {
    let minutes = wanted.minutes.unwrap_or(DEFAULT_MINUTES);
    let since = now.saturating_sub(minutes * 60_000_000_000);
    let pods = summary.pods.iter().filter(|summary| wanted.is(&summary.pod));
    let pods: Vec<Json> = pods.map(|summary| pod(summary, memory, since, clock)).collect();
    text(&json!({
        "now_unix_ns": clock.unix_ns(now),
        "minutes": minutes,
        "interval_seconds": Duration::from_nanos(INTERVAL).as_secs(),
        "stages": Stages::NAMES,
        "pods": pods,
        "accounting": json::accounting(&summary.accounting),
        "partial": summary.accounting.is_partial(),
    }))
}

fn pod(summary: &PodSummary, memory: &Memory, since: u64, clock: WallClock) -> Json {
    let mut pod = json::pod(summary, clock);
    let breakdown: Vec<Json> =
        memory.history.of(&summary.pod, since).map(|entry| interval(entry, clock)).collect();
    if let Some(members) = pod.as_object_mut() {
        members.insert("uid".to_owned(), json!(summary.pod.uid));
        members.insert("findings".to_owned(), summary.findings.iter().map(|finding| finding.id).collect());
        members.insert("breakdown".to_owned(), breakdown.into());
    }
    pod
}

fn interval(entry: &Entry, clock: WallClock) -> Json {
    json!({
        "time_unix_s": clock.unix_seconds(entry.start()),
        "requests": entry.requests,
        "slowest_ns": entry.slowest,
        "stages_ns": entry.stages.values(),
    })
}

/// The slowest requests of the last minutes.
pub(super) fn requests(memory: &mut Memory, wanted: &Wanted, now: u64, clock: WallClock) -> String {
    memory.recent.advance(now);
    let slowest = memory.recent.slowest(wanted.limit.unwrap_or(DEFAULT_REQUESTS), |pod| wanted.is(pod));
    let slowest: Vec<Json> = slowest.into_iter().map(|request| json::request(request, clock)).collect();
    text(&json!({ "minutes": MINUTES, "stages": Stages::NAMES, "requests": slowest }))
}

/// What is open.
pub(super) fn findings(summary: &Summary, wanted: &Wanted, clock: WallClock) -> String {
    let pods = summary.pods.iter().filter(|summary| wanted.is(&summary.pod));
    let findings = pods.flat_map(|summary| &summary.findings);
    let findings: Vec<Json> = findings.map(|finding| json::finding(finding, clock)).collect();
    text(&json!({ "findings": findings }))
}

fn text(json: &Json) -> String {
    format!("{json}\n")
}

#[cfg(test)]
#[path = "api_tests.rs"]
mod tests;
