//! What the nodes showed, as a table for people and as JSON for programs.

use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

use crate::vm::{Accelerator, Ended, Step};
use crate::workspace::write_json;

/// Steps that every node runs.
const STEPS: [&str; 3] = ["release", "node", "report"];

/// What the node of one driver showed.
pub(super) struct Outcome {
    driver: &'static str,
    release: String,
    seconds: f64,
    report: Value,
    problems: Vec<String>,
}

impl Outcome {
    /// Judges a VM that ran.
    pub(super) fn new(driver: &'static str, ended: Ended) -> Self {
        let step = |name: &str| ended.steps.iter().find(|step| step.name == name);
        let output = |name| step(name).map(|step: &Step| step.output.trim().to_owned()).unwrap_or_default();
        let report: Value = serde_json::from_str(&output("report")).unwrap_or_default();
        let told = report["problems"].as_array().into_iter().flatten();
        let mut problems: Vec<String> = told.filter_map(|said| said.as_str().map(str::to_owned)).collect();
        problems.extend(ended.error);
        let failed = STEPS.iter().filter(|name| !step(name).is_some_and(Step::is_ok));
        problems.extend(failed.map(|name| format!("{name} failed or did not run")));
        Self { driver, release: output("release"), seconds: ended.took.as_secs_f64(), report, problems }
    }

    /// Whether everything was as it must be.
    pub(super) fn is_ok(&self) -> bool {
        self.problems.is_empty()
    }

    /// The cgroup driver.
    pub(super) fn driver(&self) -> &'static str {
        self.driver
    }

    fn to_json(&self) -> Value {
        json!({
            "driver": self.driver,
            "release": self.release,
            "ok": self.is_ok(),
            "seconds": self.seconds,
            "report": self.report,
            "problems": self.problems,
        })
    }

    /// What the checks counted, in words.
    fn told(&self) -> String {
        let number = |path: &str| self.report.pointer(path).cloned().unwrap_or_default();
        let mebibytes = |path: &str| number(path).as_u64().unwrap_or_default() >> 20;
        format!(
            "{}; ready after {:.1} s; pods of {} classes named; {} of {} pods that came and went complete, {} requests; \
             memory {} → {} MiB, at most {}",
            number("/runtime").as_str().unwrap_or("no runtime"),
            number("/agent/ready_seconds").as_f64().unwrap_or_default(),
            number("/named").as_array().map_or(0, Vec::len),
            number("/churn/complete"),
            number("/churn/pods"),
            number("/churn/requests"),
            mebibytes("/churn/memory_early/current"),
            mebibytes("/churn/memory_end/current"),
            mebibytes("/churn/memory_end/peak"),
        )
    }
}

/// Writes `summary.json`.
pub(super) fn write(path: &Path, accelerator: Accelerator, outcomes: &[Outcome]) -> Result<()> {
    let nodes: Vec<Value> = outcomes.iter().map(Outcome::to_json).collect();
    let emulated = accelerator == Accelerator::Emulation;
    write_json(path, &json!({ "emulated": emulated, "nodes": nodes }))
}

/// Prints a line per node, and what is wrong with it.
pub(super) fn print(outcomes: &[Outcome]) {
    println!("{:<9} {:<32} {:>7}  {:<6} details", "driver", "release", "time", "result");
    for outcome in outcomes {
        let result = if outcome.is_ok() { "ok" } else { "FAILED" };
        let time = format!("{:.0} s", outcome.seconds);
        println!("{:<9} {:<32} {time:>7}  {result:<6} {}", outcome.driver, outcome.release, outcome.told());
        outcome.problems.iter().for_each(|problem| println!("    {problem}"));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn outcome(report: &str, code: i32) -> Outcome {
        let step = |name: &str, output: &str| Step {
            name: name.to_owned(),
            output: output.to_owned(),
            code: Some(if name == "node" { code } else { 0 }),
        };
        let steps = vec![step("release", "6.12\n"), step("node", ""), step("report", report)];
        Outcome::new("systemd", Ended { steps, took: Duration::ZERO, error: None })
    }

    #[test]
    fn what_a_node_says_is_wrong_is_wrong() {
        let wrong = outcome(r#"{"problems":["a name"]}"#, 1);
        assert_eq!(wrong.problems, ["a name", "node failed or did not run"]);
        assert!(outcome(r#"{"problems":[]}"#, 0).is_ok());
    }
}
