//! What one kind of finding is made of, and how its evidence is collected.

use std::{fmt, net::SocketAddr, sync::Arc};

use super::{
    Evidence, Severity, Threshold,
    threshold::{COMMON, KindSettings, Thresholds},
    value::Fields,
    window::{Merge, Period, Window},
};
use crate::request::{Attribution, Call, Outage, Request, folded::Folded};

/// A kind of finding.
pub struct Kind {
    /// Stable identifier, such as `dns-search`; its page is `docs/findings/ID.md`.
    pub id: &'static str,
    /// Its own thresholds.
    pub thresholds: &'static [Threshold],
    /// The names of its evidence, in the order in which a reader wants them.
    pub evidence: &'static [&'static str],
    make: fn(&KindSettings, Period) -> Box<dyn Detector>,
}

impl Kind {
    /// The kind that a rule stands for.
    pub(super) const fn of<R: Rule>() -> Self {
        Self {
            id: R::ID,
            thresholds: R::Thresholds::TABLE,
            evidence: R::Evidence::NAMES,
            make: |settings, period| Box::new(Watcher::<R>::new(settings, period)),
        }
    }

    /// Everything that can be configured: what all have in common, then its own.
    pub fn settings(&self) -> impl Iterator<Item = &'static Threshold> {
        COMMON.into_iter().chain(self.thresholds)
    }

    /// Where its page is, from the root of the sources.
    #[must_use]
    pub fn page(id: &str) -> String {
        format!("docs/findings/{id}.md")
    }

    pub(super) fn detector(&self, settings: &KindSettings, period: Period) -> Box<dyn Detector> {
        (self.make)(settings, period)
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id)
    }
}

/// The server, or the service, that a finding is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Destination {
    /// Its address.
    Address(SocketAddr),
    /// Its name.
    Service(Arc<str>),
}

impl From<SocketAddr> for Destination {
    fn from(address: SocketAddr) -> Self {
        Self::Address(address)
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Service(name) => name.fmt(f),
        }
    }
}

/// What a call is evidence for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Proves {
    /// Nothing: it is counted at most.
    Nothing,
    /// A finding about the pod.
    Pod,
    /// A finding about the pod and this destination.
    Destination(Destination),
}

impl Proves {
    /// Whether it is evidence for a finding about this destination.
    pub(super) fn is_for(&self, destination: Option<&Destination>) -> bool {
        match self {
            Self::Nothing => false,
            Self::Pod => destination.is_none(),
            Self::Destination(own) => destination == Some(own),
        }
    }
}

/// What a rule says when its condition holds. One per destination at most.
#[derive(Clone, Debug)]
pub(super) struct Verdict<E> {
    /// How bad it is.
    pub severity: Severity,
    /// Which server or service it is about, when it is about one. It must not change while the finding is open.
    pub destination: Option<Destination>,
    /// When the first evidence was seen.
    pub since: u64,
    /// What was seen.
    pub evidence: E,
    /// What happens, in words, with the numbers in it.
    pub explanation: String,
    /// What to do.
    pub remedy: String,
}

/// A kind of finding: what it counts, and when that gives cause. Pure, so that it judges live and captured
/// traffic alike.
pub(super) trait Rule: Sized + 'static {
    /// Its identifier.
    const ID: &'static str;
    /// What it is recognised by.
    type Thresholds: Thresholds;
    /// What its findings show.
    type Evidence: Fields;
    /// What it counts. Bounded.
    type Tally: Merge + Send;

    /// Sees a settled request.
    fn request(_window: &mut Window<Self::Tally>, _request: &Request) {}

    /// Sees requests that the kernel added up.
    fn folded(_window: &mut Window<Self::Tally>, _folded: &Folded) {}

    /// Sees a settled call, each once, whatever number of requests share it, and says what it is evidence for.
    fn call(
        window: &mut Window<Self::Tally>,
        call: &Call,
        attribution: Attribution,
        thresholds: &Self::Thresholds,
    ) -> Proves;

    /// Sees what is known of a server that does not answer, and says what it is evidence for.
    fn outage(_window: &mut Window<Self::Tally>, _outage: &Outage) -> Proves {
        Proves::Nothing
    }

    /// What a period's tally gives cause to say.
    fn judge(tally: &Self::Tally, thresholds: &Self::Thresholds) -> Vec<Verdict<Self::Evidence>>;
}

/// What holds at a time.
#[derive(Default)]
pub(super) struct Judgement {
    /// By the thresholds for opening.
    pub opens: Vec<Verdict<Arc<dyn Evidence>>>,
    /// By those for a finding that is open.
    pub stays: Vec<Verdict<Arc<dyn Evidence>>>,
}

/// A rule with what it has counted of one pod.
pub(super) trait Detector: Send {
    /// As [`Rule::request`].
    fn request(&mut self, request: &Request);
    /// As [`Rule::folded`].
    fn folded(&mut self, folded: &Folded);
    /// As [`Rule::call`].
    fn call(&mut self, call: &Call, attribution: Attribution) -> Proves;
    /// As [`Rule::outage`].
    fn outage(&mut self, outage: &Outage) -> Proves;
    /// What holds over the period that ends at `now`; `stays` only when asked for.
    fn judge(&self, now: u64, stays: bool) -> Judgement;
}

struct Watcher<R: Rule> {
    window: Window<R::Tally>,
    to_open: R::Thresholds,
    to_stay: R::Thresholds,
}

impl<R: Rule> Watcher<R> {
    fn new(settings: &KindSettings, period: Period) -> Self {
        Self {
            window: Window::new(period),
            to_open: R::Thresholds::of(settings.to_open()),
            to_stay: R::Thresholds::of(&settings.to_stay(R::Thresholds::TABLE)),
        }
    }
}

impl<R: Rule> Detector for Watcher<R> {
    fn request(&mut self, request: &Request) {
        R::request(&mut self.window, request);
    }

    fn folded(&mut self, folded: &Folded) {
        R::folded(&mut self.window, folded);
    }

    fn call(&mut self, call: &Call, attribution: Attribution) -> Proves {
        R::call(&mut self.window, call, attribution, &self.to_open)
    }

    fn outage(&mut self, outage: &Outage) -> Proves {
        R::outage(&mut self.window, outage)
    }

    fn judge(&self, now: u64, stays: bool) -> Judgement {
        let tally = self.window.sum(now);
        let by = |thresholds| R::judge(&tally, thresholds).into_iter().map(Verdict::shared).collect();
        Judgement { opens: by(&self.to_open), stays: if stays { by(&self.to_stay) } else { Vec::new() } }
    }
}

impl<E: Fields> Verdict<E> {
    fn shared(self) -> Verdict<Arc<dyn Evidence>> {
        let Self { severity, destination, since, evidence, explanation, remedy } = self;
        Verdict { severity, destination, since, evidence: Arc::new(evidence), explanation, remedy }
    }
}
