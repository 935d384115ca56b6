//! The paths of a connection: one allocation for requests that ask for the same again.

use std::sync::Arc;

/// Paths that are remembered, each at most [`crate::proto::stream::PATH_LIMIT`] bytes.
const LIMIT: usize = 16;

/// The newest paths.
#[derive(Debug, Default)]
pub(super) struct Paths {
    known: Vec<Arc<str>>,
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
        if self.known.len() < LIMIT {
            self.known.push(Arc::clone(&new));
        } else if let Some(slot) = self.known.get_mut(self.oldest) {
            *slot = Arc::clone(&new);
            self.oldest = (self.oldest + 1) % LIMIT;
        }
        new
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
