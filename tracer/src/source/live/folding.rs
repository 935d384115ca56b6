//! Tells the programs what they may fold.

use aya::{
    Ebpf,
    maps::{Array, HashMap, MapData, MapError},
};

use super::{Error, load};
use crate::engine::Order;

/// The tables of pods.
pub(super) struct Tables {
    places: HashMap<MapData, u64, u32>,
    below: Array<MapData, u64>,
}

const PLACES: &str = "POD_PLACES";
const BELOW: &str = "FOLD_BELOW";

impl Tables {
    /// Those of the object.
    pub(super) fn of(ebpf: &mut Ebpf) -> Result<Self, Error> {
        Ok(Self { places: load::map(ebpf, PLACES)?, below: load::map(ebpf, BELOW)? })
    }

    /// Tells one thing. A cgroup for which there is no room stays unknown: while it calls, nothing is folded.
    pub(super) fn tell(&mut self, order: Order) -> Result<(), Error> {
        match order {
            Order::Place { cgroup, place } => match self.places.insert(&cgroup, &place, 0) {
                Err(MapError::SyscallError(error)) if is_full(&error.io_error) => Ok(()),
                result => result.map_err(|error| load::map_error(PLACES, &error)),
            },
            Order::Forget { cgroup } => match self.places.remove(&cgroup) {
                // It had no room.
                Err(MapError::SyscallError(error)) if is_missing(&error.io_error) => Ok(()),
                result => result.map_err(|error| load::map_error(PLACES, &error)),
            },
            Order::Below { place, nanoseconds } => {
                self.below.set(place, &nanoseconds, 0).map_err(|error| load::map_error(BELOW, &error))
            }
        }
    }
}

fn is_missing(error: &std::io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENOENT)
}

fn is_full(error: &std::io::Error) -> bool {
    error.raw_os_error() == Some(libc::E2BIG)
}
