use std::sync::Arc;

use ratatui::{Terminal, backend::TestBackend, buffer::Buffer, style::Color};

use super::*;
use crate::{
    cli::top::{
        fixture::{SECOND, after, picture, pod, summary, typed},
        input::Input::{self, Enter, Up},
        picture::Meter,
        recorder::Recorder,
    },
    clock::WallClock,
    engine::Observer as _,
    export::fixture,
    pod::Pod,
    proto::{
        http::Http,
        stream::{Head, Protocol},
    },
    request::{Request, totals::Totals},
};

fn buffer(state: &State, picture: &Picture, (columns, lines): (u16, u16), theme: Theme) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(columns, lines)).unwrap();
    terminal.draw(|frame| draw(frame, state, picture, theme)).unwrap();
    terminal.backend().buffer().clone()
}

/// What the screen shows of the picture, a line per line.
fn shown(picture: &Picture, inputs: &[Input], size: (u16, u16)) -> String {
    text(&buffer(&after(picture, inputs), picture, size, Theme::new(true)))
}

fn text(buffer: &Buffer) -> String {
    let lines = buffer.content.chunks(usize::from(buffer.area.width));
    let lines = lines.map(|line| line.iter().map(ratatui::buffer::Cell::symbol).collect::<String>());
    lines.map(|line| line.trim_end().to_owned() + "\n").collect()
}

#[test]
fn pods_in_a_narrow_terminal() {
    let expected = "\
tracer top  3 pods, by time, over 1.00 s
40 events, 40.0/s, none lost
  pod                  req/s   mean ms slowest ms share of stages    findings
> shop/backend-0         2.0    105.23     105.23 MMMMMMMMMMMMMMMUUU 1 critical
  shop/cart             50.0      1.80          - UUUUUUUUSSSSSSSSSS
  shop/zero                -         -          -












R receive D dns C connect M metadata U upstream S self E send
↑↓ select  enter open  s sort  / filter  p pause  f findings  q quit
";
    assert_eq!(shown(&picture(), &[], (80, 20)), expected);
}

#[test]
fn pods_in_a_wide_terminal() {
    let expected = "\
tracer top  3 pods, by time, over 1.00 s, filter \"a\"
40 events, 40.0/s, none lost
  pod                                 req/s   mean ms slowest ms share of stages                    calls/s                 findings
> shop/backend-0                        2.0    105.23     105.23 MMMMMMMMMMMMMMMMMMMMMMMMMMMMUUUUUU D2.0 M4.0 U2.0          1 metadata-credentials
  shop/cart                            50.0      1.80          - UUUUUUUUUUUUUUUSSSSSSSSSSSSSSSSSSS













R receive D dns C connect M metadata U upstream S self E send
/a_  enter keeps, esc clears
";
    assert_eq!(shown(&picture(), &typed("/a"), (150, 20)), expected);
}

#[test]
fn a_pod_in_a_narrow_terminal() {
    let expected = "\
tracer top  3 pods, by time, over 1.00 s
40 events, 40.0/s, none lost
pod shop/backend-0: 2.0 requests/s, 2 since the start ──────────────────────────
  stage      now ms   share    calls     now/s   mean ms   since start   mean ms
R receive      0.01    0.0 %   dns         2.0      0.15             2      0.15
D dns          0.05    0.1 %   connect       -         -             0         -
C connect      0.00    0.0 %   metadata    4.0     43.06             4     43.06
M metadata    86.11   81.8 %   upstream    2.0     18.20             2     18.20
U upstream    18.20   17.3 %   critical metadata-credentials
S self         0.83    0.8 %
E send         0.03    0.0 %
  total      105.23  100.0 %
slowest requests of the last minute ────────────────────────────────────────────
>    105.23 MMMMMMMMMMUU GET /v1/items/17 → 200




calls of the last minute by destination ────────────────────────────────────────
kind     destination                    calls   mean ms    max ms no answer
metadata 169.254.169.254:80                 2     43.06     43.06         0
upstream 10.0.1.9:9200                      1     18.20     18.20         0
dns      10.96.0.10:53                      1      0.15      0.15         0
↑↓ select  enter waterfall  p pause  f findings  esc back  q quit
";
    assert_eq!(shown(&picture(), &[Enter], (80, 24)), expected);
}

