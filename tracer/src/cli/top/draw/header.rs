//! The lines above and below: what is shown, what is lost, what the keys do.

use ratatui::{
    Frame,
    layout::Rect,
    style::Modifier,
    text::{Line, Span},
};

use super::{Theme, format};
use crate::{
    cli::top::{
        picture::Picture,
        state::{State, View},
    },
    export::text,
};

/// Draws the two lines above.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, state: &State, picture: &Picture, theme: Theme) {
    let mut first = vec![Span::styled("tracer top", Modifier::BOLD), Span::raw(title(state, picture))];
    if state.is_paused {
        first.push(Span::styled("  PAUSED", Modifier::BOLD));
    }
    let second = if picture.missing.is_empty() {
        Line::raw(events(picture) + ", none lost")
    } else {
        Line::from(vec![
            Span::raw(events(picture) + ", "),
            Span::styled(format!("PARTIAL: {} lost", lost(picture)), theme.warning()),
        ])
    };
    frame.render_widget(ratatui::text::Text::from(vec![Line::from(first), second]), area);
}

fn title(state: &State, picture: &Picture) -> String {
    let pods = text::count(picture.pods.len() as u64, "pod", "pods");
    let seconds = text::ticks(text::round(picture.elapsed, 10_000_000));
    let filter =
        if state.filter.is_empty() { String::new() } else { format!(", filter \"{}\"", state.filter) };
    format!("  {pods}, by {}, over {seconds} s{filter}", state.sort.name())
}

fn events(picture: &Picture) -> String {
    let rate = format::rate(picture.per_second(picture.recent_events));
    format!("{} events, {rate}/s", picture.events)
}

fn lost(picture: &Picture) -> String {
    let reasons = picture.missing.iter().map(|(reason, count)| format!("{reason} {count}"));
    reasons.collect::<Vec<_>>().join(", ")
}

/// Draws the line below.
pub(super) fn draw_keys(frame: &mut Frame<'_>, area: Rect, state: &State) {
    if state.is_editing {
        let line = Line::from(vec![
            Span::styled(format!("/{}_", state.filter), Modifier::BOLD),
            Span::raw("  enter keeps, esc clears"),
        ]);
        return frame.render_widget(line, area);
    }
    let keys: &[(&str, &str)] = match state.view() {
        View::Pods => &[
            ("↑↓", "select"),
            ("enter", "open"),
            ("s", "sort"),
            ("/", "filter"),
            ("p", "pause"),
            ("f", "findings"),
            ("q", "quit"),
        ],
        View::Pod { .. } => &[
            ("↑↓", "select"),
            ("enter", "waterfall"),
            ("p", "pause"),
            ("f", "findings"),
            ("esc", "back"),
            ("q", "quit"),
        ],
        View::Request { .. } => &[("↑↓", "scroll"), ("f", "findings"), ("esc", "back"), ("q", "quit")],
        View::Findings { .. } => {
            &[("↑↓", "select"), ("pgup pgdn", "scroll"), ("p", "pause"), ("esc", "back"), ("q", "quit")]
        }
    };
    let spans = keys
        .iter()
        .flat_map(|(key, does)| [Span::styled(*key, Modifier::BOLD), Span::raw(format!(" {does}  "))]);
    frame.render_widget(Line::from(spans.collect::<Vec<_>>()), area);
}
