//! The connections of a capture, found by their two ends.

use std::net::IpAddr;

use rustc_hash::FxHashMap;

use super::flow::Flow;

/// Connections that are followed at once; beyond it those that have been silent longest are ended.
pub(super) const FLOW_LIMIT: usize = 65_536;
/// How long a closed connection is kept for segments that come late, nanoseconds.
const LINGER: u64 = 120_000_000_000;
/// Share of the connections that make room when the table is full.
const ROOM: usize = FLOW_LIMIT / 8;

/// A pod as the one whose packets are captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Whose {
    /// Its cgroup in the records.
    pub pod: u64,
    /// It sent the packet; else it got it.
    pub outbound: bool,
}

/// The two ends of a connection, the smaller first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ends {
    low: (u128, u16),
    high: (u128, u16),
    /// The pod whose view it is, where packets say so, and whether its end is the lower one: a connection between
    /// two pods, or of a pod with itself, is captured at both ends, and each is a connection of its own, as live.
    view: Option<(u64, bool)>,
}

impl Ends {
    /// And whether `source` is the lower one.
    pub(super) fn of(
        source: (IpAddr, u16),
        destination: (IpAddr, u16),
        whose: Option<Whose>,
    ) -> (Self, bool) {
        let (one, other) = (key(source), key(destination));
        let is_low = one <= other;
        let (low, high) = if is_low { (one, other) } else { (other, one) };
        let view = whose.map(|whose| (whose.pod, whose.outbound == is_low));
        (Self { low, high, view }, is_low)
    }
}

fn key((address, port): (IpAddr, u16)) -> (u128, u16) {
    let bits = match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    };
    (bits, port)
}

/// Connections by their ends.
#[derive(Default)]
pub(super) struct Table {
    at: FxHashMap<Ends, usize>,
    flows: Vec<Option<(Ends, Flow)>>,
    free: Vec<usize>,
    /// Connections ended because the table was full.
    pub(super) evicted: u64,
}

impl Table {
    pub(super) fn get(&mut self, ends: &Ends) -> Option<&mut Flow> {
        let at = *self.at.get(ends)?;
        self.flows.get_mut(at)?.as_mut().map(|(_, flow)| flow)
    }

    /// Adds a connection; gives back the one that had the same ends.
    pub(super) fn insert(&mut self, ends: Ends, flow: Flow) -> Option<Flow> {
        if let Some(known) = self.get(&ends) {
            return Some(std::mem::replace(known, flow));
        }
        let at = self.free.pop().unwrap_or_else(|| {
            self.flows.push(None);
            self.flows.len() - 1
        });
        if let Some(slot) = self.flows.get_mut(at) {
            *slot = Some((ends, flow));
            self.at.insert(ends, at);
        }
        None
    }

    pub(super) fn is_full(&self) -> bool {
        self.at.len() >= FLOW_LIMIT
    }

    /// Takes out the connections that were closed a while before `now`; if that makes no room, those that have
    /// been silent longest.
    pub(super) fn make_room(&mut self, now: u64) -> Vec<Flow> {
        let closed = |flow: &Flow| flow.is_closed() && now.saturating_sub(flow.last()) > LINGER;
        let mut out = self.take(closed);
        if out.len() < ROOM {
            let mut last: Vec<u64> = self.flows.iter().flatten().map(|(_, flow)| flow.last()).collect();
            last.sort_unstable();
            let until = last.get(ROOM).copied().unwrap_or(u64::MAX);
            let silent = self.take(|flow| flow.last() <= until);
            self.evicted += silent.iter().filter(|flow| !flow.is_closed()).count() as u64;
            out.extend(silent);
        }
        out
    }

    /// Takes out every connection.
    pub(super) fn take_all(&mut self) -> Vec<Flow> {
        self.take(|_| true)
    }

    fn take(&mut self, wanted: impl Fn(&Flow) -> bool) -> Vec<Flow> {
        let mut out = Vec::new();
        for (at, slot) in self.flows.iter_mut().enumerate() {
            if slot.as_ref().is_some_and(|(_, flow)| wanted(flow))
                && let Some((ends, flow)) = slot.take()
            {
                self.at.remove(&ends);
                self.free.push(at);
                out.push(flow);
            }
        }
        out.sort_by_key(Flow::number);
        out
    }
}
