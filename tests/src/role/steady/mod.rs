//! Clients that talk at a steady rate for as long as they are left, as those of a healthy cluster do: they keep
//! connections and renew them, and ask again when a server restarts.

pub mod lookups;
pub mod web;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::random::mix;

/// How often the counts are written.
const EACH: Duration = Duration::from_secs(1);
/// Who is later than this does not catch up: that would be a storm.
const LATE: Duration = Duration::from_secs(1);

/// Flags of all of them.
#[derive(Args, Clone)]
pub struct Common {
    /// Requests per second
    #[arg(long)]
    pub rate: f64,
    /// What varies between runs
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// File that holds the counts so far, as JSON
    #[arg(long)]
    pub count: PathBuf,
}

/// What a client did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Requests that were answered as they should be.
    pub ok: u64,
    /// Requests that were made once more, because the server restarted.
    pub again: u64,
    /// Requests without the answer that they should have had.
    pub failed: u64,
}

impl Count {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let (ok, again) = (self.ok + other.ok, self.again + other.again);
        Self { ok, again, failed: self.failed + other.failed }
    }
}

/// Counts that a thread writes to a file each second.
#[derive(Clone, Default)]
pub struct Counts(Arc<[AtomicU64; 3]>);

impl Counts {
    /// Starts to write them.
    pub fn written_to(file: &Path) -> Result<Self> {
        let counts = Self::default();
        let (shared, path, draft) = (counts.clone(), file.to_owned(), file.with_extension("draft"));
        let write = move || -> Result<()> {
            // Whoever reads it finds it whole.
            std::fs::write(&draft, serde_json::to_string(&shared.now())?)?;
            std::fs::rename(&draft, &path)?;
            Ok(())
        };
        write().with_context(|| format!("write {}", file.display()))?;
        std::thread::spawn(move || {
            while write().is_ok() {
                std::thread::sleep(EACH);
            }
        });
        Ok(counts)
    }

    /// Counts a request's outcome; what went wrong is said on stderr.
    pub fn add<T>(&self, what: &str, outcome: &Result<T>) {
        if let Err(error) = outcome {
            eprintln!("tracer-lab: {what}: {error:#}");
        }
        let at = if outcome.is_ok() { &self.0[0] } else { &self.0[2] };
        at.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request that is made once more.
    pub fn again(&self) {
        self.0[1].fetch_add(1, Ordering::Relaxed);
    }

    fn now(&self) -> Count {
        let [ok, again, failed] = [0, 1, 2].map(|at: usize| self.0[at].load(Ordering::Relaxed));
        Count { ok, again, failed }
    }
}

/// When to ask next: evenly, each a little early or late, always in the same way for the same seed.
pub struct Pace {
    period: Duration,
    due: Instant,
    random: u64,
}

impl Pace {
    /// So many times per second.
    #[must_use]
    pub fn new(rate: f64, seed: u64) -> Self {
        let period = Duration::from_secs_f64(1.0 / rate.max(0.001));
        Self { period, due: Instant::now() + period.mul_f64(fraction(mix(seed))), random: mix(seed) }
    }

    /// How long to wait, and a number that looks random.
    pub fn step(&mut self) -> (Duration, u64) {
        self.random = mix(self.random);
        let now = Instant::now();
        let wait = self.due.saturating_duration_since(now);
        if self.due + LATE < now {
            self.due = now;
        }
        self.due += self.period.mul_f64(0.5 + fraction(self.random));
        (wait, mix(self.random ^ 1))
    }

    /// Waits, and returns the number.
    pub fn wait(&mut self) -> u64 {
        let (wait, random) = self.step();
        std::thread::sleep(wait);
        random
    }
}

/// Of one.
fn fraction(random: u64) -> f64 {
    f64::from(u32::try_from(random >> 32).unwrap_or_default()) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Counts, Pace};

    #[test]
    fn a_pace_is_the_same_for_the_same_seed() {
        let numbers = |seed| {
            let mut pace = Pace::new(1000.0, seed);
            [pace.step().1, pace.step().1]
        };
        assert_eq!(numbers(1), numbers(1));
        assert_ne!(numbers(1), numbers(2));
    }

    #[test]
    fn outcomes_are_counted() {
        let counts = Counts::default();
        counts.add("a", &Ok(()));
        counts.add("b", &Err::<(), _>(anyhow::anyhow!("broken")));
        counts.again();
        let now = counts.now();
        assert_eq!((now.ok, now.again, now.failed), (1, 1, 1));
    }
}
