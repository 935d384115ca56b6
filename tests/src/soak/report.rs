//! What the soak comes to: numbers, and what is not as it should be.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::Watch;
use super::cluster::Cluster;
use super::found::Found;
use super::slice::Offline;
use crate::role::steady::Count;

/// The agent's memory may be larger in the last quarter than in the one before by this part of it: what it keeps for a
/// sliding time has filled up long before, and allocators need some room.
const GROWTH: u64 = 20;
/// And this much, in bytes, which is more than noise of a small process.
const SLACK: u64 = 4 << 20;
/// One request in so many may fail: a restart can cut one off.
const FAILED: u64 = 1000;

/// The result.
#[derive(Serialize)]
pub(super) struct Report {
    minutes: u32,
    /// Requests that the agent saw pods answer.
    requests: u64,
    calls: BTreeMap<String, u64>,
    /// What the clients counted.
    clients: BTreeMap<&'static str, Count>,
    server_restarts: u32,
    events_emitted: u64,
    events_consumed: u64,
    events_dropped: BTreeMap<String, u64>,
    findings: Vec<Found>,
    /// Lines of the agent's log by which a finding opened.
    openings: Vec<String>,
    slice_seconds: f64,
    slice_requests: u64,
    slice_lost: u64,
    slice_not_captured: u64,
    agent_rss_mb: Memory,
    agent_cpu_seconds: f64,
    agent_cpu_seconds_per_request: f64,
    agent_metrics_bytes: usize,
    /// CPU that the traffic took, of one core.
    traffic_cores: f64,
    /// Why the exit code is 1.
    pub(super) wrong: Vec<String>,
}

/// Resident memory.
#[derive(Serialize)]
struct Memory {
    first: f64,
    median: f64,
    max: f64,
    third_quarter: f64,
    last_quarter: f64,
    grew: bool,
}

impl Report {
    pub(super) fn new(
        minutes: u32,
        cluster: &Cluster<'_>,
        watch: &Watch,
        offline: &Offline,
        openings: &[&str],
        traffic_cores: f64,
    ) -> Self {
        let last = watch.readings.last().cloned().unwrap_or_default();
        let first_cpu = watch.readings.first().map_or(0.0, |reading| reading.cpu_seconds);
        let cpu = last.cpu_seconds - first_cpu;
        let resident: Vec<_> = watch.readings.iter().map(|reading| reading.resident).collect();
        let mut report = Self {
            minutes,
            requests: last.requests,
            calls: last.calls.clone(),
            clients: cluster.counts(),
            server_restarts: cluster.restarts,
            events_emitted: last.emitted,
            events_consumed: last.consumed,
            events_dropped: last.dropped.clone(),
            findings: watch.found.values().cloned().collect(),
            openings: openings.iter().map(|line| (*line).to_owned()).collect(),
            slice_seconds: offline.seconds,
            slice_requests: offline.requests,
            slice_lost: offline.lost,
            slice_not_captured: offline.not_captured,
            agent_rss_mb: Memory::of(&resident),
            agent_cpu_seconds: cpu,
            agent_cpu_seconds_per_request: cpu / exact(last.requests.max(1)),
            agent_metrics_bytes: last.metrics,
            traffic_cores,
            wrong: Vec::new(),
        };
        report.judge(last.lost());
        report
    }

    fn judge(&mut self, lost: u64) {
        let unjustified = self.findings.iter().filter(|found| found.justified.is_none());
        let mut wrong: Vec<_> =
            unjustified.map(|found| format!("{} of {} ({})", found.id, found.pod, found.place)).collect();
        let live = self.findings.iter().filter(|found| found.place == "live");
        let known: Vec<_> = live.map(|found| found.id.clone()).collect();
        let unseen = self.openings.iter().filter(|line| !known.iter().any(|id| line.contains(id.as_str())));
        wrong.extend(unseen.map(|line| format!("opened between two looks: {line}")));
        if lost > 0 || self.slice_lost > 0 {
            wrong.push(format!("lost: {lost} records of the agent, {} of the slice", self.slice_lost));
        }
        if self.agent_rss_mb.grew {
            wrong.push(format!(
                "memory grew from {:.1} to {:.1} MB in the second half",
                self.agent_rss_mb.third_quarter, self.agent_rss_mb.last_quarter
            ));
        }
        let all = self.clients.values().fold(Count::default(), |sum, count| sum.plus(*count));
        if all.ok == 0 || self.requests == 0 || all.failed * FAILED > all.ok {
            wrong.push(format!("the traffic is not healthy: {all:?}"));
        }
        self.wrong = wrong;
    }

