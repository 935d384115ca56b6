//! The memory that all connections of a capture share.

/// Bytes that connections may still hold, for out-of-order payload and long lists of unacknowledged segments.
#[derive(Debug)]
pub struct Budget {
    left: usize,
}

impl Budget {
    /// A budget of `bytes`.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self { left: bytes }
    }

    /// Bytes that are not held.
    #[must_use]
    pub fn left(&self) -> usize {
        self.left
    }

    /// Takes all of `bytes`, or says no.
    pub(super) fn take(&mut self, bytes: usize) -> bool {
        let left = self.left.checked_sub(bytes);
        self.left = left.unwrap_or(self.left);
        left.is_some()
    }

    /// Gives back what was taken.
    pub(super) fn give(&mut self, bytes: usize) {
        self.left = self.left.saturating_add(bytes);
    }
}
