//! The findings of a pod, from the first evidence until it has been absent for a while.
//!
//! A finding opens when its condition holds. It stays open while the condition holds with lower bars, and for a
//! hold time after that, so that evidence around a bar does not make it flap. At the end of a whole run only
//! what holds over all of it, by the bars for opening, stays.

use std::{cmp::Reverse, collections::BTreeMap, net::SocketAddr, sync::Arc};

use super::{
    Destination, Evidence, Finding, KINDS, Kind, Period, Settings,
    kind::{Detector, Judgement, Proves, Verdict},
    window::DESTINATION_LIMIT,
};
use crate::{
    pod::Pod,
    request::{Attribution, Call, Outage, Place, Request, folded::Folded},
};

/// Findings open at once, of all pods together; further ones do not open and are counted.
pub const OPEN_LIMIT: usize = 1024;
/// How often a pod is judged at most.
const JUDGE_EVERY: u64 = 250_000_000;
/// Calls kept between two judgements, to be told when they open a finding.
const RECENT_LIMIT: usize = 16;

/// By what findings are judged.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Over which time.
    pub period: Period,
    /// By which thresholds.
    pub settings: Arc<Settings>,
}

impl From<Period> for Policy {
    fn from(period: Period) -> Self {
        Self { period, settings: Arc::default() }
    }
}

