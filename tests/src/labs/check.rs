//! What was compared in a lab, and what did not agree.

use std::fmt::Display;

use super::Seen;

/// Statements about a lab, each with its numbers and whether it holds.
#[derive(Default)]
pub struct Checks {
    statements: Vec<(bool, String)>,
}

impl Checks {
    /// Adds a statement.
    pub fn holds(&mut self, holds: bool, statement: impl Display) {
        self.statements.push((holds, statement.to_string()));
    }

    /// Adds the statement that two counts are the same.
    pub fn same(&mut self, what: &str, one: usize, other: usize) {
        self.holds(one == other, format_args!("{what}: {one} and {other}"));
    }

    /// Adds the statement that two numbers are `allowed` apart at most.
    pub fn near(&mut self, what: &str, one: f64, other: f64, allowed: f64) {
        let apart = (one - other).abs();
        self.holds(
            apart <= allowed,
            format_args!("{what}: {one:.3} and {other:.3}, may be {allowed:.3} apart"),
        );
    }

    /// Compares a number in a finding's evidence with what a component logged, live and offline. Where the
    /// finding is missing nothing is compared: that it is missing is said elsewhere.
    pub fn evidence(&mut self, seen: &Seen, id: &str, key: &str, logged: f64, allowed: f64) {
        for (place, summary) in [("live", &seen.live), ("offline", &seen.offline)] {
            for finding in summary.pods.iter().flat_map(|pod| &pod.findings).filter(|found| found.id == id) {
                let what = format!("{id} {place}: {key} in the evidence and in the log");
                match finding.number(key) {
                    Ok(number) => self.near(&what, number, logged, allowed),
                    Err(_) => self.holds(false, format_args!("{what}: it is missing")),
                }
            }
        }
    }

    /// Every statement, for people.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.statements.iter().map(|(holds, text)| format!("{} {text}", if *holds { "ok " } else { "NOT" }))
    }

    /// The statements that do not hold.
    #[must_use]
    pub fn wrong(&self) -> Vec<String> {
        self.statements.iter().filter(|(holds, _)| !holds).map(|(_, text)| text.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Checks;

    #[test]
    fn what_does_not_hold_is_wrong() {
        let mut checks = Checks::default();
        checks.same("requests", 3, 3);
        checks.near("seconds", 1.0, 1.2, 0.1);
        assert_eq!(checks.wrong(), ["seconds: 1.000 and 1.200, may be 0.100 apart"]);
        assert_eq!(checks.lines().next().as_deref(), Some("ok  requests: 3 and 3"));
    }
}
