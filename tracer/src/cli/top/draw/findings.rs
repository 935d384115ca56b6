//! The open findings, and all that the selected one says.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::Modifier,
    text::Line,
    widgets::Paragraph,
};

use super::{Theme, offset, section};
use crate::{
    cli::top::{
        cursor::Cursor,
        picture::Picture,
        state::{FindingKey, LIST, finding_key, finding_lines},
    },
    export::text,
    finding::Finding,
};

/// Draws them.
pub(super) fn draw(
    frame: &mut Frame<'_>,
    area: Rect,
    (of, cursor, scroll): (Option<&str>, &Cursor<FindingKey>, usize),
    picture: &Picture,
    theme: Theme,
) {
    let findings = picture.findings(of);
    let keys: Vec<_> = findings.iter().map(|finding| finding_key(finding)).collect();
    let Some(selected) = cursor.index(&keys) else {
        let nothing = "no finding is open: nothing known is wrong (esc goes back)";
        return frame.render_widget(Line::raw(nothing), area);
    };
    let length = u16::try_from(findings.len().min(LIST)).unwrap_or(u16::MAX);
    let rows = [Constraint::Length(length + 1), Constraint::Fill(1)];
    let [list, said] = Layout::vertical(rows).areas(area);
    draw_list(frame, list, (&findings, selected), theme);
    let said = section(frame, said, "what it is");
    let Some(finding) = findings.get(selected) else { return };
    let lines = finding_lines(finding, picture.clock, said.width.into());
    let first = scroll.min(lines.len().saturating_sub(usize::from(said.height.max(1))));
    let lines: Vec<Line<'_>> = lines.into_iter().skip(first).map(Line::raw).collect();
    frame.render_widget(Paragraph::new(lines), said);
}

fn draw_list(frame: &mut Frame<'_>, area: Rect, (findings, selected): (&[&Finding], usize), theme: Theme) {
    let area = section(frame, area, &text::count(findings.len() as u64, "open finding", "open findings"));
    let height = usize::from(area.height);
    let first = offset(selected, findings.len(), height);
    let rows = findings.iter().enumerate().skip(first).take(height);
    let lines = rows.map(|(at, finding)| {
        let mark = if at == selected { '>' } else { ' ' };
        let (severity, subject) = (finding.severity.name(), text::subject(finding));
        let line = format!("{mark} {severity:<8} {:<24} {subject}", finding.id);
        let line = Line::styled(line, theme.severity(finding.severity));
        if at == selected { line.patch_style(Modifier::REVERSED) } else { line }
    });
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), area);
}
