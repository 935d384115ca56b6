//! What the benchmark found, as a table for people and as JSON for programs.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;

use super::cost::Cost;
use super::traffic::Contents;
use crate::bench::statistics::{Spread, float};
use crate::workspace::write_json;

/// How many times faster than tshark tracer has to be.
const WANTED_RATIO: f64 = 25.0;
/// Memory that tracer stays below, bytes.
const MEMORY_LIMIT: u64 = 200_000_000;

/// Both programs, one after the other.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Round {
    pub(super) tracer: Cost,
    pub(super) tshark: Cost,
}

/// Of all rounds: medians of times, the highest of memory.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    packets: u64,
    bytes: u64,
    tracer_seconds: f64,
    tshark_seconds: f64,
    tracer_cpu_seconds: f64,
    tshark_cpu_seconds: f64,
    /// tshark's wall time by tracer's.
    ratio: f64,
    tracer_peak_rss_bytes: u64,
    tshark_peak_rss_bytes: u64,
    rounds: Vec<Round>,
}

impl Summary {
    /// Of at least one round.
    pub(super) fn of(contents: &Contents, rounds: Vec<Round>) -> Result<Self> {
        let median = |part: fn(&Round) -> f64| {
            let spread = Spread::of(rounds.iter().map(part));
            spread.map(|spread| spread.median).context("there was no round")
        };
        let highest = |part: fn(&Round) -> u64| rounds.iter().map(part).max().unwrap_or_default();
        let tracer_seconds = median(|round| round.tracer.wall_seconds)?;
        let tshark_seconds = median(|round| round.tshark.wall_seconds)?;
        Ok(Self {
            packets: contents.packets,
            bytes: contents.bytes,
            tracer_seconds,
            tshark_seconds,
            tracer_cpu_seconds: median(|round| round.tracer.cpu_seconds)?,
            tshark_cpu_seconds: median(|round| round.tshark.cpu_seconds)?,
            ratio: tshark_seconds / tracer_seconds,
            tracer_peak_rss_bytes: highest(|round| round.tracer.peak_rss_bytes),
            tshark_peak_rss_bytes: highest(|round| round.tshark.peak_rss_bytes),
            rounds,
        })
    }

    /// Writes `summary.json`.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        write_json(path, self)
    }

    /// Prints the table.
    pub(super) fn print(&self) {
        println!("{:<8} {:>9} {:>9} {:>13} {:>10}", "program", "wall", "CPU", "packets/s", "peak");
        let programs = [
            ("tracer", self.tracer_seconds, self.tracer_cpu_seconds, self.tracer_peak_rss_bytes),
            ("tshark", self.tshark_seconds, self.tshark_cpu_seconds, self.tshark_peak_rss_bytes),
        ];
        for (name, wall, cpu, peak) in programs {
            let (rate, peak) = (float(self.packets) / wall, float(peak) / 1e6);
            println!("{name:<8} {wall:>7.2} s {cpu:>7.2} s {rate:>13.0} {peak:>7.1} MB");
        }
        println!("tshark takes {:.1} times as long (median of {} rounds)", self.ratio, self.rounds.len());
    }

    /// Whether that is good enough.
    pub(super) fn judge(&self) -> Result<()> {
        let Self { ratio, tracer_peak_rss_bytes: peak, .. } = self;
        ensure!(*ratio >= WANTED_RATIO, "tracer is {ratio:.1} times as fast as tshark, not {WANTED_RATIO}");
        ensure!(*peak < MEMORY_LIMIT, "tracer took {peak} bytes of memory, not below {MEMORY_LIMIT}");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(tracer: f64, tshark: f64, memory: u64) -> Round {
        let cost = |wall_seconds| Cost { wall_seconds, cpu_seconds: wall_seconds, peak_rss_bytes: memory };
        Round { tracer: cost(tracer), tshark: cost(tshark) }
    }

    #[test]
    fn fast_and_small_is_good() {
        let rounds = vec![round(1.0, 30.0, 1), round(1.1, 33.0, 2), round(9.0, 90.0, 3)];
        let summary = Summary::of(&Contents::default(), rounds).unwrap();
        assert!((summary.ratio - 30.0).abs() < 0.001, "{summary:?}");
        assert_eq!(summary.tracer_peak_rss_bytes, 3);
        summary.judge().unwrap();
    }

    #[test]
    fn slow_or_large_is_not() {
        for round in [round(1.0, 24.0, 1), round(1.0, 30.0, MEMORY_LIMIT)] {
            assert!(Summary::of(&Contents::default(), vec![round]).unwrap().judge().is_err());
        }
    }
}
