//! gRPC calls as the lab's programs log them, next to what the tracer reads of them in a capture.

use std::process::Command;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::python::SYSTEM;
use super::{Checks, Seen, Stage};

/// A call as its client or its server logged it, in unix nanoseconds.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Call {
    /// The full name, such as `/etcdserverpb.KV/Range`.
    pub method: String,
    /// It began.
    pub start: u64,
    /// It ended.
    pub end: u64,
    /// How it ended.
    #[serde(default)]
    pub code: String,
    /// How long the answer was.
    #[serde(default)]
    pub bytes: usize,
    /// How many callers there were.
    #[serde(default)]
    pub parallel: u32,
    /// For how long the service waited for its own limit.
    #[serde(default)]
    pub waited: u64,
    /// What was asked for, or who answered.
    #[serde(default)]
    pub what: String,
}

impl Call {
    /// How long it took, in seconds.
    pub(super) fn seconds(&self) -> f64 {
        seconds(self.end.saturating_sub(self.start))
    }

    pub(super) fn is_ok(&self) -> bool {
        self.code == "OK"
    }
}

/// A program in Python with gRPC, in a pod.
pub(super) fn script(stage: &Stage, pod: &str, script: &str, log: &str) -> Command {
    stage.script(pod, SYSTEM.as_ref(), script, log)
}

/// Calls of a method; what varies is added to the command.
pub(super) fn callers(stage: &Stage, pod: &str, log: &str, target: &str, method: &str) -> Command {
    let mut command = script(stage, pod, "callers.py", log);
    command.args(["--target", target, "--method", method]);
    command
}

/// Nanoseconds as seconds.
pub(super) fn seconds(nanoseconds: u64) -> f64 {
    Duration::from_nanos(nanoseconds).as_secs_f64()
}

/// The median of numbers; 0 of none.
pub(super) fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<_> = numbers.collect();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// The calls of a method that were answered well and that `tracer analyze --output lines` has, in seconds.
pub(super) fn read(seen: &Seen, method: &str) -> Vec<f64> {
    let field = |line: &Value, name: &str| line.get(name).cloned().unwrap_or_default();
    let of_method = seen.lines.iter().filter(|line| {
        field(line, "kind") == "http2" && field(line, "path") == method && field(line, "grpc_status") == 0
    });
    of_method.filter_map(|line| field(line, "time").as_u64()).map(seconds).collect()
}

/// Compares how many calls were logged as answered with how many are in the capture.
pub(super) fn count(checks: &mut Checks, seen: &Seen, method: &str, logged: &[Call]) {
    let what = format!("{method} in the log and in the capture");
    checks.same(&what, well_answered(logged, method).count(), read(seen, method).len());
}

/// Compares the calls that were logged as answered with those in the capture: how many, and how long. A call
/// that waits for a connection takes longer by the client's log: for such, see [`count`].
pub(super) fn compare(checks: &mut Checks, seen: &Seen, method: &str, logged: &[Call]) {
    count(checks, seen, method, logged);
    let by_log: Vec<_> = well_answered(logged, method).map(Call::seconds).collect();
    let by_capture: f64 = read(seen, method).iter().sum();
    #[expect(clippy::cast_precision_loss, reason = "a few hundred calls")]
    let allowed = 0.005 + 0.003 * by_log.len() as f64;
    let what = format!("seconds in {method} by the log and by the capture");
    checks.near(&what, by_log.iter().sum(), by_capture, allowed);
}

fn well_answered<'a>(logged: &'a [Call], method: &str) -> impl Iterator<Item = &'a Call> {
    logged.iter().filter(move |call| call.is_ok() && call.method == method)
}
