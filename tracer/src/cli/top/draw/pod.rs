//! One pod: its stages, calls, findings, slow requests and destinations.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::Modifier,
    text::{Line, Span},
    widgets::Paragraph,
};

use super::{Theme, format, offset, section, theme::LETTERS};
use crate::{
    cli::top::{
        cursor::Cursor,
        picture::{Calling, Picture, PodPicture},
        state::{RequestKey, request_keys},
    },
    export::{
        table::tenths,
        text::{self, apportion, round, ticks},
    },
    request::{CallKind, Request, Stages, totals::Totals},
};

/// Lines of the upper part: a head, the stages and their sum.
const UPPER: u16 = 9;
/// Columns of the stages now, and with those since the start.
const STAGES: (u16, u16) = (29, 52);
/// Columns of a slow request's bar.
const BAR: u16 = 12;

/// Draws it.
pub(super) fn draw(
    frame: &mut Frame<'_>,
    area: Rect,
    (uid, cursor): (&str, &Cursor<RequestKey>),
    picture: &Picture,
    theme: Theme,
) {
    let Some(pod) = picture.pod(uid) else {
        return frame.render_widget(Line::raw("this pod is gone (esc goes back)"), area);
    };
    let rate = format::rate(picture.per_second(pod.recent.requests));
    let title = format!("pod {}: {rate} requests/s, {} since the start", pod.name, pod.totals.requests);
    let area = section(frame, area, &title);
    let rows = [Constraint::Length(UPPER), Constraint::Fill(1)];
    let [upper, lower] = Layout::vertical(rows).areas(area);
    let width = if area.width >= 110 { STAGES.1 } else { STAGES.0 };
    let columns = [Constraint::Length(width), Constraint::Fill(1)];
    let [stages, calls] = Layout::horizontal(columns).spacing(2).areas(upper);
    draw_stages(frame, stages, pod, theme);
    draw_calls(frame, calls, pod, picture, theme);
    let halves = [Constraint::Fill(1), Constraint::Fill(1)];
    let [slow, destinations] = if area.width >= 155 {
        Layout::horizontal(halves).spacing(1).areas(lower)
    } else {
        Layout::vertical(halves).areas(lower)
    };
    draw_slow(frame, slow, (pod, cursor), picture, theme);
    draw_destinations(frame, destinations, pod);
}

fn draw_stages(frame: &mut Frame<'_>, area: Rect, pod: &PodPicture, theme: Theme) {
    let (now, all) = (column(&pod.recent), column(&pod.totals));
    let mut lines = vec![Line::styled("  stage      now ms   share     since start   share", Modifier::BOLD)];
    for (stage, (name, letter)) in Stages::NAMES.iter().zip(LETTERS).enumerate() {
        lines.push(Line::from(vec![
            Span::styled(letter.to_string(), theme.stage(stage)),
            Span::raw(format!(" {name:<8}{}    {}", now[stage], all[stage])),
        ]));
    }
    lines.push(Line::raw(format!("  {:<8}{}    {}", "total", now[7], all[7])));
    frame.render_widget(Paragraph::new(lines), area);
}

/// The mean and the share of each stage, and their sums, in 18 columns.
fn column(totals: &Totals) -> [String; 8] {
    let sum = totals.stages.total();
    let Some(mean) = sum.checked_div(totals.requests) else {
        return std::array::from_fn(|_| format!("{:>9} {:>8}", "-", "-"));
    };
    let means = apportion(totals.stages.values(), round(mean, text::TICK));
    let shares = apportion(totals.stages.values(), if sum == 0 { 0 } else { 1_000 });
    let cell = |mean, share| format!("{:>9} {:>6} %", ticks(mean), tenths(share));
    std::array::from_fn(|stage| match (means.get(stage), shares.get(stage)) {
        (Some(mean), Some(share)) => cell(*mean, *share),
        _ => cell(means.iter().sum(), shares.iter().sum()),
    })
}

