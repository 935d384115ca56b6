//! `dead-peer`: a server that the pod used is gone, and the client does not notice: calls wait on a connection on which
//! nothing is acknowledged, or connects fail again and again.

use super::{
    Names, Seconds, Severity,
    kind::{Destination, Proves, Rule, Verdict},
    threshold::thresholds,
    value::evidence,
    window::{Merge, PerDestination, Window},
};
use crate::request::{Attribution, Call, Outage};

thresholds! {
    /// When a server is gone.
    pub(super) struct Thresholds {
        /// How long a call has been waiting on a connection on which nothing is acknowledged.
        bar hang_seconds: f64 = 2.0, 0.5..=3600;
        /// Times that the kernel has sent the same bytes again by then, after the first.
        bar retransmissions: u64 = 2, 1..=15;
        /// How long connects to a server have been failing that accepted them before.
        bar outage_seconds: f64 = 5.0, 0.5..=3600;
        /// Connects that failed by then.
        bar connects: u64 = 3, 1..=1000;
    }
}

evidence! {
    /// A server that is gone.
    pub(super) struct Evidence {
        /// `vanished`, `refused` or `goaway`.
        how: String,
        /// How long a call waited in vain at the longest.
        longest_hang_seconds: Seconds,
        /// Calls that waited on a connection on which nothing is acknowledged.
        calls_hung: u64,
        /// From the first call or connect in vain to the last sign of it.
        outage_seconds: Seconds,
        /// How often the kernel sent the same bytes again, after the first time.
        retransmissions: u64,
        /// When that was, since the call began.
        retransmitted_after: Names,
        /// Connects that failed.
        connects_failed: u64,
        /// Of them, those that were refused.
        connects_refused: u64,
        /// The longest of them.
        longest_connect_seconds: Seconds,
        /// How long callers wait, as they say; 0 when they do not say.
        deadline_seconds: Seconds,
    }
}

/// The worst that was seen of each server.
type Tally = PerDestination<Worst>;

#[derive(Clone, Debug, Default)]
pub(super) struct Worst(Option<Outage>);

impl Merge for Worst {
    /// What is told of the same outage later is all that is known; of two outages the longer one counts.
    fn merge(&mut self, other: &Self) {
        let Some(new) = &other.0 else { return };
        let counts = |known: &Outage| known.since == new.since || known.length() <= new.length();
        if self.0.as_ref().is_none_or(counts) {
            self.0.clone_from(&other.0);
        }
    }
}

/// In which way a server is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Vanished,
    Refused,
    Goaway,
}

/// The rule.
pub(super) struct DeadPeer;

impl Rule for DeadPeer {
    const ID: &'static str = "dead-peer";
    type Thresholds = Thresholds;
    type Evidence = Evidence;
    type Tally = Tally;

    fn call(_: &mut Window<Tally>, _: &Call, _: Attribution, _: &Thresholds) -> Proves {
        Proves::Nothing
    }

    fn outage(window: &mut Window<Tally>, outage: &Outage) -> Proves {
        // A place among the destinations is for those that may be gone.
        if outage.calls == 0 && (outage.connects < 2 || !outage.was_there) {
            return Proves::Nothing;
        }
        let Some(worst) = window.at(outage.until).at(outage.peer) else { return Proves::Nothing };
        worst.merge(&Worst(Some(outage.clone())));
        Proves::Destination(Destination::Address(outage.peer))
    }

    fn judge(tally: &Tally, thresholds: &Thresholds) -> Vec<Verdict<Evidence>> {
        let outages = tally.iter().filter_map(|(_, worst)| worst.0.as_ref());
        outages.filter(|outage| is_gone(outage, thresholds)).map(verdict).collect()
    }
}

fn is_gone(outage: &Outage, thresholds: &Thresholds) -> bool {
    let hangs = outage.calls > 0
        && seconds(outage.longest_call) >= thresholds.hang_seconds
        && outage.retransmissions.len() as u64 >= thresholds.retransmissions;
    let fails = outage.was_there
        && outage.connects >= thresholds.connects
        && seconds(outage.connecting) >= thresholds.outage_seconds;
    hangs || fails
}