/// What happens to a finding.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// Its condition holds.
    Opened(&'a Finding),
    /// Its condition has not held for the hold time, or not over the whole run. As it was when it last held.
    Closed(&'a Finding),
    /// It is open, and a call is evidence for it.
    Evidence(&'a Finding, Place),
}

/// How many findings of all pods are open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    open: usize,
    /// Findings that could not open at a cap.
    pub refused: u64,
}

impl Ledger {
    fn take(&mut self) -> bool {
        let room = self.open < OPEN_LIMIT;
        self.open += usize::from(room);
        room
    }

    fn give_back(&mut self) {
        self.open = self.open.saturating_sub(1);
    }
}

/// Who is told.
type Tell<'a> = &'a mut dyn FnMut(Event<'_>);

/// Servers of a pod whose names are kept, for findings about them.
const NAMED_LIMIT: usize = 256;

/// Whom findings are about.
struct About {
    pod: Arc<Pod>,
    /// Names of the servers that it calls.
    names: BTreeMap<SocketAddr, Arc<str>>,
}

impl About {
    fn learn(&mut self, peer: SocketAddr, name: &Arc<str>) {
        let has_room = self.names.len() < NAMED_LIMIT;
        match self.names.get_mut(&peer) {
            Some(known) if known == name => {}
            Some(known) => *known = Arc::clone(name),
            None if has_room => drop(self.names.insert(peer, Arc::clone(name))),
            None => {}
        }
    }

    fn name(&self, destination: Option<&Destination>) -> Option<Arc<str>> {
        let Some(Destination::Address(address)) = destination else { return None };
        self.names.get(address).cloned()
    }
}

/// Every finding that one pod may have.
pub struct Watch {
    about: About,
    period: Period,
    kinds: Vec<Watched>,
    next: u64,
}

/// A kind of finding with those that are open.
struct Watched {
    kind: &'static Kind,
    hold: u64,
    detector: Box<dyn Detector>,
    open: Vec<Open>,
    /// Evidence since the last judgement, the first [`RECENT_LIMIT`].
    recent: Vec<(Proves, Place)>,
    /// There was evidence since the last judgement.
    is_due: bool,
    /// The last judgement could not open a finding, which is counted.
    is_refused: bool,
}

struct Open {
    finding: Finding,
    /// Whether its condition held at the last judgement.
    holds: bool,
    /// When its condition last held.
    held: u64,
}

impl Watch {
    /// Watches a pod.
    #[must_use]
    pub fn new(pod: Arc<Pod>, policy: &Policy) -> Self {
        let enabled = KINDS.iter().zip(policy.settings.kinds()).filter(|(_, settings)| settings.enabled);
        let kinds = enabled.map(|(kind, settings)| Watched {
            kind,
            hold: settings.hold(),
            detector: kind.detector(settings, policy.period),
            open: Vec::new(),
            recent: Vec::new(),
            is_due: false,
            is_refused: false,
        });
        Self {
            about: About { pod, names: BTreeMap::new() },
            period: policy.period,
            kinds: kinds.collect(),
            next: 0,
        }
    }

    /// More is known of the pod: its findings, open ones included, are about it by its new name.
    pub fn rename(&mut self, pod: &Arc<Pod>) {
        self.about.pod = Arc::clone(pod);
        for open in self.kinds.iter_mut().flat_map(|watched| &mut watched.open) {
            open.finding.subject = Arc::clone(pod);
        }
    }

    /// Takes a settled request.
    pub fn request(&mut self, request: &Request) {
        for watched in &mut self.kinds {
            watched.detector.request(request);
        }
    }

    /// Takes requests that the kernel added up.
    pub fn folded(&mut self, folded: &Folded) {
        for watched in &mut self.kinds {
            watched.detector.folded(folded);
        }
    }

    /// Takes a settled call, and tells for which open findings it is evidence.
    pub fn call(&mut self, call: &Call, attribution: Attribution, tell: Tell<'_>) {
        if let Some(name) = &call.peer_name {
            self.about.learn(call.peer, name);
        }
        let place = Place::of(call);
        for watched in &mut self.kinds {
            let proves = watched.detector.call(call, attribution);
            watched.evidence(proves, place, tell);
        }
    }

    /// Takes what is known of a server that does not answer.
    pub fn outage(&mut self, outage: &Outage, tell: Tell<'_>) {
        for watched in &mut self.kinds {
            let proves = watched.detector.outage(outage);
            watched.evidence(proves, outage.place, tell);
        }
    }

    /// Moves time: opens and closes findings.
    pub fn advance(&mut self, now: u64, ledger: &mut Ledger, tell: Tell<'_>) {
        if now >= self.next {
            self.judge(now, false, ledger, tell);
        }
    }

    /// Tracing is over at `now`.
    pub fn finish(&mut self, now: u64, ledger: &mut Ledger, tell: Tell<'_>) {
        self.judge(now, self.period == Period::WholeRun, ledger, tell);
    }

    /// The pod is gone: closes what is open.
    pub fn close(&mut self, ledger: &mut Ledger, tell: Tell<'_>) {
        for open in self.kinds.iter_mut().flat_map(|watched| watched.open.drain(..)) {
            ledger.give_back();
            tell(Event::Closed(&open.finding));
        }
    }

    /// What is open, worst first.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let open = self.kinds.iter().flat_map(|watched| &watched.open);
        let mut open: Vec<Finding> = open.map(|open| open.finding.clone()).collect();
        open.sort_by_key(|finding| Reverse(finding.severity));
        open
    }

    fn judge(&mut self, now: u64, is_final: bool, ledger: &mut Ledger, tell: Tell<'_>) {
        self.next = now.saturating_add(JUDGE_EVERY);
        for watched in &mut self.kinds {
            if watched.is_due || !watched.open.is_empty() {
                watched.judge(&self.about, now, is_final, ledger, tell);
            }
        }
    }
}

impl Watched {
    fn evidence(&mut self, proves: Proves, place: Place, tell: Tell<'_>) {
        if proves == Proves::Nothing {
            return;
        }
        self.is_due = true;
        match self.open.iter().find(|open| proves.is_for(open.finding.destination.as_ref())) {
            Some(open) => tell(Event::Evidence(&open.finding, place)),
            None if self.recent.len() < RECENT_LIMIT => self.recent.push((proves, place)),
            None => {}
        }
    }

    fn judge(&mut self, about: &About, now: u64, is_final: bool, ledger: &mut Ledger, tell: Tell<'_>) {
        let Judgement { opens, stays } = self.detector.judge(now, !self.open.is_empty() && !is_final);
        self.is_due = false;
        for open in &mut self.open {
            open.holds = false;
        }
        for verdict in if is_final { &opens } else { &stays } {
            if let Some(open) = self.open.iter_mut().find(|open| open.is_about(verdict)) {
                open.renew(verdict, now);
            }
        }
        let hold = self.hold;
        self.open.retain(|open| {
            let stays = open.holds || !is_final && now.saturating_sub(open.held) <= hold;
            if !stays {
                ledger.give_back();
                tell(Event::Closed(&open.finding));
            }
            stays
        });
        let mut refused = 0;
        for verdict in opens {
            if !self.open.iter().any(|open| open.is_about(&verdict)) {
                refused += u64::from(!self.open(about, verdict, now, ledger, tell));
            }
        }
        ledger.refused += if self.is_refused { 0 } else { refused };
        self.is_refused = refused > 0;
        self.recent.clear();
    }

    /// Opens a finding, unless there are too many.
    fn open(
        &mut self,
        about: &About,
        verdict: Verdict<Arc<dyn Evidence>>,
        now: u64,
        ledger: &mut Ledger,
        tell: Tell<'_>,
    ) -> bool {
        if self.open.len() >= DESTINATION_LIMIT || !ledger.take() {
            return false;
        }
        let finding = Finding {
            id: self.kind.id,
            severity: verdict.severity,
            subject: Arc::clone(&about.pod),
            destination_name: about.name(verdict.destination.as_ref()),
            destination: verdict.destination,
            since: verdict.since,
            evidence: verdict.evidence,
            explanation: verdict.explanation,
            remedy: verdict.remedy,
        };
        tell(Event::Opened(&finding));
        for (proves, place) in &self.recent {
            if proves.is_for(finding.destination.as_ref()) {
                tell(Event::Evidence(&finding, *place));
            }
        }
        self.open.push(Open { finding, holds: true, held: now });
        true
    }
}

impl Open {
    fn is_about(&self, verdict: &Verdict<Arc<dyn Evidence>>) -> bool {
        self.finding.destination == verdict.destination
    }

    /// Takes over what is known now. It began with the evidence that opened it.
    fn renew(&mut self, verdict: &Verdict<Arc<dyn Evidence>>, now: u64) {
        (self.holds, self.held) = (true, now);
        let finding = &mut self.finding;
        finding.severity = verdict.severity;
        finding.evidence = Arc::clone(&verdict.evidence);
        finding.explanation.clone_from(&verdict.explanation);
        finding.remedy.clone_from(&verdict.remedy);
    }
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
