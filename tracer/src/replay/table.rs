//! The connections of a capture, found by their two ends.

use std::net::IpAddr;

use rustc_hash::FxHashMap;

use super::flow::Flow;

/// Connections that are followed at once; beyond it those that have been silent longest are ended. One that has
/// answered an HTTP/1 request takes not quite 3 KB.
pub(super) const FLOW_LIMIT: usize = 32_768;
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
    /// been silent longest. They go to `end`, in the order in which they began.
    pub(super) fn make_room(&mut self, now: u64, end: &mut impl FnMut(Flow)) {
        let closed = |flow: &Flow| flow.is_closed() && now.saturating_sub(flow.last()) > LINGER;
        if self.take(closed, end) >= ROOM {
            return;
        }
        let mut last: Vec<u64> = self.flows.iter().flatten().map(|(_, flow)| flow.last()).collect();
        last.sort_unstable();
        let until = last.get(ROOM).copied().unwrap_or(u64::MAX);
        let mut evicted = 0;
        self.take(|flow| flow.last() <= until, &mut |flow| {
            evicted += u64::from(!flow.is_closed());
            end(flow);
        });
        self.evicted += evicted;
    }

    /// Takes out every connection.
    pub(super) fn take_all(&mut self, end: &mut impl FnMut(Flow)) {
        self.take(|_| true, end);
    }

    /// Takes out one after the other: they are large.
    fn take(&mut self, wanted: impl Fn(&Flow) -> bool, end: &mut impl FnMut(Flow)) -> usize {
        let number = |(at, slot): (usize, &Option<(Ends, Flow)>)| {
            slot.as_ref().filter(|(_, flow)| wanted(flow)).map(|(_, flow)| (flow.number(), at))
        };
        let mut taken: Vec<(u64, usize)> = self.flows.iter().enumerate().filter_map(number).collect();
        taken.sort_unstable();
        for (_, at) in &taken {
            if let Some((ends, flow)) = self.flows.get_mut(*at).and_then(Option::take) {
                self.at.remove(&ends);
                self.free.push(*at);
                end(flow);
            }
        }
        taken.len()
    }
}
