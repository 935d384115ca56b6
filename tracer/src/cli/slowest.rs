//! The slowest answered requests.

use crate::request::{Marks, Request};

/// At most so many of them, slowest first, each with what was noted when it settled.
pub(super) struct Slowest<T> {
    keep: usize,
    kept: Vec<(Request, T)>,
}

impl<T> Slowest<T> {
    pub(super) fn new(keep: usize) -> Self {
        Self { keep, kept: Vec::new() }
    }

    /// Keeps a request if it is slow enough, with what `note` says of it.
    pub(super) fn see(&mut self, request: &Request, note: impl FnOnce() -> T) {
        if request.marks.has(Marks::UNANSWERED) {
            return;
        }
        let at = self.kept.partition_point(|(kept, _)| kept.total() >= request.total());
        if at < self.keep {
            self.kept.insert(at, (request.clone(), note()));
            self.kept.truncate(self.keep);
        }
    }

    pub(super) fn kept(&self) -> &[(Request, T)] {
        &self.kept
    }
}
