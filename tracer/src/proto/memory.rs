//! The memory that the readers of all connections of a host share. Each reader is bounded, but many that are full
//! would not be.

/// Bytes that readers hold together.
///
/// A host asks each reader what it holds after each delivery ([`Stream::held`](super::stream::Stream::held)), and has
/// one that [took more](Self::account) than there is give way ([`Stream::shed`](super::stream::Stream::shed)). So who
/// asks pays, and the limit is passed by what one delivery brings at most, until the call returns.
#[derive(Debug)]
pub struct Memory {
    limit: usize,
    held: usize,
    /// How often a reader had to give way.
    shed: u64,
}

impl Memory {
    /// Nothing held of `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, held: 0, shed: 0 }
    }

    /// A reader that held `before` bytes holds `now`. Whether it took more and there is not so much: it must shed, and
    /// be accounted for again. Counted in [`Self::shed`].
    pub fn account(&mut self, before: usize, now: usize) -> bool {
        self.held = self.held.saturating_sub(before).saturating_add(now);
        let over = now > before && self.held > self.limit;
        self.shed = self.shed.saturating_add(u64::from(over));
        over
    }

    /// Bytes held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held
    }

    /// How often a reader took more than there was.
    #[must_use]
    pub fn shed(&self) -> u64 {
        self.shed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_too_much_is_told_and_who_gives_is_not() {
        let mut memory = Memory::new(100);
        assert!(!memory.account(0, 60));
        assert!(!memory.account(0, 40));
        assert!(memory.account(40, 41));
        assert!(!memory.account(41, 40), "it shed");
        assert!(memory.account(0, 500));
        assert!(!memory.account(60, 50), "who holds less has nothing to give");
        assert_eq!((memory.held(), memory.shed()), (590, 2));
    }
}
