//! Which addresses names have, and what went to each endpoint.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use super::is_inside;
use crate::{
    finding::{
        kind::{Destination, Proves},
        value::ratio,
        window::{Merge, PerDestination},
    },
    proto::lookup::Lookup,
    request::{Call, CallKind},
};

/// Names that are followed; further ones are not.
const NAME_LIMIT: usize = 32;
/// Addresses whose name is known; those of further ones count as having none.
const OWNER_LIMIT: usize = 256;
/// Connections that are told apart per endpoint.
const FLOW_LIMIT: usize = 16;

/// Of a period, or a part of it.
#[derive(Debug, Default)]
pub(in crate::finding) struct Tally {
    /// By name and whether the addresses are IPv6: a client uses one family as a rule.
    names: BTreeMap<(Arc<str>, bool), Addresses>,
    /// The name that an address had last, and whether it is one of several.
    owners: BTreeMap<IpAddr, (Arc<str>, bool)>,
    endpoints: PerDestination<Endpoint>,
}

#[derive(Clone, Debug)]
struct Addresses {
    known: Vec<IpAddr>,
    cut: bool,
}

/// What went to an address and port.
#[derive(Clone, Debug, Default)]
pub(super) struct Endpoint {
    pub(super) answered: u64,
    /// Calls without an answer, and connects that failed.
    in_vain: u64,
    /// Of the first and the last answered call, nanoseconds.
    pub(super) first: u64,
    last: u64,
    /// The same by connection.
    flows: BTreeMap<u64, (u64, u64)>,
}

impl Merge for Endpoint {
    fn merge(&mut self, other: &Self) {
        self.in_vain += other.in_vain;
        if other.answered > 0 {
            self.first = if self.answered == 0 { other.first } else { self.first.min(other.first) };
            self.last = self.last.max(other.last);
        }
        self.answered += other.answered;
        for (flow, (first, last)) in &other.flows {
            self.flow(*flow, *first, *last);
        }
    }
}

impl Merge for Tally {
    fn merge(&mut self, other: &Self) {
        for (name, addresses) in &other.names {
            if self.names.contains_key(name) || self.names.len() < NAME_LIMIT {
                self.names.insert(name.clone(), addresses.clone());
            }
        }
        for (address, owner) in &other.owners {
            self.own(*address, owner.clone());
        }
        self.endpoints.merge(&other.endpoints);
    }

    /// A client that stays somewhere has no reason to ask for the name again.
    fn carry(&self) -> Self {
        let (names, owners) = (self.names.clone(), self.owners.clone());
        Self { names, owners, endpoints: PerDestination::default() }
    }
}

impl Endpoint {
    fn flow(&mut self, flow: u64, first: u64, last: u64) {
        if let Some(known) = self.flows.get_mut(&flow) {
            *known = (known.0.min(first), known.1.max(last));
        } else if self.flows.len() < FLOW_LIMIT {
            self.flows.insert(flow, (first, last));
        }
    }

    fn answered(&mut self, call: &Call) {
        self.first = if self.answered == 0 { call.start } else { self.first.min(call.start) };
        self.last = self.last.max(call.start);
        self.answered += 1;
        self.flow(call.flow, call.start, call.start);
    }

    /// From the first answered call to the last one, seconds.
    pub(super) fn span(&self) -> f64 {
        ratio(self.last.saturating_sub(self.first), 1_000_000_000)
    }

    /// The same on one connection, the longest.
    pub(super) fn stay(&self) -> f64 {
        let longest = self.flows.values().map(|(first, last)| last.saturating_sub(*first)).max();
        ratio(longest.unwrap_or_default(), 1_000_000_000)
    }
}

impl Tally {
    /// Takes the addresses that a name has now.
    pub(super) fn resolved(&mut self, lookup: &Lookup) {
        let inside = lookup.addresses.known.iter().filter(|address| is_inside(**address));
        let (v4, v6): (Vec<IpAddr>, Vec<IpAddr>) = inside.copied().partition(IpAddr::is_ipv4);
        let name: Arc<str> = lookup.name.as_str().into();
        for (known, is_v6) in [(v4, false), (v6, true)] {
            if known.is_empty() {
                continue;
            }
            for address in &known {
                self.own(*address, (Arc::clone(&name), known.len() > 1));
            }
            let key = (Arc::clone(&name), is_v6);
            let room = known.len() > 1 && self.names.len() < NAME_LIMIT;
            if room || self.names.contains_key(&key) {
                self.names.insert(key, Addresses { known, cut: lookup.addresses.incomplete });
            }
        }
    }

    fn own(&mut self, address: IpAddr, owner: (Arc<str>, bool)) {
        if self.owners.contains_key(&address) || self.owners.len() < OWNER_LIMIT {
            self.owners.insert(address, owner);
        }
    }