#[test]
fn a_pod_in_a_wide_terminal() {
    let expected = "\
tracer top  3 pods, by time, over 1.00 s
40 events, 40.0/s, none lost
pod shop/backend-0: 2.0 requests/s, 2 since the start ──────────────────────────────────────────────────────────────────────────────────────────────────────────
  stage      now ms   share     since start   share   calls     now/s   mean ms   since start   mean ms
R receive      0.01    0.0 %         0.01    0.0 %    dns         2.0      0.15             2      0.15
D dns          0.05    0.1 %         0.05    0.1 %    connect       -         -             0         -
C connect      0.00    0.0 %         0.00    0.0 %    metadata    4.0     43.06             4     43.06
M metadata    86.11   81.8 %        86.11   81.8 %    upstream    2.0     18.20             2     18.20
U upstream    18.20   17.3 %        18.20   17.3 %    critical metadata-credentials
S self         0.83    0.8 %         0.83    0.8 %
E send         0.03    0.0 %         0.03    0.0 %
  total      105.23  100.0 %       105.23  100.0 %
slowest requests of the last minute ──────────────────────────────────────────── calls of the last minute by destination ───────────────────────────────────────
>    105.23 MMMMMMMMMMUU GET /v1/items/17 → 200                                  kind     destination                    calls   mean ms    max ms no answer
                                                                                 metadata 169.254.169.254:80                 2     43.06     43.06         0
                                                                                 upstream 10.0.1.9:9200                      1     18.20     18.20         0
                                                                                 dns      10.96.0.10:53                      1      0.15      0.15         0


↑↓ select  enter waterfall  p pause  f findings  esc back  q quit
";
    assert_eq!(shown(&picture(), &[Enter], (160, 20)), expected);
}

#[test]
fn findings() {
    let expected = "\
tracer top  3 pods, by time, over 1.00 s
40 events, 40.0/s, none lost
1 open finding ─────────────────────────────────────────────────────────────────
> critical metadata-credentials     pod shop/backend-0
what it is ─────────────────────────────────────────────────────────────────────
  finding metadata-credentials (critical) of pod shop/backend-0
    since     1970-01-01T00:00:01.000000Z
    because   Every request asks the metadata service for credentials: they live
              900 s, and SDKs that refresh at 900 s or less never cache them.
    evidence  calls per request: 2
              lifetime: 900 s
              share: 81.8 %
    remedy    Let the credentials live longer than the SDK's refresh threshold.
    more      docs/findings/metadata-credentials.md





↑↓ select  pgup pgdn scroll  p pause  esc back  q quit
";
    assert_eq!(shown(&picture(), &typed("f"), (80, 20)), expected);
}

#[test]
fn a_request_is_its_waterfall() {
    let screen = shown(&picture(), &[Enter, Enter], (104, 20));
    let waterfall = crate::export::waterfall::waterfall(&fixture::request(), &WallClock::UNIX);
    assert!(screen.contains(&waterfall), "{screen}");
}

#[test]
fn a_pause_and_what_is_lost_are_in_the_lines_above() {
    let mut picture = picture();
    picture.missing = vec![("ring_full", 12), ("abandoned", 3)];
    let screen = shown(&picture, &typed("p"), (100, 20));
    let above: Vec<_> = screen.lines().take(2).collect();
    assert_eq!(
        above,
        [
            "tracer top  3 pods, by time, over 1.00 s  PAUSED",
            "40 events, 40.0/s, PARTIAL: ring_full 12, abandoned 3 lost",
        ]
    );
}

#[test]
fn nothing_to_show_is_said() {
    let empty = Picture::empty(WallClock::UNIX);
    assert!(shown(&empty, &[], (80, 24)).contains("no request and no call was seen yet"));
    assert!(shown(&empty, &typed("f"), (80, 24)).contains("no finding is open"));
    assert!(shown(&picture(), &typed("/nowhere"), (80, 24)).contains("no pod's name or finding has"));
    // The pod may be gone while it is seen.
    let state = after(&picture(), &[Enter]);
    let screen = text(&buffer(&state, &empty, (80, 24), Theme::new(true)));
    assert!(screen.contains("this pod is gone"), "{screen}");
}