fn draw_calls(frame: &mut Frame<'_>, area: Rect, pod: &PodPicture, picture: &Picture, theme: Theme) {
    let mut lines = vec![Line::styled("calls     now/s   mean ms   since start   mean ms", Modifier::BOLD)];
    for ((kind, now), all) in CallKind::ALL.iter().zip(pod.recent.calls).zip(pod.totals.calls) {
        lines.push(Line::raw(format!(
            "{:<8}{:>7} {:>9} {:>13} {:>9}",
            kind.name(),
            format::rate(picture.per_second(now.count)),
            format::mean(now.nanoseconds, now.count),
            all.count,
            format::mean(all.nanoseconds, all.count),
        )));
    }
    let room = usize::from(area.height).saturating_sub(lines.len());
    let shown = if pod.findings.len() > room { room.saturating_sub(1) } else { room };
    for finding in pod.findings.iter().take(shown) {
        let text = format!("{} {}", finding.severity.name(), finding.id);
        lines.push(Line::styled(text, theme.severity(finding.severity)));
    }
    let more = pod.findings.len().saturating_sub(shown);
    if more > 0 {
        lines.push(Line::raw(text::count(more as u64, "more finding (f)", "more findings (f)")));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

fn draw_slow(
    frame: &mut Frame<'_>,
    area: Rect,
    (pod, cursor): (&PodPicture, &Cursor<RequestKey>),
    picture: &Picture,
    theme: Theme,
) {
    let missing = if picture.refused > 0 {
        format!(" ({} of all pods had no room)", picture.refused)
    } else {
        String::new()
    };
    // Those come one by one that may be the slowest: with none of them, or with quicker ones, nothing is missing.
    let added_up = match pod.longest_folded {
        0 => String::new(),
        longest => format!("; of those added up, {} ms at most", text::milliseconds(longest)),
    };
    let area = section(frame, area, &format!("slowest requests of the last minute{missing}{added_up}"));
    let Some(selected) = cursor.index(&request_keys(&pod.slow)) else {
        return frame.render_widget(Line::raw("none"), area);
    };
    let height = usize::from(area.height);
    let first = offset(selected, pod.slow.len(), height);
    let rows = pod.slow.iter().enumerate().skip(first).take(height);
    let lines = rows.map(|(at, request)| slow_line(request, at == selected, theme));
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), area);
}

fn slow_line(request: &Request, is_selected: bool, theme: Theme) -> Line<'static> {
    let what = format!(" {} → {}", text::title(request), text::outcome(request));
    let mut spans = vec![Span::raw(format!(
        "{} {:>9} ",
        if is_selected { '>' } else { ' ' },
        text::milliseconds(request.total())
    ))];
    let bar = format::bar(&request.stages, BAR, theme);
    let padding = usize::from(BAR).saturating_sub(bar.width());
    spans.extend(bar.spans);
    spans.push(Span::raw(" ".repeat(padding)));
    spans.push(Span::raw(text::printable(&what).into_owned()));
    let line = Line::from(spans);
    if is_selected { line.style(Modifier::REVERSED) } else { line }
}

fn draw_destinations(frame: &mut Frame<'_>, area: Rect, pod: &PodPicture) {
    let area = section(frame, area, "calls of the last minute by destination");
    let head = format!(
        "{:<8} {:<28} {:>7} {:>9} {:>9} {:>9}",
        "kind", "destination", "calls", "mean ms", "max ms", "no answer"
    );
    let mut lines = vec![Line::styled(head, Modifier::BOLD)];
    lines.extend(pod.destinations.iter().map(destination_line));
    frame.render_widget(Paragraph::new(lines), area);
}

fn destination_line(calling: &Calling) -> Line<'static> {
    let Calling { kind, destination, calls } = calling;
    let destination = match (&calls.name, destination) {
        (Some(name), _) => name.to_string(),
        (None, Some(address)) => address.to_string(),
        (None, None) => "~other".to_owned(),
    };
    Line::raw(format!(
        "{:<8} {:<28} {:>7} {:>9} {:>9} {:>9}",
        kind.name(),
        text::elide(&text::printable(&destination), 28),
        calls.count,
        format::mean(calls.nanoseconds, calls.count),
        text::milliseconds(calls.longest),
        calls.unanswered,
    ))
}
