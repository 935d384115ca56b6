//! The paths of a connection: one allocation for requests that ask for the same again.

use std::sync::Arc;

/// Paths that are remembered, each at most [`crate::proto::stream::PATH_LIMIT`] bytes.
const LIMIT: usize = 16;

/// The newest paths.
#[derive(Debug, Default)]
pub(super) struct Paths {
    known: Vec<Arc<str>>,
    /// Bytes of them.
    texts: usize,
    /// Where the next new one goes, once there are [`LIMIT`].
    oldest: usize,
}

impl Paths {
    /// The path, shared when it is remembered.
    pub(super) fn intern(&mut self, path: &str) -> Arc<str> {
        if let Some(known) = self.known.iter().find(|known| ***known == *path) {
            return Arc::clone(known);
        }
        let new: Arc<str> = path.into();
        self.texts += new.len();
        if self.known.len() < LIMIT {
            self.known.push(Arc::clone(&new));
        } else if let Some(slot) = self.known.get_mut(self.oldest) {
            self.texts -= slot.len();
            *slot = Arc::clone(&new);
            self.oldest = (self.oldest + 1) % LIMIT;
        }
        new
    }

    /// Bytes of memory it holds.
    pub(super) fn held(&self) -> usize {
        // With the two counts of each.
        let each = size_of::<Arc<str>>() + 2 * size_of::<usize>();
        self.known.capacity() * each + self.texts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_the_newest_paths() {
        let mut paths = Paths::default();
        let first = paths.intern("/a");
        assert!(Arc::ptr_eq(&first, &paths.intern("/a")));
        for number in 0..LIMIT {
            paths.intern(&format!("/{number}"));
        }
        assert!(!Arc::ptr_eq(&first, &paths.intern("/a")));
        assert_eq!(paths.known.len(), LIMIT);
    }
}
