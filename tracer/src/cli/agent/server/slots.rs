//! How many connections there are, in all and per client: one client alone cannot keep the others out.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Connections at once.
const LIMIT: usize = 256;
/// Connections at once of one address.
const LIMIT_PER_ADDRESS: usize = 64;

/// Places for connections.
#[derive(Clone, Debug, Default)]
pub(super) struct Slots(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_address: BTreeMap<IpAddr, usize>,
}

/// A place that is taken; dropping it gives it back.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Slots,
    address: IpAddr,
}

impl Slots {
    /// A place for a connection, if there is one left.
    pub(super) fn take(&self, address: IpAddr) -> Option<Slot> {
        let mut taken = self.lock();
        let own = taken.by_address.get(&address).copied().unwrap_or_default();
        if taken.all >= LIMIT || own >= LIMIT_PER_ADDRESS {
            return None;
        }
        taken.all += 1;
        taken.by_address.insert(address, own + 1);
        Some(Slot { slots: self.clone(), address })
    }

    /// Connections that there are.
    pub(super) fn taken(&self) -> usize {
        self.lock().all
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.slots.lock();
        taken.all = taken.all.saturating_sub(1);
        if let Some(own) = taken.by_address.get_mut(&self.address) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                taken.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_all() {
        let slots = Slots::default();
        let greedy: Vec<Slot> = std::iter::from_fn(|| slots.take([10, 0, 0, 1].into())).collect();
        assert_eq!((greedy.len(), slots.taken()), (LIMIT_PER_ADDRESS, LIMIT_PER_ADDRESS));
        assert!(slots.take([10, 0, 0, 2].into()).is_some());
        drop(greedy);
        assert_eq!(slots.taken(), 0);
        assert!(slots.lock().by_address.is_empty());
    }

    #[test]
    fn all_together_are_bounded() {
        let slots = Slots::default();
        let all: Vec<Slot> = (0..=u8::MAX).filter_map(|n| slots.take([10, 0, 1, n].into())).collect();
        assert_eq!(all.len(), LIMIT);
        assert!(slots.take([10, 0, 2, 0].into()).is_none());
    }
}
