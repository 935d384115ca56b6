//! The breakdown per pod as text.

use std::{collections::BTreeMap, fmt::Write as _};

use super::text;
use crate::clock::WallClock;
use crate::{
    finding::{Finding, Kind},
    request::{
        Attribution, CallKind, Stages,
        totals::{ABANDONED, Accounting, PodSummary, SUMS_REFUSED, Summary, Totals, UNCAPTURED},
    },
};

/// Columns of a line.
const WIDTH: usize = 100;
/// Where the texts of a finding begin.
const FINDING_COLUMN: usize = 14;
/// Thousandths of the total that one column of a bar stands for.
const PER_COLUMN: u64 = 20;

/// Per pod: requests, mean and share of each stage, calls and findings; then what tracer itself lost.
#[must_use]
pub fn breakdown(summary: &Summary, clock: WallClock) -> String {
    let mut table = String::new();
    if summary.pods.is_empty() {
        table += "no request and no call was seen\n\n";
    }
    for pod in &summary.pods {
        write_pod(&mut table, pod, clock);
    }
    write_accounting(&mut table, &summary.accounting);
    table
}

fn write_pod(table: &mut String, summary: &PodSummary, clock: WallClock) {
    let totals = &summary.totals;
    let pod = summary.pod.to_string();
    let pod = text::printable(&pod);
    if totals.requests == 0 {
        let _ = writeln!(table, "pod {pod}: no requests\n");
    } else {
        let mean = text::round(totals.stages.total(), totals.requests);
        let requests = text::count(totals.requests, "request", "requests");
        let _ = writeln!(table, "pod {pod}: {requests}, mean {} ms\n", text::milliseconds(mean));
        write_stages(table, totals);
    }
    let _ = writeln!(table, "  calls       {}", calls(totals));
    let attributed = Attribution::ALL.iter().zip(totals.attribution);
    let attributed: Vec<_> = attributed.map(|(name, count)| format!("{} {count}", name.name())).collect();
    let _ = writeln!(table, "  attributed  {}", attributed.join(", "));
    if totals.folded > 0 {
        let requests = text::count(totals.folded, "request", "requests");
        let _ = writeln!(table, "  folded      {requests} that were quick while the pod called nobody");
    }
    table.push('\n');
    for finding in &summary.findings {
        *table += &self::finding(finding, clock, WIDTH);
        table.push('\n');
    }
}

/// Means and shares are rounded so that they add up to what the last line says.
fn write_stages(table: &mut String, totals: &Totals) {
    let stages = totals.stages.values();
    let mean = text::round(text::round(totals.stages.total(), totals.requests), text::TICK);
    let means = text::apportion(stages, mean);
    let shares = text::apportion(stages, if totals.stages.total() == 0 { 0 } else { 1_000 });
    let _ = writeln!(table, "  stage      mean ms    share");
    for ((name, mean), share) in Stages::NAMES.iter().zip(means).zip(shares) {
        let bar: String = (0..text::round(share, PER_COLUMN)).map(|_| '█').collect();
        let row = format!("  {name:<8} {:>9}  {:>5} %  {bar}", text::ticks(mean), tenths(share));
        let _ = writeln!(table, "{}", row.trim_end());
    }
    let whole = tenths(shares.iter().sum());
    let _ = writeln!(table, "  {:<8} {:>9}  {whole:>5} %\n", "total", text::ticks(mean));
}

pub(crate) fn tenths(thousandths: u64) -> String {
    format!("{}.{}", thousandths / 10, thousandths % 10)
}

fn calls(totals: &Totals) -> String {
    let made = CallKind::ALL.iter().zip(totals.calls).filter(|(_, total)| total.count > 0);
    let texts: Vec<_> = made
        .map(|(kind, total)| {
            let mean = text::milliseconds(text::round(total.nanoseconds, total.count));
            format!("{} {} (mean {mean} ms)", kind.name(), total.count)
        })
        .collect();
    if texts.is_empty() { "none".to_owned() } else { texts.join(", ") }
}

/// All that a finding says, in lines of about `width` columns.
pub(crate) fn finding(finding: &Finding, clock: WallClock, width: usize) -> String {
    let mut table = String::new();
    let width = width.saturating_sub(FINDING_COLUMN);
    let (id, severity) = (finding.id, finding.severity.name());
    let _ = writeln!(table, "  finding {id} ({severity}) of {}", text::subject(finding));
    write_block(&mut table, "since", &text::time(finding.since, clock), width);
    write_block(&mut table, "because", &finding.explanation, width);
    for (index, (name, value)) in finding.evidence.values().iter().enumerate() {
        let label = if index == 0 { "evidence" } else { "" };
        // The unit stands with the value.
        let name = name.trim_end_matches("_seconds").replace('_', " ");
        write_block(&mut table, label, &format!("{name}: {}", text::value(value)), width);
    }
    write_block(&mut table, "remedy", &finding.remedy, width);
    write_block(&mut table, "more", &Kind::page(finding.id), width);
    table
}

/// A text of this width in the column right of its label.
fn write_block(table: &mut String, label: &str, text: &str, width: usize) {
    for (index, line) in text::wrap(&text::printable(text), width).iter().enumerate() {
        let label = if index == 0 { label } else { "" };
        let _ = writeln!(table, "    {label:<indent$}{line}", indent = FINDING_COLUMN - 4);
    }
}

fn write_accounting(table: &mut String, accounting: &Accounting) {
    let dropped: u64 = accounting.dropped.values().sum();
    let _ = writeln!(
        table,
        "events: {} emitted = {} consumed + {dropped} dropped",
        accounting.emitted, accounting.consumed
    );
    if accounting.oddities.values().any(|n| *n > 0) {
        let _ = writeln!(table, "oddities: {}", non_zero(&accounting.oddities));
    }
    if dropped > 0 {
        let reasons = non_zero(&accounting.dropped);
        let _ = writeln!(table, "PARTIAL: the numbers above miss the {dropped} dropped ({reasons})");
    }
    let missing = accounting.oddity(UNCAPTURED);
    if missing > 0 {
        let places = text::count(missing, "place", "places");
        let _ = writeln!(table, "PARTIAL: the capture lacks segments that were sent, in {places}");
    }
    let abandoned = accounting.oddity(ABANDONED);
    if abandoned > 0 {
        let requests = text::count(abandoned, "request that was", "requests that were");
        let _ = writeln!(table, "PARTIAL: the numbers above miss {requests} given up in flight");
    }
    let refused = accounting.oddity(SUMS_REFUSED);
    if refused > 0 {
        let requests = text::count(refused, "request", "requests");
        let _ =
            writeln!(table, "PARTIAL: the numbers above miss {requests} that the kernel added up wrongly");
    }
}

fn non_zero(counts: &BTreeMap<&'static str, u64>) -> String {
    let counts = counts.iter().filter(|(_, count)| **count > 0);
    counts.map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
