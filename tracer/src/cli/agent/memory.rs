//! What the web page shows besides sums: all of it bounded.

use super::{history::History, recent::Recent};
use crate::{
    pod::Pod,
    request::{Request, folded::Folded},
};

/// Breakdowns over time, and the slowest requests.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Per pod, an hour.
    pub(super) history: History,
    /// Some minutes.
    pub(super) recent: Recent,
}

impl Memory {
    /// Takes a settled request.
    pub(super) fn request(&mut self, request: &Request) {
        self.history.request(request);
        self.recent.request(request);
    }

    /// Takes requests that the kernel added up: none of them is among the slowest.
    pub(super) fn folded(&mut self, pod: &Pod, folded: &Folded) {
        self.history.folded(pod, folded);
    }

    /// A pod is gone. Its slow requests stay for their minutes.
    pub(super) fn forget(&mut self, pod: &Pod) {
        self.history.forget(pod);
    }
}
