//! IP fragments until their datagram is complete.
//!
//! As Linux: a fragment that another one covers is a copy and ignored; any other overlap, and an end that does
//! not agree with what came before, drops the datagram.

use std::collections::BTreeMap;
use std::net::IpAddr;

use rustc_hash::FxHashMap;

use super::Skipped;

/// Datagrams in parts. Beyond this, the one begun first is dropped.
const DATAGRAMS: usize = 1024;
/// Bytes held in parts (Linux: `net.ipv4.ipfrag_high_thresh`). Beyond this, the datagrams begun first are dropped.
const HELD: usize = 4 << 20;
/// Nanoseconds after which a datagram in parts is dropped (RFC 1122, section 3.3.2, RFC 8200, section 4.5).
const AGE: u64 = 60_000_000_000;
/// Largest datagram: what an offset and a length can say.
const DATAGRAM: usize = 65_535;
/// What a part costs beside its bytes.
const PART_COST: usize = 64;

/// Where a fragment belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Of the datagram.
    pub(super) identification: u32,
    /// Of its bytes in the datagram.
    pub(super) offset: usize,
    /// Others follow.
    pub(super) more: bool,
    /// What the datagram carries; in IPv6 only the first fragment knows.
    pub(super) protocol: u8,
}

/// What fragments of a datagram share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    source: IpAddr,
    destination: IpAddr,
    identification: u32,
    /// Of IPv4 only (RFC 791, section 3.2).
    protocol: Option<u8>,
}

/// A datagram whose fragments have all come.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) protocol: u8,
    pub(super) bytes: Vec<u8>,
}

#[derive(Debug, Default)]
struct Datagram {
    /// Its place in the order of arrival.
    number: u64,
    /// When its first fragment came.
    begun: u64,
    /// By offset; they do not overlap.
    parts: BTreeMap<usize, Box<[u8]>>,
    /// Bytes in `parts`.
    held: usize,
    /// How long it is, once the last fragment came.
    length: Option<usize>,
    protocol: u8,
}

/// Whether a fragment became part of its datagram.
enum Added {
    Yes,
    Copy,
    Overlap,
}

impl Datagram {
    fn add(&mut self, place: Place, bytes: &[u8]) -> Added {
        let end = place.offset + bytes.len();
        let before = self.parts.range(..=place.offset).next_back().map(|(at, part)| at + part.len());
        let after = self.parts.range(place.offset..).next().map(|(at, _)| *at);
        let last = self.parts.last_key_value().map_or(0, |(at, part)| at + part.len());
        if before.is_some_and(|before| before >= end) {
            return Added::Copy;
        }
        let overlaps = before.is_some_and(|before| before > place.offset) || after.is_some_and(|at| at < end);
        let ends_twice = self.length.is_some_and(|length| !place.more || end > length);
        if overlaps || ends_twice || !place.more && last > end {
            return Added::Overlap;
        }
        if place.offset == 0 {
            self.protocol = place.protocol;
        }
        if !place.more {
            self.length = Some(end);
        }
        self.held += bytes.len();
        self.parts.insert(place.offset, bytes.into());
        Added::Yes
    }

    fn cost(&self) -> usize {
        self.held + self.parts.len() * PART_COST
    }

    fn is_complete(&self) -> bool {
        self.length == Some(self.held)
    }
}

/// The datagrams of which fragments are missing: at most [`DATAGRAMS`] with [`HELD`] bytes, for [`AGE`].
#[derive(Debug, Default)]
pub(super) struct Fragments {
    datagrams: FxHashMap<Key, Datagram>,
    /// By the order of arrival.
    order: BTreeMap<u64, Key>,
    /// Datagrams that ever were.
    count: u64,
    /// Sum of the datagrams' costs.
    cost: usize,
    /// Datagrams that were dropped because of the limits.
    evicted: u64,
    /// Datagrams that were dropped because of their age.
    expired: u64,
    /// The last one that was complete, until it is taken.
    whole: Option<Whole>,
}

impl Fragments {
    /// Datagrams that were dropped because there were too many, or too many bytes.
    pub(super) fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Datagrams of which a fragment did not come in time, or has not come so far.
    pub(super) fn incomplete(&self) -> u64 {
        self.expired.saturating_add(self.order.len() as u64)
    }

    /// Whether the last fragment completed a datagram.
    pub(super) fn has_whole(&self) -> bool {
        self.whole.is_some()
    }

    /// The datagram that the last fragment completed.
    pub(super) fn take_whole(&mut self) -> Option<Whole> {
        self.whole.take()
    }

    /// Takes a fragment.
    pub(super) fn add(
        &mut self,
        time: u64,
        (source, destination): (IpAddr, IpAddr),
        place: Place,
        bytes: &[u8],
    ) -> Result<(), Skipped> {
        self.expire(time);
        let uneven = place.more && !bytes.len().is_multiple_of(8);
        if bytes.is_empty() || uneven || place.offset + bytes.len() > DATAGRAM {
            return Err(Skipped::Length);
        }
        let protocol = source.is_ipv4().then_some(place.protocol);
        let key = Key { source, destination, identification: place.identification, protocol };
        let datagram = self.datagrams.entry(key).or_insert_with(|| {
            self.count += 1;
            self.order.insert(self.count, key);
            Datagram { number: self.count, begun: time, ..Datagram::default() }
        });
        match datagram.add(place, bytes) {
            Added::Copy => return Ok(()),
            Added::Overlap => {
                self.remove(&key);
                return Err(Skipped::FragmentOverlap);
            }
            Added::Yes => self.cost += bytes.len() + PART_COST,
        }
        if datagram.is_complete() {
            self.whole = self.remove(&key).map(|datagram| Whole {
                source,
                destination,
                protocol: datagram.protocol,
                bytes: datagram.parts.into_values().collect::<Vec<_>>().concat(),
            });
        }
        self.evict();
        Ok(())
    }

    /// Drops the datagrams that wait for too long.
    fn expire(&mut self, time: u64) {
        while let Some((_, key)) = self.order.first_key_value() {
            let key = *key;
            let begun = self.datagrams.get(&key).map_or(0, |datagram| datagram.begun);
            if time.saturating_sub(begun) <= AGE {
                break;
            }
            self.expired += 1;
            self.remove(&key);
        }
    }

    /// Drops the oldest datagrams until the limits hold.
    fn evict(&mut self) {
        while (self.order.len() > DATAGRAMS || self.cost > HELD)
            && let Some((_, key)) = self.order.first_key_value()
        {
            let key = *key;
            self.evicted += 1;
            self.remove(&key);
        }
    }

    fn remove(&mut self, key: &Key) -> Option<Datagram> {
        let datagram = self.datagrams.remove(key)?;
        self.order.remove(&datagram.number);
        self.cost = self.cost.saturating_sub(datagram.cost());
        Some(datagram)
    }
}

#[cfg(test)]
#[path = "fragment_tests.rs"]
mod tests;
