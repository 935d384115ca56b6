//! Named causes. One file per finding; each watches settled requests and calls and says what it found.

pub mod dns_search;
pub mod metadata_credentials;
mod window;

use std::sync::Arc;

pub use self::window::Period;
use crate::{
    pod::Pod,
    request::{Attribution, Call, Request},
};

/// Identifier of every finding that there is.
pub const IDS: [&str; 2] = [metadata_credentials::ID, dns_search::ID];

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

/// One kind of finding about one pod. A new one is a file with this trait, a line in
/// [`IDS`] and one in [`Watch::new`].
trait Detector: Send {
    /// Sees a settled request.
    fn request(&mut self, request: &Request);
    /// Sees a settled call: each once, whatever number of requests share it.
    fn call(&mut self, call: &Call, attribution: Attribution);
    /// The finding, if the period that ends at `now` gives cause.
    fn finding(&self, subject: &Arc<Pod>, now: u64) -> Option<Finding>;
}

/// Every detector of one pod.
pub struct Watch {
    pod: Arc<Pod>,
    detectors: [Box<dyn Detector>; IDS.len()],
}

impl Watch {
    /// Watches a pod; findings judge over `period`.
    #[must_use]
    pub fn new(pod: Arc<Pod>, period: Period) -> Self {
        let detectors: [Box<dyn Detector>; IDS.len()] = [
            Box::new(metadata_credentials::Watcher::new(period)),
            Box::new(dns_search::Watcher::new(period)),
        ];
        Self { pod, detectors }
    }

    /// Shows a settled request to every detector.
    pub fn request(&mut self, request: &Request) {
        for detector in &mut self.detectors {
            detector.request(request);
        }
    }

    /// Shows a settled call to every detector.
    pub fn call(&mut self, call: &Call, attribution: Attribution) {
        for detector in &mut self.detectors {
            detector.call(call, attribution);
        }
    }

    /// What holds at `now`, worst first.
    #[must_use]
    pub fn findings(&self, now: u64) -> Vec<Finding> {
        let mut found: Vec<Finding> =
            self.detectors.iter().filter_map(|detector| detector.finding(&self.pod, now)).collect();
        found.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        found
    }
}

/// Nanoseconds as seconds.
#[expect(clippy::cast_precision_loss, reason = "evidence is for people: 2^53 ns is exact enough")]
fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}

/// `part` of `whole`; 0 of nothing.
#[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
