//! What the benchmark found, as a table for people and as JSON for programs.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};

use super::agent::Reading;
use super::statistics::{Spread, float};
use super::targets::Target;
use super::{Mode, Turn};
use crate::workspace::write_json;

/// Nanoseconds per exchange, from the turns that measure them.
pub(super) struct Cost {
    kernel: Spread,
    agent: Spread,
}

impl Cost {
    pub(super) fn of(turns: &[Turn], mode: Mode) -> Option<Self> {
        // The kernel's statistics slow each run down, so the agent's time comes from turns without them.
        let kernel = traced(turns, mode, true).map(|(turn, reading)| {
            1e9 * reading.programs.seconds.values().sum::<f64>() / float(turn.load.requests)
        });
        let agent = traced(turns, mode, false)
            .map(|(turn, reading)| float(reading.cpu_ns) / float(turn.load.requests));
        Some(Self { kernel: Spread::of(kernel)?, agent: Spread::of(agent)? })
    }

    pub(super) fn microseconds(&self) -> f64 {
        (self.kernel.median + self.agent.median) / 1000.0
    }

    fn to_json(&self) -> Map<String, Value> {
        let values = [
            ("kernel_ns_per_exchange", self.kernel.median),
            ("agent_ns_per_exchange", self.agent.median),
            ("cost_us_per_exchange", self.microseconds()),
        ];
        values.into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect()
    }
}

/// Turns of a mode in which an agent traced.
fn traced(turns: &[Turn], mode: Mode, with_statistics: bool) -> impl Iterator<Item = (&Turn, &Reading)> {
    let wanted = move |turn: &&Turn| turn.mode == mode && turn.with_statistics == with_statistics;
    turns.iter().filter(wanted).filter_map(|turn| Some((turn, turn.agent.as_ref()?)))
}

fn throughput(turns: &[Turn], mode: Mode) -> Option<Spread> {
    let rounds = turns.iter().filter(|turn| turn.mode == mode && !turn.with_statistics);
    Spread::of(rounds.map(|turn| turn.load.requests_per_second))
}

/// A mode's median throughput as a part of the untraced one.
pub(super) fn ratio(turns: &[Turn], mode: Mode) -> Option<f64> {
    Some(throughput(turns, mode)?.median / throughput(turns, Mode::Untraced)?.median)
}

/// The same within each round, whose turns are seconds apart: what the machine does from minute to minute is not in it.
fn paired(turns: &[Turn], mode: Mode) -> Option<Spread> {
    let of = |mode: Mode| turns.iter().filter(move |turn| turn.mode == mode && !turn.with_statistics);
    let rate = |turn: &Turn| turn.load.requests_per_second;
    let pairs = of(mode).filter_map(|turn| {
        let untraced = of(Mode::Untraced).find(|untraced| untraced.round == turn.round)?;
        Some(rate(turn) / rate(untraced))
    });
    Spread::of(pairs)
}

/// The modes that took turns, in their order.
fn modes(turns: &[Turn]) -> Vec<Mode> {
    let mut modes = Vec::new();
    for turn in turns.iter().filter(|turn| !turn.with_statistics) {
        if !modes.contains(&turn.mode) {
            modes.push(turn.mode);
        }
    }
    modes
}

/// Writes `summary.json`.
pub(super) fn write(path: &Path, turns: &[Turn], targets: &[Target]) -> Result<()> {
    let cost = Cost::of(turns, Mode::Traced).context("no turn was traced, so there is no cost to report")?;
    let mut summary = cost.to_json();
    let mut spread = Map::new();
    spread.insert("kernel_ns_per_exchange".to_owned(), cost.kernel.to_json());
    spread.insert("agent_ns_per_exchange".to_owned(), cost.agent.to_json());
    let (mut ratios, mut pairs) = (Map::new(), Map::new());
    for mode in modes(turns) {
        let found = throughput(turns, mode).with_context(|| format!("there was no turn {}", mode.name()))?;
        summary.insert(format!("{}_rps", mode.name()), json!(found.median));
        spread.insert(format!("{}_rps", mode.name()), found.to_json());
        if mode != Mode::Untraced {
            ratios.insert(mode.name().to_owned(), json!(ratio(turns, mode)));
            pairs.insert(mode.name().to_owned(), json!(paired(turns, mode).map(Spread::to_json)));
        }
    }
    summary.insert("spread".to_owned(), Value::Object(spread));
    summary.insert("ratios".to_owned(), Value::Object(ratios));
    summary.insert("ratios_within_rounds".to_owned(), Value::Object(pairs));
    let of_modes = |part: &dyn Fn(Mode) -> Value| -> Map<String, Value> {
        let traced = modes(turns).into_iter().filter(|mode| mode.traces());
        traced.map(|mode| (mode.name().to_owned(), part(mode))).collect()
    };
    let costs = of_modes(&|mode| Cost::of(turns, mode).map_or(Value::Null, |cost| cost.to_json().into()));
    summary.insert("cost".to_owned(), costs.into());
    summary.insert("agent_memory_bytes".to_owned(), of_modes(&|mode| memory(turns, mode)).into());
    summary.insert("lost_records".to_owned(), json!(lost(turns)));
    summary.insert("targets".to_owned(), targets.iter().map(Target::to_json).collect());
    summary.insert("rounds".to_owned(), turns.iter().map(turn_json).collect());
    write_json(path, &Value::Object(summary))
}

