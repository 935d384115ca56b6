//! Counting what cargo's test harness reports, from its own output.

use std::fmt;
use std::io::{BufRead as _, BufReader};
use std::iter::Sum;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use crate::run;

/// Tests by result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) passed: u64,
    pub(super) failed: u64,
    pub(super) ignored: u64,
}

/// Tests failed: what they counted is still wanted.
#[derive(Debug)]
struct TestsFailed(Counts);

impl fmt::Display for TestsFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl std::error::Error for TestsFailed {}

/// Runs a `cargo test` command, shows its output as it comes and adds up its results.
pub(super) fn run_tests(command: &mut Command, what: &str) -> Result<Counts> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("{what}: starting {}", run::line(command)))?;
    let output = child.stdout.take().context("the test command has no output")?;
    let mut counts = Counts::default();
    for line in BufReader::new(output).split(b'\n') {
        let bytes = line.with_context(|| format!("{what}: reading the output of {}", run::line(command)))?;
        let line = String::from_utf8_lossy(&bytes);
        println!("{line}");
        counts = counts + result_line(&line).unwrap_or_default();
    }
    let status = child.wait().with_context(|| format!("{what}: waiting for {}", run::line(command)))?;
    if status.success() {
        return Ok(counts);
    }
    Err(anyhow::Error::new(TestsFailed(counts)).context(format!("{what} failed: {}", run::line(command))))
}

/// What a step counted, whether it succeeded or not.
pub(super) fn of(result: &Result<Counts>) -> Option<Counts> {
    match result {
        Ok(counts) => Some(*counts),
        Err(error) => error.downcast_ref::<TestsFailed>().map(|failed| failed.0),
    }
}

/// Reads `test result: ok. 4 passed; 0 failed; 1 ignored; …`.
fn result_line(line: &str) -> Option<Counts> {
    let results = line.strip_prefix("test result: ")?.split_once(". ")?.1;
    let number = |word: &str| -> Option<u64> {
        results.split("; ").find_map(|part| part.strip_suffix(word)?.trim().parse().ok())
    };
    Some(Counts { passed: number("passed")?, failed: number("failed")?, ignored: number("ignored")? })
}

impl std::ops::Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            ignored: self.ignored + other.ignored,
        }
    }
}

impl Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |sum, counts| sum + counts)
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::default() {
            return f.write_str("ok");
        }
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_line_is_counted() {
        let line = "test result: FAILED. 4 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s";
        assert_eq!(result_line(line), Some(Counts { passed: 4, failed: 2, ignored: 1 }));
        assert_eq!(result_line("test tests::result ... ok"), None);
    }

    #[test]
    fn failed_tests_are_counted_and_are_an_error() {
        let script = "echo 'test result: FAILED. 1 passed; 2 failed; 0 ignored; x'; exit 101";
        let result = run_tests(Command::new("sh").args(["-c", script]), "testing");
        assert!(result.is_err());
        assert_eq!(of(&result), Some(Counts { passed: 1, failed: 2, ignored: 0 }));
    }
}
