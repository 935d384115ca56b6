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
        let summary = step("summary").and_then(parsed);
        if !boot_only {
            problems.extend(thread_problem(kernel, step("doctor"), summary.as_ref()));
        }
        let release = step("release").map(|step| step.output.trim().to_owned()).unwrap_or_default();
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
        let pod = slowest(self.summary.as_ref()?)?;
        let number = |path: &str| pod.pointer(path).and_then(Value::as_f64).unwrap_or_default();
        let share = 100.0 * number("/stages/metadata") / number("/total_seconds").max(f64::MIN_POSITIVE);
        let findings = pod.get("findings").and_then(Value::as_array).into_iter().flatten();
        let findings: Vec<&str> = findings.filter_map(|finding| finding.get("id")?.as_str()).collect();
        let requests = number("/requests");
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

/// What is wrong with the threads of calls: each of the backend's must be tied by its thread, which `doctor` says how to get.
fn thread_problem(kernel: &str, doctor: Option<&Step>, summary: Option<&Value>) -> Option<String> {
    // Measured: these programs may ask for the thread in Linux 6.12, and not in 6.1.
    let source = if matches!(kernel, "5.10" | "6.1") { "from task_struct" } else { "by helper" };
    if !doctor.is_some_and(|doctor| doctor.output.contains(source)) {
        return Some(format!("doctor does not say that threads come {source}"));
    }
    let Some(summary) = summary else { return Some("the demo's summary cannot be read".to_owned()) };
    let Some(backend) = slowest(summary) else { return Some("the demo's summary has no pods".to_owned()) };
    let count = |how: &str| backend["attribution"][how].as_u64().unwrap_or_default();
    let others: u64 = ["exclusive", "shared", "none"].map(count).iter().sum();
    (count("thread") == 0 || others > 0)
        .then(|| format!("calls are not tied by their threads: {}", backend["attribution"]))
}

/// The summary that a step printed.
fn parsed(step: &Step) -> Option<Value> {
    serde_json::from_str(step.output.trim()).ok()
}

/// The pod that waits longest for the metadata service.
fn slowest(summary: &Value) -> Option<&Value> {
    let waits = |pod: &Value| pod.pointer("/stages/metadata").and_then(Value::as_f64).unwrap_or_default();
    summary.get("pods")?.as_array()?.iter().max_by(|a, b| waits(a).total_cmp(&waits(b)))
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
    fn threads_that_are_not_known_are_a_problem() {
        let doctor = step("doctor", "threads  ok  by helper\n", Some(0));
        let told = |attribution: &str| {
            let summary =
                format!(r#"{{"pods":[{{"stages":{{"metadata":1.5}},"attribution":{attribution}}}]}}"#);
            thread_problem("newest", Some(&doctor), parsed(&step("summary", &summary, Some(0))).as_ref())
        };
        assert_eq!(told(r#"{"thread":90,"exclusive":0,"shared":0,"none":0}"#), None);
        assert!(told(r#"{"thread":0,"exclusive":90,"shared":0,"none":0}"#).is_some());
        assert!(thread_problem("6.1", Some(&doctor), None).is_some(), "it has no helper");
        for summary in ["{", "{}", r#"{"pods":[]}"#] {
            let summary = step("summary", summary, Some(0));
            assert!(thread_problem("newest", Some(&doctor), parsed(&summary).as_ref()).is_some());
        }
    }

    #[test]
    fn the_summary_of_the_demo_is_told() {
        let summary = r#"{"pods":[{"requests":9,"total_seconds":1.0},{"requests":30,"total_seconds":2.0,"stages":{"metadata":1.5},"findings":[{"id":"dns-search"}]}]}"#;
        let steps = vec![step("summary", summary, Some(0))];
        let outcome = Outcome::new("6.1", Ended { steps, took: Duration::ZERO, error: None }, false);
        assert_eq!(outcome.traced().unwrap(), "30 requests, 75 % metadata, findings: dns-search");
    }
}
