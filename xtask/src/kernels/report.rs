//! What the VMs showed, as a table for people and as JSON for programs.

use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

use crate::vm::{Ended, Step};
use crate::workspace::write_json;

/// Steps that every VM runs, and those that need tracer.
const ALWAYS: [&str; 4] = ["release", "modules", "network", "programs"];
const TRACED: [&str; 3] = ["doctor", "demo", "summary"];

/// What one kernel showed.
pub(super) struct Outcome {
    pub(super) kernel: &'static str,
    release: String,
    seconds: f64,
    steps: Vec<Step>,
    /// The demo's summary, when it wrote one.
    summary: Option<Value>,
    /// What is wrong, in words; empty when all is well.
    problems: Vec<String>,
}

impl Outcome {
    /// Judges a VM that ran.
    pub(super) fn new(kernel: &'static str, ended: Ended, boot_only: bool) -> Self {
        let step = |name: &str| ended.steps.iter().find(|step| step.name == name);
        let wanted = ALWAYS.iter().chain(if boot_only { [].iter() } else { TRACED.iter() });
        let mut problems: Vec<String> = ended.error.into_iter().collect();
        problems.extend(wanted.filter_map(|name| match step(name) {
            Some(step) if step.is_ok() => None,
            Some(step) => Some(
                step.code.map_or(format!("{name} did not end"), |code| format!("{name} failed ({code})")),
            ),
            None => Some(format!("{name} did not run")),
        }));
        let release = step("release").map(|step| step.output.trim().to_owned()).unwrap_or_default();
        let summary = step("summary").and_then(|step| serde_json::from_str(step.output.trim()).ok());
        let seconds = ended.took.as_secs_f64();
        Self { kernel, release, seconds, summary, problems, steps: ended.steps }
    }

    /// A kernel that could not even be booted.
    pub(super) fn broken(kernel: &'static str, error: &anyhow::Error) -> Self {
        let problems = vec![format!("{error:#}")];
        Self { kernel, release: String::new(), seconds: 0.0, steps: Vec::new(), summary: None, problems }
    }

    /// Whether everything wanted ended well.
    pub(super) fn is_ok(&self) -> bool {
        self.problems.is_empty()
    }

    /// The pod that waits longest for the metadata service: its requests, that share, and its findings.
    fn traced(&self) -> Option<String> {
        let pods = self.summary.as_ref()?.get("pods")?.as_array()?;
        let number = |pod: &Value, path: &str| pod.pointer(path).and_then(Value::as_f64).unwrap_or_default();
        let waits = |pod: &Value| number(pod, "/stages/metadata");
        let pod = pods.iter().max_by(|a, b| waits(a).total_cmp(&waits(b)))?;
        let share = 100.0 * waits(pod) / number(pod, "/total_seconds").max(f64::MIN_POSITIVE);
        let findings = pod.get("findings").and_then(Value::as_array).into_iter().flatten();
        let findings: Vec<&str> = findings.filter_map(|finding| finding.get("id")?.as_str()).collect();
        let requests = number(pod, "/requests");
        Some(format!("{requests} requests, {share:.0} % metadata, findings: {}", findings.join(" ")))
    }

    fn to_json(&self) -> Value {
        let steps = self.steps.iter().map(|step| (step.name.clone(), json!(step.code))).collect();
        json!({
            "kernel": self.kernel,
            "release": self.release,
            "ok": self.is_ok(),
            "seconds": self.seconds,
            "steps": Value::Object(steps),
            "problems": self.problems,
            "demo": self.summary,
        })
    }
}

/// Writes `summary.json`.
pub(super) fn write(path: &Path, outcomes: &[Outcome]) -> Result<()> {
    let kernels: Vec<Value> = outcomes.iter().map(Outcome::to_json).collect();
    write_json(path, &json!({ "kernels": kernels }))
}

/// Prints one line per kernel.
pub(super) fn print(outcomes: &[Outcome]) {
    println!("{:<8} {:<32} {:>7}  {:<6} details", "kernel", "release", "time", "result");
    for outcome in outcomes {
        let result = if outcome.is_ok() { "ok" } else { "FAILED" };
        let mut details = outcome.problems.clone();
        details.extend(outcome.traced());
        let time = format!("{:.0} s", outcome.seconds);
        println!(
            "{:<8} {:<32} {time:>7}  {result:<6} {}",
            outcome.kernel,
            outcome.release,
            details.join("; ")
        );
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn step(name: &str, output: &str, code: Option<i32>) -> Step {
        Step { name: name.to_owned(), output: output.to_owned(), code }
    }

    #[test]
    fn a_step_that_fails_or_is_missing_is_a_problem() {
        let steps = vec![step("release", "6.1\n", Some(0)), step("modules", "", Some(1))];
        let outcome = Outcome::new("6.1", Ended { steps, took: Duration::ZERO, error: None }, true);
        assert_eq!(outcome.problems, ["modules failed (1)", "network did not run", "programs did not run"]);
    }

    #[test]
    fn the_summary_of_the_demo_is_told() {
        let summary = r#"{"pods":[{"requests":9,"total_seconds":1.0},{"requests":30,"total_seconds":2.0,"stages":{"metadata":1.5},"findings":[{"id":"dns-search"}]}]}"#;
        let steps = vec![step("summary", summary, Some(0))];
        let outcome = Outcome::new("6.1", Ended { steps, took: Duration::ZERO, error: None }, false);
        assert_eq!(outcome.traced().unwrap(), "30 requests, 75 % metadata, findings: dns-search");
    }
}