/// Records that were lost in all turns.
fn lost(turns: &[Turn]) -> f64 {
    turns.iter().filter_map(|turn| turn.agent.as_ref()).map(Reading::lost).sum()
}

/// The most memory that an agent took in turns of a mode, in bytes.
pub(super) fn peak(turns: &[Turn], mode: Mode) -> Option<u64> {
    highest(turns, mode, |reading| reading.memory.peak)
}

fn highest(turns: &[Turn], mode: Mode, part: fn(&Reading) -> u64) -> Option<u64> {
    let of_mode = turns.iter().filter(|turn| turn.mode == mode);
    of_mode.filter_map(|turn| turn.agent.as_ref()).map(part).max()
}

/// The highest values of all turns of a mode.
fn memory(turns: &[Turn], mode: Mode) -> Value {
    json!({
        "peak": peak(turns, mode),
        "resident": highest(turns, mode, |reading| reading.memory.resident),
        "anonymous": highest(turns, mode, |reading| reading.memory.anonymous),
        "file": highest(turns, mode, |reading| reading.memory.file),
        "shared": highest(turns, mode, |reading| reading.memory.shared),
    })
}

fn turn_json(turn: &Turn) -> Value {
    let agent = turn.agent.as_ref().map(|reading| {
        json!({
            "cpu_ns": reading.cpu_ns,
            "requests": reading.requests,
            "folded": reading.folded,
            "program_seconds": reading.programs.seconds,
            "program_runs": reading.programs.runs,
            "events": reading.events,
            "memory_peak_bytes": reading.memory.peak,
            "memory_anonymous_bytes": reading.memory.anonymous,
        })
    });
    json!({
        "round": turn.round,
        "mode": turn.mode.name(),
        "bpf_stats": turn.with_statistics,
        "requests": turn.load.requests,
        "rps": turn.load.requests_per_second,
        "agent": agent,
    })
}

/// One round in a line.
pub(super) fn round(turns: &[Turn], round: u32) -> String {
    let of_round = turns.iter().filter(|turn| turn.round == round && !turn.with_statistics);
    let texts = of_round.map(|turn| format!("{} {:.0}/s", turn.mode.name(), turn.load.requests_per_second));
    texts.collect::<Vec<_>>().join(", ")
}

/// Prints the table.
pub(super) fn print(turns: &[Turn]) {
    println!(
        "{:<12} {:>10} {:>21} {:>9} {:>27}",
        "mode", "median/s", "quartiles", "ratio", "within rounds (quartiles)"
    );
    for mode in modes(turns) {
        if let (Some(found), Some(ratio), Some(pairs)) =
            (throughput(turns, mode), ratio(turns, mode), paired(turns, mode))
        {
            let quartiles = format!("{:.0} to {:.0}", found.q1, found.q3);
            let [q1, median, q3] = [pairs.q1, pairs.median, pairs.q3].map(|part| 100.0 * part);
            let pairs = format!("{median:.1}% ({q1:.1} to {q3:.1})");
            let name = mode.name();
            println!("{name:<12} {:>10.0} {quartiles:>21} {:>8.1}% {pairs:>27}", found.median, 100.0 * ratio);
        }
    }
    for mode in modes(turns) {
        let Some((cost, peak)) = Cost::of(turns, mode).zip(peak(turns, mode)) else { continue };
        println!(
            "{:<12} cost per exchange: kernel {:.0} ns ({:.0} to {:.0}) + agent {:.0} ns ({:.0} to {:.0}) = {:.2} µs; \
             memory {:.1} MB",
            mode.name(),
            cost.kernel.median,
            cost.kernel.min,
            cost.kernel.max,
            cost.agent.median,
            cost.agent.min,
            cost.agent.max,
            cost.microseconds(),
            float(peak) / 1e6,
        );
    }
    println!("records that agents lost in all turns: {}", lost(turns));
}
