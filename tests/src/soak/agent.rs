//! What the agent says of itself and of the pods, and what it costs.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};
use serde_json::Value;

use super::found::{Found, found};
use crate::tracer::Tracing;

/// How the kernel counts CPU time for user space, per second (`USER_HZ`).
const TICKS: f64 = 100.0;

/// One look at the agent.
#[derive(Clone, Debug, Default)]
pub(super) struct Reading {
    /// Resident memory, in bytes.
    pub(super) resident: u64,
    /// CPU time so far, in seconds.
    pub(super) cpu_seconds: f64,
    pub(super) emitted: u64,
    pub(super) consumed: u64,
    /// By reason.
    pub(super) dropped: BTreeMap<String, u64>,
    /// Requests that all pods answered.
    pub(super) requests: u64,
    /// By kind.
    pub(super) calls: BTreeMap<String, u64>,
    /// Findings that are open.
    pub(super) found: Vec<Found>,
    /// Bytes of the metrics.
    pub(super) metrics: usize,
}

impl Reading {
    /// Reads its API, its metrics and what the kernel says of the process.
    pub(super) fn take(agent: &Tracing<'_>) -> Result<Self> {
        let summary: Value = serde_json::from_str(&agent.get("/api/v1/summary")?).context("the summary")?;
        let metrics = agent.get("/metrics")?.len();
        let process = format!("/proc/{}", agent.id());
        let read = |name: &str| {
            fs::read_to_string(format!("{process}/{name}")).with_context(|| format!("read {process}/{name}"))
        };
        let accounting = &summary["accounting"];
        let mut reading = Self {
            resident: resident(&read("status")?).context("no VmRSS")?,
            cpu_seconds: cpu_seconds(&read("stat")?).context("no CPU time")?,
            emitted: accounting["emitted"].as_u64().context("no count of records")?,
            consumed: accounting["consumed"].as_u64().context("no count of records")?,
            dropped: serde_json::from_value(accounting["dropped"].clone()).context("what was lost")?,
            found: found(&summary, "live"),
            metrics,
            ..Self::default()
        };
        for pod in summary["pods"].as_array().into_iter().flatten() {
            reading.requests += pod["requests"].as_u64().unwrap_or_default();
            for (kind, calls) in pod["calls"].as_object().into_iter().flatten() {
                *reading.calls.entry(kind.clone()).or_default() +=
                    calls["count"].as_u64().unwrap_or_default();
            }
        }
        Ok(reading)
    }

    /// All records that were lost.
    pub(super) fn lost(&self) -> u64 {
        self.dropped.values().sum()
    }
}

/// From `/proc/PID/status`, in bytes.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

/// From `/proc/PID/stat`: the 14th and 15th fields, of which the second can hold anything, in parentheses.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / TICKS)
}

#[cfg(test)]
mod tests {
    use super::{cpu_seconds, resident};

    #[test]
    fn memory_and_time_are_read() {
        assert_eq!(resident("Name:\ttracer\nVmRSS:\t    2048 kB\n"), Some(2_097_152));
        let seconds = cpu_seconds("7 (a ) b) S 1 1 1 0 -1 4194560 1 0 0 0 250 50 0 0 20 0").unwrap();
        assert!((seconds - 3.0).abs() < 1e-9);
    }
}