#[test]
fn a_terminal_of_any_size_gets_what_fits() {
    let picture = picture();
    for view in [vec![], vec![Enter], vec![Enter, Enter], typed("f"), typed("/x")] {
        let state = after(&picture, &view);
        for size in [1, 2, 3, 5, 8, 13, 19, 20, 30]
            .into_iter()
            .flat_map(|lines| [1, 2, 9, 40, 69, 70, 71, 80, 200].map(|columns| (columns, lines)))
        {
            let screen = text(&buffer(&state, &picture, size, Theme::new(true)));
            let is_small = size.0 < 70 || size.1 < 20;
            assert_eq!(is_small && size.0 >= 9, screen.contains("too small"), "{size:?}\n{screen}");
        }
    }
    let screen = shown(&picture, &[], (50, 6));
    assert!(screen.starts_with("too small: 50×6 of 70×20\n") && screen.contains("cart"), "{screen}");
}

#[test]
fn without_colours_there_is_none_and_the_text_is_the_same() {
    let picture = picture();
    let state = after(&picture, &[]);
    let [with, without] =
        [true, false].map(|colours| buffer(&state, &picture, (100, 20), Theme::new(colours)));
    assert_eq!(text(&with), text(&without));
    let is_plain = |cell: &ratatui::buffer::Cell| cell.fg == Color::Reset && cell.bg == Color::Reset;
    assert!(without.content.iter().all(is_plain));
    assert!(!with.content.iter().all(is_plain));
}

/// A pod, a path and a finding with an escape sequence in their texts.
fn hostile() -> Picture {
    let evil = "\u{1b}[2J\u{7}evil";
    let pod_of = |name: &str| Pod {
        uid: "uid".into(),
        name: Some(crate::pod::PodName { namespace: "a".into(), name: name.into() }),
    };
    let pod = Arc::new(pod_of(evil));
    let head = Head { method: Some("GET"), path: Some(format!("/{evil}").into()), ..Head::default() };
    let http = Some(Http::Head(Protocol::Http1, head));
    let request = Request { pod: Arc::clone(&pod), http, ..fixture::request() };
    let mut recorder = Recorder::default();
    recorder.request(&request);
    let finding = crate::finding::Finding {
        subject: Arc::clone(&pod),
        destination: Some(crate::finding::Destination::Service(evil.into())),
        explanation: evil.into(),
        remedy: evil.into(),
        ..fixture::finding()
    };
    let mut totals = Totals::default();
    totals.add_request(&request);
    let pods = vec![crate::request::totals::PodSummary { pod, totals, findings: vec![finding] }];
    Meter::new(0).measure(summary(pods), &recorder, SECOND, WallClock::UNIX)
}

#[test]
fn hostile_bytes_are_shown_as_what_they_are_not() {
    let picture = hostile();
    for inputs in [vec![], vec![Enter], vec![Enter, Enter], typed("f")] {
        let screen = shown(&picture, &inputs, (120, 30));
        assert!(screen.contains("\u{fffd}[2J\u{fffd}evil"), "{screen}");
        assert!(!screen.contains(|c: char| c.is_control() && c != '\n'), "{screen:?}");
    }
}

#[test]
fn the_selected_pod_is_seen_among_many() {
    let pods = (0..500)
        .map(|n| pod(&format!("pod-{n:03}"), Totals { requests: 1, ..Totals::default() }, Vec::new()));
    let summary = summary(pods.collect());
    let picture = Meter::new(0).measure(summary, &Recorder::default(), SECOND, WallClock::UNIX);
    assert!(shown(&picture, &[], (80, 20)).contains("\n> shop/pod-000 "));
    assert!(shown(&picture, &[Input::End], (80, 20)).contains("\n> shop/pod-499 "));
    assert!(shown(&picture, &[Input::End, Up], (80, 20)).contains("\n> shop/pod-498 "));
}

#[test]
fn the_keys_of_each_view_fit_into_the_least_columns() {
    let picture = picture();
    for inputs in [vec![], vec![Enter], vec![Enter, Enter], typed("f")] {
        let screen = shown(&picture, &inputs, SMALLEST);
        let keys = screen.lines().last().unwrap_or_default();
        assert!(keys.ends_with("q quit"), "{keys}");
    }
}
