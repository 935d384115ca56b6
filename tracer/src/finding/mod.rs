//! Named causes. One file per finding; each watches settled requests and calls and says what it found.

pub mod dns_search;
pub mod metadata_credentials;

use std::sync::Arc;

use crate::pod::Pod;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Costs time.
    Warning,
    /// Most of the time goes there.
    Critical,
}

impl Severity {
    /// Its name in outputs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// A value of a finding's evidence.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A count.
    Count(u64),
    /// Seconds.
    Seconds(f64),
    /// A share of a whole, 0 to 1.
    Share(f64),
    /// A plain number.
    Number(f64),
    /// A text.
    Text(String),
    /// Several texts.
    List(Vec<String>),
}

/// A named cause with its evidence and remedy.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Stable identifier, such as `metadata-credentials`.
    pub id: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// The pod it is about.
    pub subject: Arc<Pod>,
    /// When the evidence begins, nanoseconds of the source's clock.
    pub since: u64,
    /// Named numbers, flows and times, in the order in which a reader wants them.
    pub evidence: Vec<(&'static str, Value)>,
    /// What happens, in words, with the numbers in it.
    pub explanation: String,
    /// What to do.
    pub remedy: String,
}
