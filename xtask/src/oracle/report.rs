//! What the comparison found, as a table for people and as JSON for programs.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value as Json, json};

use super::compare::{Counts, Difference};
use super::values::{Kind, Value};
use super::{Examined, Outcome};
use crate::workspace::write_json;

/// The counts of one kind, or of all, over all captures.
fn total(examined: &[Examined], kind: Option<Kind>) -> Counts {
    let kinds = examined.iter().filter_map(Examined::comparison).flat_map(|comparison| &comparison.counts);
    let wanted = kinds.filter(|(found, _)| kind.is_none_or(|kind| kind == **found));
    wanted.fold(Counts::default(), |mut sum, (_, counts)| {
        sum += *counts;
        sum
    })
}

/// The counts of all kinds.
pub(super) fn overall(examined: &[Examined]) -> Counts {
    total(examined, None)
}

/// How many captures tracer did not survive.
pub(super) fn crashed(examined: &[Examined]) -> usize {
    examined.iter().filter(|one| matches!(one.outcome, Outcome::Crashed(..))).count()
}

/// How many captures have no second opinion, because tshark did not survive them.
pub(super) fn unread(examined: &[Examined]) -> usize {
    examined.iter().filter(|one| matches!(one.outcome, Outcome::Unread(_))).count()
}

/// Writes `summary.json` and `differences.jsonl`.
pub(super) fn write(folder: &Path, examined: &[Examined]) -> Result<()> {
    write_json(&folder.join("summary.json"), &summary(examined))?;
    let path = folder.join("differences.jsonl");
    let file = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
    let mut writer = BufWriter::new(file);
    for (one, difference) in differences(examined) {
        writeln!(writer, "{}", difference_json(&one.capture, difference))
            .with_context(|| format!("writing {}", path.display()))?;
    }
    writer.flush().with_context(|| format!("writing {}", path.display()))
}

fn summary(examined: &[Examined]) -> Json {
    let mut summary = Map::new();
    summary.insert("files".to_owned(), json!(examined.len()));
    summary.insert("crashed".to_owned(), json!(crashed(examined)));
    summary.insert("unread_by_tshark".to_owned(), json!(unread(examined)));
    let found = |(one, found): (&Examined, &Json)| json!({ "file": one.capture.display().to_string(), "finding": found });
    summary.insert("findings".to_owned(), findings(examined).map(found).collect());
    summary.append(&mut counts_json(overall(examined)));
    let kinds = Kind::ALL
        .map(|kind| (kind.name().to_owned(), Json::Object(counts_json(total(examined, Some(kind))))));
    summary.insert("kinds".to_owned(), Json::Object(kinds.into_iter().collect()));
    Json::Object(summary)
}

fn counts_json(counts: Counts) -> Map<String, Json> {
    let numbers = [
        ("compared", counts.compared()),
        ("equal", counts.equal),
        ("differing", counts.differing),
        ("only_tshark", counts.only_tshark),
        ("only_tracer", counts.only_tracer),
    ];
    numbers.into_iter().map(|(name, number)| (name.to_owned(), json!(number))).collect()
}

fn findings(examined: &[Examined]) -> impl Iterator<Item = (&Examined, &Json)> {
    examined.iter().flat_map(|one| one.findings.iter().map(move |found| (one, found)))
}

fn differences(examined: &[Examined]) -> impl Iterator<Item = (&Examined, &Difference)> {
    let of_one = |one| Examined::comparison(one).map(|comparison| (one, &comparison.differences));
    examined.iter().filter_map(of_one).flat_map(|(one, found)| found.iter().map(move |found| (one, found)))
}

fn difference_json(capture: &Path, difference: &Difference) -> Json {
    json!({
        "kind": difference.kind.name(),
        "file": capture.display().to_string(),
        "key": difference.key.to_string(),
        "tshark": difference.tshark.as_ref().map(Value::to_json),
        "tracer": difference.tracer.as_ref().map(Value::to_json),
    })
}

