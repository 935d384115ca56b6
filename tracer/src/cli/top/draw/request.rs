//! One request as a waterfall.

use ratatui::{Frame, layout::Rect, text::Line, widgets::Paragraph};

use crate::{
    cli::top::{picture::Picture, state::waterfall_lines},
    request::Request,
};

/// Draws it from the line `scroll` on.
pub(super) fn draw(
    frame: &mut Frame<'_>,
    area: Rect,
    (request, scroll): (&Request, usize),
    picture: &Picture,
) {
    let lines = waterfall_lines(request, picture.clock);
    let height = usize::from(area.height);
    let first = scroll.min(lines.len().saturating_sub(height.max(1)));
    let lines: Vec<Line<'_>> = lines.into_iter().skip(first).map(Line::raw).collect();
    frame.render_widget(Paragraph::new(lines), area);
}
