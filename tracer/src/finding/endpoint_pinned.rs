//! `endpoint-pinned`: several servers stand behind one name, and the pod's calls go to one of them: the client stays
//! where it connected first, or the others do not answer its health checks.

mod tally;

use std::net::{IpAddr, SocketAddr};

use self::tally::{Endpoint, Group, Tally};
use super::{
    Names, Seconds, Severity, Share,
    kind::{Destination, Proves, Rule, Verdict},
    threshold::thresholds,
    value::{evidence, ratio},
    window::Window,
};
use crate::request::{Attribution, Call, CallKind, What};

/// The chance that connections which each pick an endpoint at random all pick the same one, above which it may be that.
const LUCK: f64 = 0.01;

thresholds! {
    /// When one endpoint gets too much.
    pub(super) struct Thresholds {
        /// Answered calls to the endpoints.
        bar calls: u64 = 30, 2..=1_000_000;
        /// Share of them that one endpoint answered.
        bar share: f64 = 0.95, 0.3..=1;
        /// From the first call to that endpoint to the last one: who calls for a moment has no reason to move.
        bar seconds: f64 = 5.0, 0..=60;
        /// Calls and connects to another endpoint, all in vain, after which it counts as one that does not answer.
        fact tries_in_vain: u64 = 3, 1..=1000;
    }
}

evidence! {
    /// How calls are spread over endpoints.
    pub(super) struct Evidence {
        /// The name that has the endpoints' addresses; empty when they are known from connects only.
        name: String,
        /// The endpoints.
        endpoints: u64,
        /// The one that gets the calls.
        busiest: String,
        /// Its share of the answered calls.
        share: Share,
        /// Each endpoint with its share, largest first.
        shares: Names,
        /// Answered calls to all of them.
        calls: u64,
        /// Connections with calls.
        connections: u64,
        /// From the first call to the busiest to the last one.
        seconds: Seconds,
        /// Endpoints that were tried and never answered, with how often.
        unanswered: Names,
        /// The answer that had the addresses was cut: there may be more endpoints.
        addresses_cut: u64,
    }
}

/// The rule.
pub(super) struct EndpointPinned;

impl Rule for EndpointPinned {
    const ID: &'static str = "endpoint-pinned";
    type Thresholds = Thresholds;
    type Evidence = Evidence;
    type Tally = Tally;

    fn call(window: &mut Window<Tally>, call: &Call, _: Attribution, _: &Thresholds) -> Proves {
        let tally = window.at(call.start);
        match (&call.what, call.kind) {
            (What::Dns(lookup), _) => {
                tally.resolved(lookup);
                Proves::Nothing
            }
            (What::Connect { .. } | What::Http(_) | What::Opaque, CallKind::Connect | CallKind::Upstream)
                if is_inside(call.peer.ip()) =>
            {
                tally.call(call)
            }
            _ => Proves::Nothing,
        }
    }

    fn judge(tally: &Tally, thresholds: &Thresholds) -> Vec<Verdict<Evidence>> {
        let pinned = tally.groups().into_iter().filter(|group| group.is_pinned(thresholds));
        let mut verdicts: Vec<Verdict<Evidence>> = Vec::new();
        for verdict in pinned.map(|group| group.verdict(thresholds)) {
            match verdicts.iter_mut().find(|known| known.destination == verdict.destination) {
                // A name with several ports: the one with most calls speaks for it.
                Some(known) if known.evidence.calls < verdict.evidence.calls => *known = verdict,
                Some(_) => {}
                None => verdicts.push(verdict),
            }
        }
        verdicts
    }
}

/// Whether an address is inside a cluster or company: the addresses of public services are load balancers as a rule.
fn is_inside(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            // 100.64.0.0/10 is what clusters use that run out of private addresses (RFC 6598).
            v4.is_private() || v4.is_loopback() || a == 100 && (64..128).contains(&b)
        }
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_loopback(),
    }
}

