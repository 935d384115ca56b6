//! A place in a list that changes under it.

use super::input::Input;

/// How far to move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    By(isize),
    First,
    Last,
}

impl Step {
    /// What an input means in a list of which `page` lines are seen.
    pub(super) fn of(input: Input, page: usize) -> Option<Self> {
        // One line of the last page stays.
        let page = isize::try_from(page.saturating_sub(1).max(2)).unwrap_or(isize::MAX);
        Some(match input {
            Input::Up | Input::Character('k') => Self::By(-1),
            Input::Down | Input::Character('j') => Self::By(1),
            Input::PageUp => Self::By(-page),
            Input::PageDown => Self::By(page),
            Input::Home | Input::Character('g') => Self::First,
            Input::End | Input::Character('G') => Self::Last,
            _ => return None,
        })
    }

    /// Where it leads from an index of a list of this length.
    pub(super) fn from(self, index: usize, length: usize) -> usize {
        let last = length.saturating_sub(1);
        match self {
            Self::By(lines) => index.saturating_add_signed(lines).min(last),
            Self::First => 0,
            Self::Last => last,
        }
    }
}

/// Stays on the same entry when others come, go and change places. At first on whatever is first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cursor<K> {
    key: Option<K>,
    /// Where the entry was, for when it is gone.
    index: usize,
}

impl<K> Default for Cursor<K> {
    fn default() -> Self {
        Self { key: None, index: 0 }
    }
}

impl<K: Clone + PartialEq> Cursor<K> {
    /// On this entry.
    pub(super) fn at(key: K) -> Self {
        Self { key: Some(key), index: 0 }
    }

    /// Where it stands in the list; `None` when that is empty.
    pub(super) fn index(&self, keys: &[K]) -> Option<usize> {
        let last = keys.len().checked_sub(1)?;
        let found = self.key.as_ref().and_then(|key| keys.iter().position(|other| other == key));
        Some(found.unwrap_or(self.index.min(last)))
    }

    /// Moves it.
    pub(super) fn step(&mut self, keys: &[K], step: Step) {
        let Some(index) = self.index(keys) else { return };
        self.index = step.from(index, keys.len());
        self.key = keys.get(self.index).cloned();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_on_its_entry_when_the_order_changes() {
        let mut cursor = Cursor::default();
        assert_eq!(cursor.index(&['a', 'b', 'c']), Some(0));
        cursor.step(&['a', 'b', 'c'], Step::By(1));
        assert_eq!(cursor.index(&['b', 'c', 'a']), Some(0));
        assert_eq!(cursor.index(&['x', 'y', 'a', 'b']), Some(3));
    }

    #[test]
    fn stays_where_it_is_when_its_entry_is_gone() {
        let mut cursor = Cursor::default();
        cursor.step(&['a', 'b', 'c'], Step::Last);
        assert_eq!(cursor.index(&['a', 'b']), Some(1));
        assert_eq!(cursor.index(&[]), None);
        cursor.step(&[], Step::By(1));
        assert_eq!(cursor.index(&['c']), Some(0));
    }

    #[test]
    fn stops_at_both_ends() {
        assert_eq!(Step::By(-3).from(1, 5), 0);
        assert_eq!(Step::By(9).from(1, 5), 4);
        assert_eq!(Step::Last.from(0, 0), 0);
    }
}
