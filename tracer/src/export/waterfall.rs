//! One request as text: a row per stage and call on a common time scale.

use std::fmt::Write as _;

use super::text;
use crate::clock::WallClock;
use crate::request::{AttributedCall, Request};

/// Columns of a bar.
const BAR: u32 = 20;
/// Columns of a whole row.
const WIDTH: usize = 100;
/// Columns of a row before what the call was.
const BEFORE_WHAT: usize = 62;
/// Calls shown; the others are counted.
const CALL_LIMIT: usize = 40;

/// A request as a waterfall: its stages and calls in the order of time, and the sum of its stages.
#[must_use]
pub fn waterfall(request: &Request, clock: &WallClock) -> String {
    let scale = Scale::of(request);
    let mut lines = header(request, *clock);
    let end = format!("{} ms", text::milliseconds(request.total()));
    let _ = writeln!(
        lines,
        "  offset  duration  0{end:>width$}  stage    attributed what",
        width = BAR as usize - 1
    );
    for row in rows(request, &scale) {
        row.write(&mut lines);
    }
    let hidden = request.calls.len().saturating_sub(CALL_LIMIT);
    if hidden > 0 {
        let _ = writeln!(lines, "  … and {}", text::count(hidden as u64, "more call", "more calls"));
    }
    let _ = writeln!(
        lines,
        "  {} = {} ms",
        text::stage_list(&request.stages).join(" + "),
        text::milliseconds(request.total())
    );
    lines
}

fn header(request: &Request, clock: WallClock) -> String {
    let time = text::time(request.messages.request_first, clock);
    let marks: String = request.marks.names().flat_map(|mark| [", ", mark]).collect();
    format!(
        "{} → {}, {} ms\n  pod {}, {time}, {} → {}{marks}\n",
        text::title(request),
        text::outcome(request),
        text::milliseconds(request.total()),
        text::printable(&request.pod.to_string()),
        request.transport.peer,
        request.transport.local,
    )
}

/// The four times of a request, as its stages have them.
struct Scale {
    t0: u64,
    t1: u64,
    t2: u64,
    t3: u64,
}

impl Scale {
    fn of(request: &Request) -> Self {
        let [t0, t1, t2, t3] = request.times();
        Self { t0, t1, t2, t3 }
    }

    /// A bar over the intervals: a column is full when they cover half of it; the first is never empty.
    fn bar(&self, intervals: &[(u64, u64)]) -> String {
        let total = u128::from(self.t3 - self.t0);
        let edge =
            |column: u32| self.t0 + u64::try_from(total * u128::from(column) / u128::from(BAR)).unwrap_or(0);
        let mut bar: Vec<char> = (0..BAR)
            .map(|column| {
                let (from, to) = (edge(column), edge(column + 1));
                let covered: u64 =
                    intervals.iter().map(|(start, end)| to.min(*end).saturating_sub(from.max(*start))).sum();
                if covered > 0 && covered * 2 >= to - from { '█' } else { ' ' }
            })
            .collect();
        if let (false, Some((start, _))) = (bar.contains(&'█'), intervals.first()) {
            let column = (1..BAR).take_while(|column| edge(*column) <= *start).count();
            bar[column] = '▏';
        }
        bar.into_iter().collect()
    }
}

struct Row {
    start: u64,
    offset: u64,
    duration: u64,
    bar: String,
    stage: &'static str,
    attribution: String,
    what: String,
}

impl Row {
    fn write(&self, lines: &mut String) {
        let what = text::elide(&self.what, WIDTH - BEFORE_WHAT);
        let row = format!(
            "{:>8} {:>9} │{}│ {:<8} {:<10} {what}",
            text::milliseconds(self.offset),
            text::milliseconds(self.duration),
            self.bar,
            self.stage,
            self.attribution,
        );
        lines.push_str(row.trim_end());
        lines.push('\n');
    }
}

fn rows(request: &Request, scale: &Scale) -> Vec<Row> {
    let stages = &request.stages;
    let mut rows: Vec<Row> =
        request.calls.iter().take(CALL_LIMIT).map(|call| call_row(call, scale)).collect();
    let gaps: Vec<_> = request.own().collect();
    for (stage, duration, intervals) in [
        ("receive", stages.receive, vec![(scale.t0, scale.t1)]),
        ("self", stages.own, if gaps.is_empty() { vec![(scale.t1, scale.t1)] } else { gaps }),
        ("send", stages.send, vec![(scale.t2, scale.t3)]),
    ] {
        let start = intervals.first().map_or(scale.t0, |(start, _)| *start);
        let offset = start.saturating_sub(scale.t0);
        let bar = scale.bar(&intervals);
        if duration > 0 {
            rows.push(Row {
                start,
                offset,
                duration,
                bar,
                stage,
                attribution: String::new(),
                what: String::new(),
            });
        }
    }
    rows.sort_by_key(|row| row.start);
    rows
}

fn call_row(attributed: &AttributedCall, scale: &Scale) -> Row {
    let call = &attributed.call;
    Row {
        start: call.start,
        offset: call.start.saturating_sub(scale.t0),
        duration: call.end.saturating_sub(call.start),
        bar: scale.bar(&[(call.start, call.end)]),
        stage: call.kind.name(),
        attribution: text::attribution(attributed),
        what: text::detail(call),
    }
}

#[cfg(test)]
#[path = "waterfall_tests.rs"]
mod tests;
