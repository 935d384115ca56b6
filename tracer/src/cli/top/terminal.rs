//! The terminal: taken while the value lives, and given back as it was, however the command ends.

use std::{env, io, io::IsTerminal as _, thread, time::Duration};

use anyhow::Context as _;
use ratatui::{DefaultTerminal, Frame, crossterm::event};

use super::input::Input;

/// Inputs taken at once: a key that is held must not keep the loop from tracing.
const INPUT_LIMIT: usize = 64;

/// An error when standard input or output is something else.
pub(super) fn require() -> anyhow::Result<()> {
    anyhow::ensure!(
        io::stdin().is_terminal() && io::stdout().is_terminal(),
        "`tracer top` needs a terminal; `tracer live` prints the same to files and pipes"
    );
    Ok(())
}

/// Whether colours are wanted (<https://no-color.org>).
pub(super) fn has_colours() -> bool {
    env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The terminal in raw mode, showing the alternate screen.
pub(super) struct Terminal(DefaultTerminal);

impl Terminal {
    /// Takes it. A panic gives it back before it says anything.
    pub(super) fn take() -> anyhow::Result<Self> {
        match ratatui::try_init() {
            Ok(terminal) => Ok(Self(terminal)),
            Err(error) => {
                // Raw mode may be on already.
                ratatui::restore();
                Err(error).context("cannot use the terminal")
            }
        }
    }

    /// Columns and lines.
    pub(super) fn size(&self) -> anyhow::Result<Input> {
        let size = self.0.size().context("cannot ask for the terminal's size")?;
        Ok(Input::Resize(size.width, size.height))
    }

    /// Shows a new screen.
    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> anyhow::Result<()> {
        self.0.draw(draw).context("cannot write to the terminal")?;
        Ok(())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        let _gone = self.0.show_cursor();
        // A panic has left the screen already, and a second time would take its message away.
        if !thread::panicking() {
            let _gone = ratatui::try_restore();
        }
    }
}

/// What the user did since the last time.
pub(super) fn inputs() -> anyhow::Result<Vec<Input>> {
    let mut inputs = Vec::new();
    while inputs.len() < INPUT_LIMIT && event::poll(Duration::ZERO).context("cannot wait for keys")? {
        inputs.extend(Input::of(&event::read().context("cannot read keys")?));
    }
    Ok(inputs)
}
