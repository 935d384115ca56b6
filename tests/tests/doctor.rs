//! `tracer doctor`: what it says of a node that has all, and of one that has not.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use tracer_lab::tracer::hindered::Without;
use tracer_lab::{Lab, say};

/// What it looks at, in its order.
const CHECKS: [&str; 7] =
    ["kernel", "bpf jit", "cgroup2", "cgroups to trace", "bpf programs", "run-time statistics", "pod names"];

/// The output with `--output json`, as docs/troubleshooting.md has it.
#[derive(Deserialize)]
struct Report {
    checks: Vec<Check>,
}

#[derive(Debug, Deserialize)]
struct Check {
    #[serde(rename = "check")]
    name: String,
    verdict: Verdict,
    detail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Reduced,
    Missing,
}

impl Verdict {
    /// As the table has it.
    fn shown(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Reduced => "reduced",
            Self::Missing => "MISSING",
        }
    }
}

/// Runs it on a lab both ways: the exit code, and the checks, which the table has too.
fn doctor(without: Without) -> Result<(i32, Vec<Check>)> {
    let lab = Lab::new()?;
    let cgroup = lab.cgroup().to_string_lossy();
    let run = |form| {
        without.command(&lab, &["doctor", "--cgroup", &cgroup, "--output", form])?.output().context(form)
    };
    let [json, table] = [run("json")?, run("table")?];
    let report: Report = serde_json::from_slice(&json.stdout)
        .with_context(|| format!("{}: {}", json.status, String::from_utf8_lossy(&json.stderr)))?;
    let table_said = String::from_utf8(table.stdout)?;
    for (check, line) in report.checks.iter().zip(table_said.lines()) {
        let (verdict, rest) = line.split_once(' ').unwrap_or_default();
        ensure!(verdict == check.verdict.shown() && rest.trim_start().starts_with(&check.name), "{line}");
    }
    ensure!(table_said.lines().count() == report.checks.len(), "{table_said}");
    ensure!(json.status.code() == table.status.code(), "{} and {}", json.status, table.status);
    say(&format!("without {without:?}:\n{table_said}"));
    let names: Vec<_> = report.checks.iter().map(|check| check.name.as_str()).collect();
    ensure!(names == CHECKS, "{names:?}");
    Ok((json.status.code().context("an exit code")?, report.checks))
}

/// Those without which there is no tracing.
fn missing(checks: &[Check]) -> Vec<&str> {
    let missing = checks.iter().filter(|check| check.verdict == Verdict::Missing);
    missing.map(|check| check.name.as_str()).collect()
}

/// What a check says must have all the words.
fn says(checks: &[Check], name: &str, words: &[&str]) -> Result<()> {
    let check = checks.iter().find(|check| check.name == name).context(name.to_owned())?;
    for word in words {
        ensure!(check.detail.contains(word), "no {word} in {check:?}");
    }
    Ok(())
}

#[test]
fn where_all_is_there_nothing_is_missing() -> Result<()> {
    let (code, checks) = doctor(Without::Nothing)?;
    ensure!(code == 0 && missing(&checks).is_empty(), "exit code {code}: {checks:?}");
    says(&checks, "bpf programs", &["load and attach"])
}

#[test]
fn without_root_the_programs_are_missing() -> Result<()> {
    let (code, checks) = doctor(Without::Root)?;
    ensure!(code == 1 && missing(&checks) == ["bpf programs"], "exit code {code}: {checks:?}");
    says(&checks, "bpf programs", &["root", "CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON"])
}

#[test]
fn without_cgroup2_that_is_missing() -> Result<()> {
    let (code, checks) = doctor(Without::Cgroup2)?;
    ensure!(code == 1 && missing(&checks).contains(&"cgroup2"), "exit code {code}: {checks:?}");
    says(&checks, "cgroup2", &["not mounted", "unified_cgroup_hierarchy=1"])
}

#[test]
fn a_folder_that_is_no_cgroup_is_named() -> Result<()> {
    let lab = Lab::new()?;
    let folder = lab.dir().to_string_lossy();
    let output =
        Without::Nothing.command(&lab, &["doctor", "--cgroup", &folder])?.output().context("doctor")?;
    let said = String::from_utf8(output.stdout)?;
    let line = said.lines().find(|line| line.contains("cgroups to trace")).context("no such check")?;
    ensure!(line.starts_with("MISSING") && line.contains(&*folder), "{line}");
    ensure!(output.status.code() == Some(1), "{}", output.status);
    Ok(())
}
