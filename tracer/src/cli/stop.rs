//! When a command ends: a signal, or its time is over.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
};

/// Turns true when the command should end.
pub(super) struct Stop {
    asked: Arc<AtomicBool>,
    until: Option<Instant>,
}

impl Stop {
    /// Listens for SIGINT and SIGTERM, and ends after `duration` when there is one.
    pub(super) fn after(duration: Option<Duration>) -> anyhow::Result<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // A second signal ends the process at once; the first one only sets the flag.
            flag::register_conditional_shutdown(signal, 1, Arc::clone(&asked))
                .context("cannot handle signals")?;
            flag::register(signal, Arc::clone(&asked)).context("cannot handle signals")?;
        }
        Ok(Self { asked, until: duration.and_then(|duration| Instant::now().checked_add(duration)) })
    }

    /// Listens for SIGINT and SIGTERM, however often they come: for who has a terminal to restore.
    pub(super) fn restoring() -> anyhow::Result<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            flag::register(signal, Arc::clone(&asked)).context("cannot handle signals")?;
        }
        Ok(Self { asked, until: None })
    }

    /// Whether the command should end.
    pub(super) fn is_now(&self) -> bool {
        self.asked.load(Ordering::Relaxed) || self.until.is_some_and(|until| Instant::now() >= until)
    }
}

/// Reads a duration in seconds, fractions allowed.
pub(super) fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("{text} is not a number of seconds"))?;
    Duration::try_from_secs_f64(seconds).map_err(|error| format!("{text} seconds: {error}"))
}
