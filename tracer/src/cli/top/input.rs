//! What the user does, apart from how a terminal tells it.

use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// Something that the user did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
    Enter,
    Escape,
    Backspace,
    /// A character that can be shown.
    Character(char),
    /// End, whatever is on the screen.
    Interrupt,
    /// The terminal has so many columns and lines now.
    Resize(u16, u16),
}

impl Input {
    /// From what the terminal told; `None` for what means nothing here.
    pub(super) fn of(event: &Event) -> Option<Self> {
        match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => Self::of_key(*key),
            Event::Resize(columns, lines) => Some(Self::Resize(*columns, *lines)),
            _ => None,
        }
    }

    fn of_key(key: KeyEvent) -> Option<Self> {
        if key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT) {
            let interrupts = key.modifiers == KeyModifiers::CONTROL && key.code == KeyCode::Char('c');
            return interrupts.then_some(Self::Interrupt);
        }
        Some(match key.code {
            KeyCode::Up => Self::Up,
            KeyCode::Down => Self::Down,
            KeyCode::PageUp => Self::PageUp,
            KeyCode::PageDown => Self::PageDown,
            KeyCode::Home => Self::Home,
            KeyCode::End => Self::End,
            KeyCode::Enter => Self::Enter,
            KeyCode::Esc => Self::Escape,
            KeyCode::Backspace => Self::Backspace,
            KeyCode::Char(character) if !character.is_control() => Self::Character(character),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(code: KeyCode, modifiers: KeyModifiers) -> Option<Input> {
        Input::of(&Event::Key(KeyEvent::new(code, modifiers)))
    }

    #[test]
    fn control_and_c_interrupt_and_other_controls_do_nothing() {
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Input::Interrupt));
        assert_eq!(key(KeyCode::Char('q'), KeyModifiers::CONTROL), None);
        assert_eq!(key(KeyCode::Char('q'), KeyModifiers::ALT), None);
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::NONE), Some(Input::Character('c')));
    }

    #[test]
    fn a_key_that_is_let_go_was_pressed_before() {
        let mut released = KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE);
        released.kind = KeyEventKind::Release;
        assert_eq!(Input::of(&Event::Key(released)), None);
        assert_eq!(Input::of(&Event::FocusLost), None);
    }

    #[test]
    fn capitals_and_resizes_come_through() {
        assert_eq!(key(KeyCode::Char('Q'), KeyModifiers::SHIFT), Some(Input::Character('Q')));
        assert_eq!(Input::of(&Event::Resize(80, 24)), Some(Input::Resize(80, 24)));
    }
}
