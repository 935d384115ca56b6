//! Colours. What they say is said by letters and words too.

use ratatui::style::{Color, Modifier, Style};

use crate::finding::Severity;

/// A letter per stage, in the order of [`crate::request::Stages::NAMES`].
pub(super) const LETTERS: [char; 7] = ['R', 'D', 'C', 'M', 'U', 'S', 'E'];

/// One colour per stage, in the same order.
const COLOURS: [Color; 7] = [
    Color::Blue,
    Color::Yellow,
    Color::Magenta,
    Color::LightRed,
    Color::Cyan,
    Color::Green,
    Color::LightBlue,
];

/// How things look.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Theme {
    has_colours: bool,
}

impl Theme {
    /// With colours or without.
    pub(in super::super) fn new(has_colours: bool) -> Self {
        Self { has_colours }
    }

    /// A stage's part of a bar.
    pub(super) fn stage(self, stage: usize) -> Style {
        let colour = COLOURS.get(stage).copied().unwrap_or_default();
        self.coloured(Style::new().fg(Color::Black).bg(colour))
    }

    /// Something that is wrong.
    pub(super) fn warning(self) -> Style {
        self.coloured(Style::new().fg(Color::LightRed)).add_modifier(Modifier::BOLD)
    }

    /// How bad a finding is.
    pub(super) fn severity(self, severity: Severity) -> Style {
        match severity {
            Severity::Critical => self.warning(),
            Severity::Warning => self.coloured(Style::new().fg(Color::Yellow)),
            Severity::Info => Style::new(),
        }
    }

    fn coloured(self, style: Style) -> Style {
        if self.has_colours { style } else { Style::new() }
    }
}
