//! The result of each lab, and all of them as a table.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde::Serialize;

/// What one lab was to show, and what it showed.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Row {
    /// The story.
    pub(super) lab: String,
    /// How it was played.
    pub(super) twin: String,
    /// The findings that there must be, sorted.
    pub(super) expected: Vec<String>,
    /// The findings of `tracer live`; none at all, not even an empty list, when the lab did not run.
    pub(super) found_live: Option<Vec<String>>,
    /// The findings of `tracer analyze` on a simultaneous tcpdump.
    pub(super) found_offline: Option<Vec<String>>,
    /// What did not agree with the components' logs, or why the lab did not run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) wrong: Vec<String>,
}

impl Row {
    /// Whether everything was as expected.
    #[must_use]
    pub(super) fn as_expected(&self) -> bool {
        let is_expected = |found: &Option<Vec<String>>| found.as_ref() == Some(&self.expected);
        self.wrong.is_empty() && is_expected(&self.found_live) && is_expected(&self.found_offline)
    }

    /// The cell of a finding: who found it, and whether it should have been.
    fn cell(&self, id: &str) -> &'static str {
        let has = |found: &Option<Vec<String>>| found.iter().flatten().any(|found| found == id);
        let expected = self.expected.iter().any(|expected| expected == id);
        match (expected, has(&self.found_live), has(&self.found_offline)) {
            (true, true, true) => "both",
            (true, true, false) => "live, NOT offline",
            (true, false, true) => "offline, NOT live",
            (true, false, false) => "MISSING",
            (false, true, true) => "both, WRONG",
            (false, true, false) => "live, WRONG",
            (false, false, true) => "offline, WRONG",
            (false, false, false) => "·",
        }
    }
}

/// The matrix of labs and findings, followed by what is wrong.
#[must_use]
pub(super) fn table(rows: &[Row]) -> String {
    let ids: BTreeSet<&String> = rows.iter().flat_map(|row| row.expected.iter().chain(found(row))).collect();
    let mut grid = vec![["lab", "twin"].into_iter().map(str::to_owned).collect::<Vec<_>>()];
    grid[0].extend(ids.iter().map(|id| (*id).clone()));
    grid[0].push("as expected".to_owned());
    for row in rows {
        let mut line = vec![row.lab.clone(), row.twin.clone()];
        line.extend(ids.iter().map(|id| row.cell(id).to_owned()));
        let verdict = match &row.found_live {
            None => "NOT RUN",
            Some(_) if row.as_expected() => "yes",
            Some(_) => "NO",
        };
        line.push(verdict.to_owned());
        grid.push(line);
    }
    let mut text = aligned(&grid);
    for row in rows {
        for wrong in &row.wrong {
            let _infallible = writeln!(text, "{} {}: {}", row.lab, row.twin, wrong.trim_end());
        }
    }
    text
}

fn found(row: &Row) -> impl Iterator<Item = &String> {
    row.found_live.iter().chain(&row.found_offline).flatten()
}

/// Each column as wide as its widest cell.
fn aligned(grid: &[Vec<String>]) -> String {
    let columns = grid.first().map_or(0, Vec::len);
    let width = |column: usize| grid.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..columns).map(width).collect();
    grid.iter().fold(String::new(), |mut text, line| {
        let cells = line.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}"));
        let _infallible = writeln!(text, "{}", cells.collect::<Vec<_>>().join("  ").trim_end());
        text
    })
}

#[cfg(test)]
mod tests {
    use super::{Row, table};

    fn row(expected: &[&str], live: Option<&[&str]>, offline: Option<&[&str]>) -> Row {
        let owned = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        Row {
            lab: "a".to_owned(),
            twin: "sick".to_owned(),
            expected: owned(expected),
            found_live: live.map(owned),
            found_offline: offline.map(owned),
            wrong: Vec::new(),
        }
    }

    #[test]
    fn only_what_is_found_by_both_and_nothing_else_is_as_expected() {
        assert!(row(&["x"], Some(&["x"]), Some(&["x"])).as_expected());
        assert!(row(&[], Some(&[]), Some(&[])).as_expected());
        assert!(!row(&["x"], Some(&["x"]), Some(&[])).as_expected());
        assert!(!row(&[], Some(&["y"]), Some(&[])).as_expected());
        assert!(!row(&[], None, None).as_expected());
        let wrong = Row { wrong: vec!["3 and 4".to_owned()], ..row(&[], Some(&[]), Some(&[])) };
        assert!(!wrong.as_expected());
    }

    #[test]
    fn the_table_has_a_column_for_each_finding() {
        let rows = [row(&["x"], Some(&["x"]), Some(&["x"])), row(&[], Some(&["y"]), Some(&[]))];
        let lines: Vec<_> = table(&rows).lines().map(str::to_owned).collect();
        assert_eq!(lines[0], "lab  twin  x     y            as expected");
        assert_eq!(lines[1], "a    sick  both  ·            yes");
        assert_eq!(lines[2], "a    sick  ·     live, WRONG  NO");
    }
}