/// Prints what went wrong with whole captures, at most `limit` differences of each kind, and the table.
pub(super) fn print(examined: &[Examined], limit: usize) {
    for kind in Kind::ALL {
        let of_kind = || differences(examined).filter(move |(_, difference)| difference.kind == kind);
        for (one, difference) in of_kind().take(limit) {
            println!("{}", difference_line(&one.capture, difference));
        }
        let count = of_kind().count();
        if count > limit && limit > 0 {
            println!("{} … and {} more", kind.name(), count - limit);
        }
    }
    for one in examined {
        match &one.outcome {
            Outcome::Compared(_) => {}
            Outcome::Crashed(_, why) => println!("tracer on {}: {why}", one.capture.display()),
            Outcome::Unread(why) => println!("not compared: {}: {why}", one.capture.display()),
        }
    }
    println!("\n{}", header());
    for kind in Kind::ALL {
        println!("{}", row(kind.name(), total(examined, Some(kind))));
    }
    println!("{}", row("all", overall(examined)));
    let (crashed, unread) = (crashed(examined), unread(examined));
    for (one, found) in findings(examined) {
        println!("finding {} in {}: {}", found["id"], one.capture.display(), found["explanation"]);
    }
    println!("findings: {}", findings(examined).count());
    println!("{} captures; tracer crashed on {crashed}, tshark on {unread}", examined.len());
}

fn difference_line(capture: &Path, difference: &Difference) -> String {
    let side =
        |value: &Option<Value>| value.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string);
    format!(
        "{} {}: {}: tshark {}, tracer {}",
        difference.kind.name(),
        capture.display(),
        difference.key,
        side(&difference.tshark),
        side(&difference.tracer)
    )
}

fn header() -> String {
    format!(
        "{:<16} {:>9} {:>9} {:>9} {:>12} {:>12} {:>9}",
        "kind", "compared", "equal", "differing", "only tshark", "only tracer", "equal"
    )
}

/// The percentage is of what tshark has.
fn row(name: &str, counts: Counts) -> String {
    let agreement = counts.agreement().map_or_else(|| "-".to_owned(), percent);
    format!(
        "{name:<16} {:>9} {:>9} {:>9} {:>12} {:>12} {agreement:>9}",
        counts.compared(),
        counts.equal,
        counts.differing,
        counts.only_tshark,
        counts.only_tracer
    )
}

/// Thousandths of a percent for people.
pub(super) fn percent(thousandths: u64) -> String {
    format!("{}.{:03}%", thousandths / 1000, thousandths % 1000)
}

#[cfg(test)]
mod tests {
    use super::super::compare::compare;
    use super::super::values::{Key, Observed};
    use super::*;

    fn seen(frames: &[u64]) -> Observed {
        let mut observed = Observed::default();
        for frame in frames {
            observed.mark(Kind::Reset, *frame);
        }
        observed
    }

    fn examined() -> Vec<Examined> {
        let one = |outcome| Examined { capture: "a.pcap".into(), outcome, findings: Vec::new() };
        vec![
            one(Outcome::Compared(compare(&seen(&[1, 2]), &seen(&[2])))),
            one(Outcome::Crashed(compare(&seen(&[5]), &seen(&[])), "panic".to_owned())),
            one(Outcome::Unread("killed".to_owned())),
        ]
    }

    #[test]
    fn a_summary_counts_what_a_crash_lost() {
        let summary = summary(&examined());
        assert_eq!((&summary["files"], &summary["crashed"]), (&json!(3), &json!(1)));
        assert_eq!((&summary["compared"], &summary["equal"]), (&json!(3), &json!(1)));
        assert_eq!(summary["kinds"]["reset"]["only_tshark"], 2);
        assert_eq!(summary["kinds"]["dns_time"]["compared"], 0);
    }

    #[test]
    fn a_difference_has_a_place_and_both_values() {
        let difference =
            Difference { kind: Kind::Reset, key: Key::Frame(1), tshark: Some(Value::Seen), tracer: None };
        let line = difference_line(Path::new("a.pcap"), &difference);
        assert_eq!(line, "reset a.pcap: frame 1: tshark yes, tracer nothing");
        let expected =
            json!({ "kind": "reset", "file": "a.pcap", "key": "frame 1", "tshark": true, "tracer": null });
        assert_eq!(difference_json(Path::new("a.pcap"), &difference), expected);
    }

    #[test]
    fn the_table_has_aligned_columns() {
        let all = row("all", overall(&examined()));
        assert_eq!(all.len(), header().len());
        assert!(all.ends_with("33.333%"), "{all}");
        assert!(row("all", Counts::default()).ends_with(" -"));
    }
}
