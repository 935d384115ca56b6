//! What the user looks at, and what each input makes of it. Pure.

use std::{cmp::Reverse, sync::Arc};

use super::{
    cursor::{Cursor, Step},
    input::Input,
    picture::{Picture, PodPicture},
};
use crate::{clock::WallClock, export, finding::Finding, request::Request};

/// Characters of a filter.
const FILTER_LIMIT: usize = 64;
/// Columns and lines before the terminal said how many.
const SIZE: (usize, usize) = (80, 20);
/// Lines above and below the view.
const FRAME: usize = 3;
/// Lines of the list of findings at most: the text below it says more.
pub(super) const LIST: usize = 8;

/// What the pods are sorted by, most first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// Time that requests took, per second.
    Time,
    /// Requests per second.
    Requests,
    /// The slowest request of the last minute.
    Slowest,
    /// By name.
    Name,
}

impl Sort {
    /// As the header calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Requests => "requests",
            Self::Slowest => "slowest",
            Self::Name => "name",
        }
    }

    fn next(self) -> Self {
        match self {
            Self::Time => Self::Requests,
            Self::Requests => Self::Slowest,
            Self::Slowest => Self::Name,
            Self::Name => Self::Time,
        }
    }
}

/// What tells a request from others.
pub(super) type RequestKey = (u64, u32, u64);
/// What tells a finding from others: the pod's UID, its kind, its destination.
pub(super) type FindingKey = (String, &'static str, Option<String>);

/// What fills the screen.
#[derive(Clone, Debug)]
pub(super) enum View {
    /// The table of pods.
    Pods,
    /// One pod.
    Pod {
        uid: String,
        /// On its slow requests.
        cursor: Cursor<RequestKey>,
    },
    /// One request, which stays though it may be gone from the picture.
    Request { request: Arc<Request>, scroll: usize },
    /// The findings of a pod, or of all.
    Findings { of: Option<String>, cursor: Cursor<FindingKey>, scroll: usize },
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    GoOn,
    Quit,
}

/// All that the user chose.
#[derive(Clone, Debug)]
pub(super) struct State {
    /// The views from the first to the one that is seen: never empty, and as deep as views lead to others.
    views: Vec<View>,
    /// On the pods, by UID.
    pub(super) pods: Cursor<String>,
    pub(super) sort: Sort,
    pub(super) filter: String,
    /// Characters go into the filter.
    pub(super) is_editing: bool,
    /// The picture stands.
    pub(super) is_paused: bool,
    /// Columns, and the lines between those above and below.
    size: (usize, usize),
}

impl State {
    /// The table of pods by time.
    pub(super) fn new() -> Self {
        Self {
            views: vec![View::Pods],
            pods: Cursor::default(),
            sort: Sort::Time,
            filter: String::new(),
            is_editing: false,
            is_paused: false,
            size: SIZE,
        }
    }

    /// What is seen.
    pub(super) fn view(&self) -> &View {
        self.views.last().unwrap_or(&View::Pods)
    }

    /// Takes an input; `picture` is what the user sees.
    pub(super) fn input(&mut self, input: Input, picture: &Picture) -> Next {
        match input {
            Input::Interrupt => return Next::Quit,
            Input::Resize(columns, lines) => {
                self.size = (columns.into(), usize::from(lines).saturating_sub(FRAME).max(1));
            }
            _ if self.is_editing => self.edit(input),
            Input::Character('q') => return Next::Quit,
            Input::Character('p' | ' ') => self.is_paused = !self.is_paused,
            Input::Character('f') => self.findings(picture),
            Input::Character('s') if self.is_at_pods() => self.sort = self.sort.next(),
            Input::Character('/') if self.is_at_pods() => self.is_editing = true,
            Input::Escape => self.back(),
            Input::Enter => self.open(picture),
            _ => {
                if let Some(step) = Step::of(input, self.size.1) {
                    self.step(step, picture);
                }
            }
        }
        Next::GoOn
    }

    fn is_at_pods(&self) -> bool {
        matches!(self.view(), View::Pods)
    }

    fn edit(&mut self, input: Input) {
        match input {
            Input::Character(character) if self.filter.chars().count() < FILTER_LIMIT => {
                self.filter.push(character);
            }
            Input::Backspace => drop(self.filter.pop()),
            Input::Enter => self.is_editing = false,
            Input::Escape => {
                self.is_editing = false;
                self.filter.clear();
            }
            _ => {}
        }
    }

    /// From the first view, back means to look at all pods again.
    fn back(&mut self) {
        if self.views.len() > 1 {
            self.views.pop();
        } else {
            self.filter.clear();
        }
    }

    fn open(&mut self, picture: &Picture) {
        let next = match self.view() {
            View::Pods => {
                let pods = self.visible(picture);
                let selected = self.pods.index(&uids(&pods)).and_then(|at| pods.get(at));
                selected.map(|pod| View::Pod { uid: pod.uid.clone(), cursor: Cursor::default() })
            }
            View::Pod { uid, cursor } => {
                let slow = picture.pod(uid).map_or(&[][..], |pod| &pod.slow);
                let selected = cursor.index(&request_keys(slow)).and_then(|at| slow.get(at));
                selected.map(|request| View::Request { request: Arc::clone(request), scroll: 0 })
            }
            View::Request { .. } | View::Findings { .. } => None,
        };
        self.views.extend(next);
    }

    /// Opens the findings of what is seen, or closes them.
    fn findings(&mut self, picture: &Picture) {
        let of = match self.view() {
            View::Findings { .. } => return self.back(),
            View::Pods => None,
            View::Pod { uid, .. } => Some(uid.clone()),
            View::Request { request, .. } => Some(request.pod.uid.clone()),
        };
        // With the worst one of the selected pod.
        let mut cursor = Cursor::default();
        if of.is_none() {
            let pods = self.visible(picture);
            let selected = self.pods.index(&uids(&pods)).and_then(|at| pods.get(at));
            if let Some(finding) = selected.and_then(|pod| pod.findings.first()) {
                cursor = Cursor::at(finding_key(finding));
            }
        }
        self.views.push(View::Findings { of, cursor, scroll: 0 });
    }

    fn step(&mut self, step: Step, picture: &Picture) {
        let pods = uids(&self.visible(picture));
        match self.views.last_mut() {
            None | Some(View::Pods) => self.pods.step(&pods, step),
            Some(View::Pod { uid, cursor }) => {
                let slow = picture.pod(uid).map_or(&[][..], |pod| &pod.slow);
                cursor.step(&request_keys(slow), step);
            }
            Some(View::Request { request, scroll }) => {
                let lines = waterfall_lines(request, picture.clock).len();
                *scroll = step.from(*scroll, lines.saturating_sub(self.size.1) + 1);
            }
            Some(View::Findings { of, cursor, scroll }) => {
                let findings = picture.findings(of.as_deref());
                let keys: Vec<_> = findings.iter().map(|finding| finding_key(finding)).collect();
                let selected = cursor.index(&keys).and_then(|at| findings.get(at));
                // Lines select; pages move in the text of the selected one.
                match (step, selected) {
                    (Step::By(by), Some(finding)) if by.unsigned_abs() > 1 => {
                        let lines = finding_lines(finding, picture.clock, self.size.0).len();
                        let seen = said_lines(self.size.1, findings.len());
                        *scroll = step.from(*scroll, lines.saturating_sub(seen) + 1);
                    }
                    _ => {
                        cursor.step(&keys, step);
                        *scroll = 0;
                    }
                }
            }
        }
    }

    /// The pods that the filter lets through, sorted.
    pub(super) fn visible<'a>(&self, picture: &'a Picture) -> Vec<&'a PodPicture> {
        let mut pods: Vec<_> = picture.pods.iter().filter(|pod| self.lets_through(pod)).collect();
        pods.sort_by(|a, b| {
            let rank = |pod: &PodPicture| match self.sort {
                Sort::Time => pod.recent.stages.total(),
                Sort::Requests => pod.recent.requests,
                Sort::Slowest => pod.slowest(),
                Sort::Name => 0,
            };
            Reverse(rank(a)).cmp(&Reverse(rank(b))).then_with(|| a.name.cmp(&b.name))
        });
        pods
    }

    /// By the pod's name or one of its findings, whatever the case.
    fn lets_through(&self, pod: &PodPicture) -> bool {
        let text = self.filter.to_lowercase();
        pod.name.to_lowercase().contains(&text)
            || pod.findings.iter().any(|finding| finding.id.contains(&text))
    }
}

