//! Numbers and bars.

use ratatui::text::{Line, Span};

use super::theme::{LETTERS, Theme};
use crate::{
    export::text::{apportion, milliseconds, round},
    request::Stages,
};

/// A rate in tenths per second, in five columns at most below a million; `-` for none.
pub(super) fn rate(tenths: u64) -> String {
    match tenths {
        0 => "-".to_owned(),
        1..1_000 => format!("{}.{}", tenths / 10, tenths % 10),
        1_000..100_000 => round(tenths, 10).to_string(),
        _ => format!("{}k", round(tenths, 10_000)),
    }
}

/// The mean in milliseconds; `-` of nothing.
pub(super) fn mean(nanoseconds: u64, count: u64) -> String {
    if count == 0 { "-".to_owned() } else { milliseconds(round(nanoseconds, count)) }
}

/// The stages' shares as a bar of so many columns, each stage with its letter and colour.
pub(super) fn bar(stages: &Stages, columns: u16, theme: Theme) -> Line<'static> {
    let parts = apportion(stages.values(), columns.into());
    let named = LETTERS.iter().zip(parts).enumerate();
    let spans = named.filter(|(_, (_, columns))| *columns > 0).map(|(stage, (letter, columns))| {
        let text: String = (0..columns).map(|_| *letter).collect();
        Span::styled(text, theme.stage(stage))
    });
    spans.collect::<Vec<_>>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_stay_narrow() {
        let shown = [0, 1, 25, 999, 1_004, 99_990, 1_234_567].map(rate);
        assert_eq!(shown, ["-", "0.1", "2.5", "99.9", "100", "9999", "123k"]);
    }

    #[test]
    fn a_bar_is_as_long_as_it_may_be_and_empty_of_nothing() {
        let stages = Stages { metadata: 86, upstream: 18, own: 1, ..Stages::default() };
        let text = |columns| bar(&stages, columns, Theme::new(true)).to_string();
        assert_eq!(text(20), "MMMMMMMMMMMMMMMMUUUU");
        assert_eq!(text(1), "M");
        assert_eq!(bar(&Stages::default(), 20, Theme::new(true)).to_string(), "");
    }
}