impl Group<'_> {
    fn is_pinned(&self, thresholds: &Thresholds) -> bool {
        let Some((_, busiest)) = self.busiest() else { return false };
        let all = self.answered();
        // Without a name, what the others are is a guess: only that they are asked and say nothing makes it a good one.
        let alike = self.name.is_some() || self.endpoints.len() > 2 && busiest.answered == all;
        let choices = i32::try_from(self.connections().saturating_sub(1)).unwrap_or(i32::MAX);
        let lucky = ratio(1, self.endpoints.len() as u64).powi(choices) > LUCK;
        alike
            && self.endpoints.len() > 1
            && all >= thresholds.calls
            && self.share() >= thresholds.share
            && busiest.span() >= thresholds.seconds
            && (busiest.stay() >= thresholds.seconds || !lucky)
    }

    fn verdict(&self, thresholds: &Thresholds) -> Verdict<Evidence> {
        let unspecified = || (SocketAddr::from(([0, 0, 0, 0], 0)), Endpoint::default());
        let (address, busiest) = self.busiest().unwrap_or_else(unspecified);
        let mute = self.mute(thresholds.tries_in_vain);
        let severity = match (mute.is_empty(), self.endpoints.len()) {
            (false, _) => Severity::Critical,
            (true, 2) => Severity::Info,
            (true, _) => Severity::Warning,
        };
        let mut unanswered = Names::default();
        for (address, tries) in &mute {
            unanswered.add(&format!("{address} {tries}"));
        }
        let name = self.name.unwrap_or_default();
        Verdict {
            severity,
            destination: Some(match self.name {
                Some(name) => Destination::Service(name.into()),
                None => Destination::Address(address),
            }),
            since: busiest.first,
            explanation: self.explanation(address, &mute),
            remedy: remedy(!mute.is_empty()).to_owned(),
            evidence: Evidence {
                name: name.to_owned(),
                endpoints: self.endpoints.len() as u64,
                busiest: address.to_string(),
                share: Share(self.share()),
                shares: self.shares(),
                calls: self.answered(),
                connections: self.connections(),
                seconds: Seconds(busiest.span()),
                unanswered,
                addresses_cut: u64::from(self.cut),
            },
        }
    }

    fn shares(&self) -> Names {
        let mut endpoints: Vec<_> = self.endpoints.iter().collect();
        endpoints.sort_by_key(|(address, endpoint)| (std::cmp::Reverse(endpoint.answered), *address));
        let all = self.answered();
        let mut shares = Names::default();
        for (address, endpoint) in endpoints {
            shares.add(&format!("{address} {:.1}%", ratio(endpoint.answered, all) * 100.0));
        }
        shares
    }

    fn explanation(&self, busiest: SocketAddr, mute: &[(SocketAddr, u64)]) -> String {
        let behind = match self.name {
            Some(name) => {
                let least = if self.cut { "at least " } else { "" };
                format!("{name} has {least}{} addresses", self.endpoints.len())
            }
            None => format!("the pod knows {} endpoints on port {}", self.endpoints.len(), busiest.port()),
        };
        let why = if mute.is_empty() {
            format!("The client stays there, on {} connection(s).", self.connections())
        } else {
            let names: Vec<String> = mute.iter().map(|(address, _)| address.to_string()).collect();
            let tries: u64 = mute.iter().map(|(_, tries)| tries).sum();
            format!("It tried others {tries} times and never got an answer from {}.", names.join(", "))
        };
        format!(
            "{behind}, and {:.1}% of {} answered calls went to {busiest}. {why}",
            self.share() * 100.0,
            self.answered()
        )
    }
}

fn remedy(are_mute: bool) -> &'static str {
    if are_mute {
        "Find out why the other endpoints do not answer the pod's checks (the check's port and path in their network \
         policies, servers that only one of them runs, a check that is too impatient), and let traffic go on to \
         endpoints whose check fails for a reason of its own. Check each endpoint, not the name."
    } else {
        "Balance in the client: gRPC's policy round_robin with a headless service instead of the default pick_first; \
         an etcd client from 3.4 on, which spreads its calls; or a proxy that balances each call. On the servers a \
         maximum connection age (gRPC MAX_CONNECTION_AGE) makes clients connect again and spread."
    }
}

#[cfg(test)]
#[path = "endpoint_pinned_tests.rs"]
mod tests;