    /// For people.
    pub(super) fn table(&self) -> String {
        let memory = &self.agent_rss_mb;
        let mut text = String::new();
        let mut line = |what: &str, value: String| {
            let _infallible = writeln!(text, "{what:<26} {value}");
        };
        line("minutes", self.minutes.to_string());
        line("requests seen by the agent", self.requests.to_string());
        line("calls", listed(&self.calls));
        for (name, count) in &self.clients {
            let Count { ok, again, failed } = count;
            line(&format!("client {name}"), format!("{ok} ok, {again} once more, {failed} failed"));
        }
        line("restarts of servers", self.server_restarts.to_string());
        line("events emitted, consumed", format!("{}, {}", self.events_emitted, self.events_consumed));
        line("events dropped", listed(&self.events_dropped));
        line(
            "slice",
            format!(
                "{:.0} s, {} requests, {} lost, {} not captured",
                self.slice_seconds, self.slice_requests, self.slice_lost, self.slice_not_captured
            ),
        );
        line(
            "agent's memory, MB",
            format!("first {:.1}, median {:.1}, max {:.1}", memory.first, memory.median, memory.max),
        );
        line(
            "in the 3rd, 4th quarter",
            format!("{:.1}, {:.1}: grew: {}", memory.third_quarter, memory.last_quarter, memory.grew),
        );
        let each = 1e6 * self.agent_cpu_seconds_per_request;
        line("agent's CPU", format!("{:.2} s, {each:.1} µs per request", self.agent_cpu_seconds));
        line("traffic's CPU", format!("{:.1} % of a core", 100.0 * self.traffic_cores));
        line("findings", self.findings.len().to_string());
        for found in &self.findings {
            let destination = found.destination.as_deref().unwrap_or("-");
            line(
                &format!("  {} {}", found.place, found.id),
                format!("{} {destination} since {}: {}", found.pod, found.since, found.explanation),
            );
            line("    evidence", found.evidence.to_string());
            line("    justified", found.justified.unwrap_or("NO").to_owned());
        }
        let wrong = if self.wrong.is_empty() { "nothing".to_owned() } else { self.wrong.join("; ") };
        line("not as it should be", wrong);
        text
    }
}

impl Memory {
    fn of(readings: &[u64]) -> Self {
        let (half, quarter) = (readings.len() / 2, readings.len() * 3 / 4);
        let (third, fourth) = (median(&readings[half..quarter]), median(&readings[quarter..]));
        let most = third + third / GROWTH + SLACK;
        Self {
            first: megabytes(readings.first().copied().unwrap_or_default()),
            median: megabytes(median(readings)),
            max: megabytes(readings.iter().copied().max().unwrap_or_default()),
            third_quarter: megabytes(third),
            last_quarter: megabytes(fourth),
            grew: third > 0 && fourth > most,
        }
    }
}

/// A line each minute.
pub(super) fn progress(minute: u64, cluster: &Cluster<'_>, watch: &Watch) -> String {
    let made = cluster.counts().values().fold(Count::default(), |sum, count| sum.plus(*count));
    let last = watch.readings.last().cloned().unwrap_or_default();
    format!(
        "minute {minute}: {} requests made ({} failed), {} seen, {} findings open, agent {:.1} MB, {} dropped, \
         {} restarts",
        made.ok,
        made.failed,
        last.requests,
        last.found.len(),
        megabytes(last.resident),
        last.lost(),
        cluster.restarts
    )
}

fn listed(counts: &BTreeMap<String, u64>) -> String {
    let all: Vec<_> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
    all.join(", ")
}

fn median(values: &[u64]) -> u64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

fn megabytes(bytes: u64) -> f64 {
    exact(bytes) / 1e6
}

#[expect(clippy::cast_precision_loss, reason = "of numbers for people")]
fn exact(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::Memory;

    const MB: u64 = 1_000_000;

    #[test]
    fn memory_that_fills_up_and_stays_has_not_grown() {
        let filling: Vec<_> = (0..40).map(|n| MB * (20 + n.min(20_u64))).collect();
        assert!(!Memory::of(&filling).grew);
    }

    #[test]
    fn memory_that_goes_on_rising_has_grown() {
        let rising: Vec<_> = (0..400).map(|n| MB * (20 + n)).collect();
        assert!(Memory::of(&rising).grew);
    }

    #[test]
    fn nothing_is_known_of_no_readings() {
        assert!(!Memory::of(&[]).grew);
    }
}
