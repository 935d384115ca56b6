//! What tracing may cost, and whether it does.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::report::{Cost, peak, ratio};
use super::statistics::float;
use super::{Mode, Turn};

/// A number that must be below a limit, or not below it.
#[derive(Debug, PartialEq)]
pub(super) struct Target {
    /// As in the summary.
    name: &'static str,
    value: f64,
    limit: Limit,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

/// Those of a benchmark of nginx' pod under saturation.
pub(super) fn of(turns: &[Turn]) -> Result<Vec<Target>> {
    let mode = Mode::Traced;
    let cost = Cost::of(turns, mode).context("no turn was traced, so there is no cost to judge")?;
    let ratio = ratio(turns, mode).context("no turn was untraced, so there is nothing to compare with")?;
    let peak = peak(turns, mode).context("no turn says how much memory the agent took")?;
    Ok(vec![
        Target { name: "cost_us_per_exchange", value: cost.microseconds(), limit: Limit::AtMost(1.5) },
        Target { name: "throughput_ratio", value: ratio, limit: Limit::AtLeast(0.92) },
        Target { name: "agent_memory_bytes", value: float(peak), limit: Limit::AtMost(64e6) },
    ])
}

impl Target {
    pub(super) fn is_met(&self) -> bool {
        match self.limit {
            Limit::AtMost(most) => self.value <= most,
            Limit::AtLeast(least) => self.value >= least,
        }
    }

    pub(super) fn to_json(&self) -> Value {
        let (limit, number) = match self.limit {
            Limit::AtMost(most) => ("at_most", most),
            Limit::AtLeast(least) => ("at_least", least),
        };
        json!({ "name": self.name, "value": self.value, limit: number, "met": self.is_met() })
    }
}

/// A line for each.
pub(super) fn print(targets: &[Target]) {
    for target in targets {
        let (relation, number) = match target.limit {
            Limit::AtMost(most) => ("at most", most),
            Limit::AtLeast(least) => ("at least", least),
        };
        let verdict = if target.is_met() { "met" } else { "MISSED" };
        println!("target {}: {:.3}, {relation} {number}: {verdict}", target.name, target.value);
    }
}

#[cfg(test)]
mod tests {
    use super::{Limit, Target};

    #[test]
    fn a_target_is_met_at_its_limit() {
        let at = |value, limit| Target { name: "x", value, limit }.is_met();
        assert!(at(1.5, Limit::AtMost(1.5)) && at(0.92, Limit::AtLeast(0.92)));
        assert!(!at(1.51, Limit::AtMost(1.5)) && !at(0.919, Limit::AtLeast(0.92)));
        assert!(!at(f64::NAN, Limit::AtMost(1.5)) && !at(f64::NAN, Limit::AtLeast(0.92)));
    }
}