    /// Takes a call or connect.
    pub(super) fn call(&mut self, call: &Call) -> Proves {
        let peer = SocketAddr::new(call.peer.ip().to_canonical(), call.peer.port());
        let Some(endpoint) = self.endpoints.at(peer) else { return Proves::Nothing };
        match (call.answered, call.kind) {
            (false, _) => endpoint.in_vain += 1,
            // A connection is there for its calls.
            (true, CallKind::Connect) => return Proves::Nothing,
            (true, _) => endpoint.answered(call),
        }
        match self.owners.get(&peer.ip()) {
            Some((name, true)) => Proves::Destination(Destination::Service(Arc::clone(name))),
            None if call.answered && self.has_idle(peer) => Proves::Destination(Destination::Address(peer)),
            _ => Proves::Nothing,
        }
    }

    /// Whether endpoints on the same port have answered nothing of late.
    fn has_idle(&self, peer: SocketAddr) -> bool {
        let idle = |(address, endpoint): &(SocketAddr, &Endpoint)| {
            address.port() == peer.port() && *address != peer && endpoint.answered == 0
        };
        self.endpoints.iter().filter(idle).count() > 1
    }

    /// What can be judged: for each name its endpoints by port, and the endpoints without a name by port.
    pub(super) fn groups(&self) -> Vec<Group<'_>> {
        let ports: BTreeSet<u16> = self.endpoints.iter().map(|(address, _)| address.port()).collect();
        let mut groups = Vec::new();
        for ((name, _), addresses) in &self.names {
            let mute = self.mute(&addresses.known);
            for port in &ports {
                let endpoints = addresses.known.iter().map(|ip| SocketAddr::new(*ip, *port));
                let endpoints: Vec<_> = endpoints.map(|at| (at, self.endpoint(at))).collect();
                groups.push(Group { name: Some(&**name), endpoints, mute: mute.clone(), cut: addresses.cut });
            }
        }
        for port in ports {
            let unnamed = self.endpoints.iter();
            let unnamed = unnamed.filter(|(at, _)| at.port() == port && !self.owners.contains_key(&at.ip()));
            let endpoints: Vec<_> = unnamed.map(|(at, endpoint)| (at, endpoint.clone())).collect();
            let in_vain = endpoints.iter().filter(|(_, endpoint)| endpoint.answered == 0);
            let mute = in_vain.map(|(at, endpoint)| (*at, endpoint.in_vain)).collect();
            groups.push(Group { name: None, endpoints, mute, cut: false });
        }
        groups
    }

    fn endpoint(&self, at: SocketAddr) -> Endpoint {
        self.endpoints.iter().find(|(address, _)| *address == at).map(|(_, e)| e.clone()).unwrap_or_default()
    }

    /// The addresses that answer on no port, with how often they were tried on which.
    fn mute(&self, addresses: &[IpAddr]) -> Vec<(SocketAddr, u64)> {
        let of = |ip: IpAddr| self.endpoints.iter().filter(move |(at, _)| at.ip() == ip);
        let mute = addresses.iter().filter(|ip| of(**ip).all(|(_, endpoint)| endpoint.answered == 0));
        mute.filter_map(|ip| of(*ip).max_by_key(|(_, e)| e.in_vain)).map(|(at, e)| (at, e.in_vain)).collect()
    }
}

/// Endpoints that stand for the same.
#[derive(Debug)]
pub(super) struct Group<'a> {
    pub(super) name: Option<&'a str>,
    pub(super) endpoints: Vec<(SocketAddr, Endpoint)>,
    mute: Vec<(SocketAddr, u64)>,
    pub(super) cut: bool,
}

impl Group<'_> {
    pub(super) fn busiest(&self) -> Option<(SocketAddr, Endpoint)> {
        let busiest = self.endpoints.iter().max_by_key(|(_, endpoint)| endpoint.answered);
        busiest.filter(|(_, endpoint)| endpoint.answered > 0).cloned()
    }

    pub(super) fn answered(&self) -> u64 {
        self.endpoints.iter().map(|(_, endpoint)| endpoint.answered).sum()
    }

    /// Of the busiest.
    pub(super) fn share(&self) -> f64 {
        ratio(self.busiest().map_or(0, |(_, endpoint)| endpoint.answered), self.answered())
    }

    /// With answered calls.
    pub(super) fn connections(&self) -> u64 {
        self.endpoints.iter().map(|(_, endpoint)| endpoint.flows.len() as u64).sum()
    }

    /// Endpoints that were tried so often and never answered.
    pub(super) fn mute(&self, tries: u64) -> Vec<(SocketAddr, u64)> {
        let mut mute: Vec<_> = self.mute.iter().filter(|(_, in_vain)| *in_vain >= tries).copied().collect();
        mute.sort_unstable();
        mute
    }
}
