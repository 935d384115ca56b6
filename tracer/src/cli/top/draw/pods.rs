//! The table of pods.

use ratatui::{
    Frame,
    layout::{Alignment, Constraint, Layout, Rect},
    style::Modifier,
    text::{Line, Span},
    widgets::{Cell, Row, Table, TableState},
};

use super::{Theme, format, offset, theme::LETTERS};
use crate::{
    cli::top::{
        picture::{Picture, PodPicture},
        state::{State, uids},
    },
    export::text,
    request::{CallKind, Stages},
};

/// Columns of a pod's UID: longer names are cut.
const NAME: u16 = 36;
/// Columns of the findings when only how many and how bad has room.
const NARROW: u16 = 11;
/// Letters of the call kinds: those of their stages.
const KIND_LETTERS: [char; 4] = ['D', 'C', 'M', 'U'];

/// Draws it.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, state: &State, picture: &Picture, theme: Theme) {
    let [table, legend] = Layout::vertical([Constraint::Fill(1), Constraint::Length(1)]).areas(area);
    frame.render_widget(self::legend(theme), legend);
    let pods = state.visible(picture);
    let Some(selected) = state.pods.index(&uids(&pods)) else {
        let nothing = if picture.pods.is_empty() {
            "no request and no call was seen yet"
        } else {
            "no pod's name or finding has the filter's text (esc clears it)"
        };
        return frame.render_widget(Line::raw(nothing), table);
    };
    let columns = Columns::of(table.width);
    let height = usize::from(table.height.saturating_sub(1));
    let first = offset(selected, pods.len(), height);
    let rows = pods.iter().skip(first).take(height).map(|pod| columns.row(pod, picture, theme));
    let widget = Table::new(rows, columns.widths())
        .header(Row::new(columns.head()).style(Modifier::BOLD))
        .row_highlight_style(Modifier::REVERSED)
        .highlight_symbol("> ");
    let mut place = TableState::new().with_selected(selected - first);
    frame.render_stateful_widget(widget, table, &mut place);
}

fn legend(theme: Theme) -> Line<'static> {
    let named = Stages::NAMES.iter().zip(LETTERS).enumerate();
    let spans = named.flat_map(|(stage, (name, letter))| {
        [Span::styled(letter.to_string(), theme.stage(stage)), Span::raw(format!(" {name} "))]
    });
    spans.collect::<Vec<_>>().into()
}

/// What has room.
struct Columns {
    name: u16,
    bar: u16,
    has_slowest: bool,
    has_calls: bool,
    findings: u16,
}

impl Columns {
    fn of(width: u16) -> Self {
        let (has_slowest, has_calls) = (width >= 70, width >= 105);
        let findings = if width >= 140 { 26 } else { NARROW };
        let fixed =
            2 + 8 + 10 + if has_slowest { 11 } else { 0 } + if has_calls { 24 } else { 0 } + 1 + findings + 1;
        let left = width.saturating_sub(fixed);
        let name = (left / 2).min(NAME);
        Self { name, bar: left - name, has_slowest, has_calls, findings }
    }

    fn widths(&self) -> Vec<Constraint> {
        let slowest = self.has_slowest.then_some(10);
        let calls = self.has_calls.then_some(23);
        let all = [Some(self.name), Some(7), Some(9), slowest, Some(self.bar), calls, Some(self.findings)];
        all.into_iter().flatten().map(Constraint::Length).collect()
    }

    fn head(&self) -> Vec<Cell<'static>> {
        let slowest = self.has_slowest.then(|| right("slowest ms"));
        let calls = self.has_calls.then(|| Cell::new("calls/s"));
        let first = [Some(Cell::new("pod")), Some(right("req/s")), Some(right("mean ms"))];
        let last = [slowest, Some(Cell::new("share of stages")), calls, Some(Cell::new("findings"))];
        first.into_iter().chain(last).flatten().collect()
    }

    fn row(&self, pod: &PodPicture, picture: &Picture, theme: Theme) -> Row<'static> {
        let recent = &pod.recent;
        let slowest = match pod.slowest() {
            0 => "-".to_owned(),
            slowest => text::milliseconds(slowest),
        };
        let cells = [
            Some(Cell::new(text::elide(&pod.name, self.name.into()).into_owned())),
            Some(right(format::rate(picture.per_second(recent.requests)))),
            Some(right(format::mean(recent.stages.total(), recent.requests))),
            self.has_slowest.then(|| right(slowest)),
            Some(Cell::new(format::bar(&recent.stages, self.bar, theme))),
            self.has_calls.then(|| Cell::new(calls(pod, picture))),
            Some(self.findings(pod, theme)),
        ];
        Row::new(cells.into_iter().flatten())
    }

    fn findings(&self, pod: &PodPicture, theme: Theme) -> Cell<'static> {
        let Some(worst) = pod.findings.first() else { return Cell::new("") };
        let count = pod.findings.len();
        let what = if self.findings > NARROW { worst.id } else { worst.severity.name() };
        Cell::new(Span::styled(format!("{count} {what}"), theme.severity(worst.severity)))
    }
}

fn right(text: impl Into<String>) -> Cell<'static> {
    Cell::new(Line::raw(text.into()).alignment(Alignment::Right))
}

/// Calls per second, by the letter of their kind.
fn calls(pod: &PodPicture, picture: &Picture) -> String {
    let made = CallKind::ALL.iter().zip(pod.recent.calls).filter(|(_, total)| total.count > 0);
    let texts = made.map(|(kind, total)| {
        let letter = KIND_LETTERS[*kind as usize];
        format!("{letter}{}", format::rate(picture.per_second(total.count)))
    });
    texts.collect::<Vec<_>>().join(" ")
}