fn verdict(outage: &Outage) -> Verdict<Evidence> {
    let how = How::of(outage);
    let mut retransmitted_after = Names::default();
    for after in &outage.retransmissions {
        retransmitted_after.add(&format!("{:.1} s", seconds(*after)));
    }
    Verdict {
        severity: if how == How::Refused { Severity::Warning } else { Severity::Critical },
        destination: Some(Destination::Address(outage.peer)),
        since: outage.since,
        explanation: explanation(outage, how, &retransmitted_after),
        remedy: remedy(how).to_owned(),
        evidence: Evidence {
            how: how.name().to_owned(),
            longest_hang_seconds: Seconds::of(outage.longest_wait()),
            calls_hung: outage.calls,
            outage_seconds: Seconds::of(outage.length()),
            retransmissions: outage.retransmissions.len() as u64,
            retransmitted_after,
            connects_failed: outage.connects,
            connects_refused: outage.refused,
            longest_connect_seconds: Seconds::of(outage.longest_connect),
            deadline_seconds: Seconds::of(outage.deadline),
        },
    }
}

impl How {
    fn of(outage: &Outage) -> Self {
        if outage.goaway {
            Self::Goaway
        } else if outage.calls == 0 && outage.refused.saturating_mul(2) > outage.connects {
            Self::Refused
        } else {
            Self::Vanished
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Vanished => "vanished",
            Self::Refused => "refused",
            Self::Goaway => "goaway",
        }
    }
}

fn seconds(nanoseconds: u64) -> f64 {
    Seconds::of(nanoseconds).0
}

fn explanation(outage: &Outage, how: How, after: &Names) -> String {
    let gone = match how {
        How::Vanished => "is gone without closing its connections",
        How::Refused => "refuses connections that it accepted before",
        How::Goaway => "said GOAWAY and left, and the client goes on using its address",
    };
    let calls = match how {
        How::Refused => "calls to it fail at once".to_owned(),
        _ => format!("calls to it hung for up to {:.1} s", seconds(outage.longest_wait())),
    };
    let waited = match outage.calls {
        0 => String::new(),
        calls => format!(
            " {calls} call(s) waited on a connection on which nothing was acknowledged. The kernel sent the same bytes again \
             after {}, and waits twice as long each time: it gives up after about 15 min (tcp_retries2).",
            after.joined()
        ),
    };
    let failed = match outage.connects {
        0 => String::new(),
        connects => format!(
            " In {:.1} s {connects} connect(s) failed, {} of them refused; the longest took {:.1} s.",
            seconds(outage.connecting),
            outage.refused,
            seconds(outage.longest_connect)
        ),
    };
    format!("{} {gone}: {calls}.{waited}{failed}", outage.peer)
}

fn remedy(how: How) -> &'static str {
    match how {
        How::Vanished => {
            "Have the client notice: HTTP/2 keepalive (gRPC: keepalive time 10 s to 30 s, timeout a few seconds, also without \
             calls) or TCP_USER_TIMEOUT on its sockets, and a deadline on every call. Have the server say that it leaves: \
             on SIGTERM GOAWAY and drain, with a preStop hook and a grace period that are long enough; and limit \
             connection age (gRPC MAX_CONNECTION_AGE), so that clients look for endpoints again."
        }
        How::Refused => {
            "Refresh the client's list of endpoints: resolve the name again when a connect fails (gRPC does, unless the \
             target is a fixed address), with a short TTL, a headless service or a watch on its endpoints, and give the \
             client more than one address. A readiness gate and a preStop delay let the old pod serve until clients know."
        }
        How::Goaway => {
            "The server left in order, but the client has no other address: give it the name of a headless service or \
             a service with ready endpoints instead of one address, so that it finds a successor when it hears GOAWAY. \
             Start the successor before the old pod ends (maxUnavailable 0), and put a limit on how long a connect may take."
        }
    }
}

#[cfg(test)]
#[path = "dead_peer_tests.rs"]
mod tests;