/// What the cursor on pods selects from.
pub(super) fn uids(pods: &[&PodPicture]) -> Vec<String> {
    pods.iter().map(|pod| pod.uid.clone()).collect()
}

/// What the cursor on slow requests selects from.
pub(super) fn request_keys(requests: &[Arc<Request>]) -> Vec<RequestKey> {
    let key = |request: &Arc<Request>| (request.flow, request.number, request.messages.request_first);
    requests.iter().map(key).collect()
}

/// What the cursor on findings selects from.
pub(super) fn finding_key(finding: &Finding) -> FindingKey {
    (finding.subject.uid.clone(), finding.id, finding.destination.as_ref().map(ToString::to_string))
}

/// All that a finding says, in lines.
pub(super) fn finding_lines(finding: &Finding, clock: WallClock, columns: usize) -> Vec<String> {
    export::table::finding(finding, clock, columns).lines().map(ToOwned::to_owned).collect()
}

/// Lines that a finding's text has, below its title and the list with its own.
pub(super) fn said_lines(lines: usize, findings: usize) -> usize {
    lines.saturating_sub(findings.min(LIST) + 2)
}

/// A request's waterfall, in lines without control characters.
pub(super) fn waterfall_lines(request: &Request, clock: WallClock) -> Vec<String> {
    let text = export::waterfall::waterfall(request, &clock);
    text.lines().map(|line| export::text::printable(line).into_owned()).collect()
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
