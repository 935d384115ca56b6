//! State and picture → widgets. Pure: draws into whatever frame it is given.

mod findings;
mod format;
mod header;
mod pod;
mod pods;
mod request;
mod theme;

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::Modifier,
    text::Line,
    widgets::{Block, Borders},
};

pub(super) use self::theme::Theme;
use super::{
    picture::Picture,
    state::{State, View},
};

/// The least columns and lines in which everything has its place.
const SMALLEST: (u16, u16) = (70, 20);

/// Draws the screen.
pub(super) fn draw(frame: &mut Frame<'_>, state: &State, picture: &Picture, theme: Theme) {
    let area = frame.area();
    let body = if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        let [notice, body] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
        let text = format!("too small: {}×{} of {}×{}", area.width, area.height, SMALLEST.0, SMALLEST.1);
        frame.render_widget(Line::styled(text, theme.warning()), notice);
        body
    } else {
        let rows = [Constraint::Length(2), Constraint::Fill(1), Constraint::Length(1)];
        let [top, body, bottom] = Layout::vertical(rows).areas(area);
        header::draw(frame, top, state, picture, theme);
        header::draw_keys(frame, bottom, state);
        body
    };
    match state.view() {
        View::Pods => pods::draw(frame, body, state, picture, theme),
        View::Pod { uid, cursor } => pod::draw(frame, body, (uid, cursor), picture, theme),
        View::Request { request, scroll } => request::draw(frame, body, (request, *scroll), picture),
        View::Findings { of, cursor, scroll } => {
            findings::draw(frame, body, (of.as_deref(), cursor, *scroll), picture, theme);
        }
    }
}

/// A section with its title in a line above it.
fn section(frame: &mut Frame<'_>, area: Rect, title: &str) -> Rect {
    let title = Line::styled(format!("{title} "), Modifier::BOLD);
    let block = Block::new().borders(Borders::TOP).title(title);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    inner
}

/// The first line to show of `length`, so that the selected one is seen among `height` lines.
fn offset(selected: usize, length: usize, height: usize) -> usize {
    selected.saturating_sub(height / 2).min(length.saturating_sub(height))
}

#[cfg(test)]
#[path = "draw_tests.rs"]
mod tests;
