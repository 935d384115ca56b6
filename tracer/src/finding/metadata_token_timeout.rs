//! `metadata-token-timeout`: the SDK asks for an IMDSv2 session token and never gets a byte, because the answer to
//! that request may cross one network hop only, and a pod is two away. It waits for its timeout (1 s), tries again,
//! and goes on without a token or fails (aws-sdk-go 2972, aws-sdk-java 2792, aws-ebs-csi-driver 2966).

use std::net::SocketAddr;

use super::{
    Destination, Names, Seconds, Severity, Share,
    kind::{Proves, Rule, Verdict},
    threshold::thresholds,
    value::{evidence, ratio},
    window::{Merge, PerDestination, Window},
};
use crate::{
    proto::metadata::{MetadataCall, Step},
    request::{Attribution, Call, What},
};

/// Status of an instance that wants a token for everything.
const UNAUTHORIZED: u16 = 401;

thresholds! {
    /// When tokens that do not come are a pattern.
    pub(super) struct Thresholds {
        /// Requests for a token that were waited for in vain.
        bar token_requests: u64 = 2, 1..=1_000_000;
        /// These as a share of all requests for a token: the hop limit lets none through.
        bar share_unanswered: f64 = 0.8, 0.01..=1;
        /// The shortest wait that is a client's timeout, and not a connection that broke.
        fact shortest_wait_seconds: f64 = 0.5, 0.01..=60;
    }
}

evidence! {
    /// Tokens that do not come.
    pub(super) struct Evidence {
        /// Requests for a token (PUT /latest/api/token).
        token_requests: u64,
        /// Of them, those whose answer was waited for in vain: connected, sent, and not one byte came back.
        token_requests_unanswered: u64,
        /// These as a share of all requests for a token.
        share_unanswered: Share,
        /// Time that these waits took.
        lost_seconds: Seconds,
        /// The longest of them: 1 s is the default of the SDKs.
        longest_wait_seconds: Seconds,
        /// How long it took to connect, on average: the service is there.
        connect_seconds: Seconds,
        /// Calls without a token, to the same address.
        tokenless_calls: u64,
        /// Of them, those refused because the instance wants a token (401).
        tokenless_refused: u64,
        /// Some of the requests: from, to, path.
        flows: Names,
    }
}

/// What was asked of one metadata service.
#[derive(Debug, Default)]
pub(super) struct Tally {
    tokens: u64,
    unanswered: u64,
    lost: u64,
    longest: u64,
    connects: u64,
    connecting: u64,
    /// Calls that are neither connects nor requests for a token.
    others: u64,
    others_unanswered: u64,
    tokenless: u64,
    refused: u64,
    flows: Names,
    first: Option<u64>,
}

impl Merge for Tally {
    fn merge(&mut self, other: &Self) {
        self.tokens += other.tokens;
        self.unanswered += other.unanswered;
        self.lost += other.lost;
        self.longest = self.longest.max(other.longest);
        self.connects += other.connects;
        self.connecting += other.connecting;
        self.others += other.others;
        self.others_unanswered += other.others_unanswered;
        self.tokenless += other.tokenless;
        self.refused += other.refused;
        self.flows.merge(&other.flows);
        self.first = self.first.or(other.first);
    }
}

/// The rule.
pub(super) struct MetadataTokenTimeout;

impl Rule for MetadataTokenTimeout {
    const ID: &'static str = "metadata-token-timeout";
    type Thresholds = Thresholds;
    type Evidence = Evidence;
    type Tally = PerDestination<Tally>;

    fn call(
        window: &mut Window<Self::Tally>,
        call: &Call,
        _: Attribution,
        thresholds: &Thresholds,
    ) -> Proves {
        let What::Metadata(metadata) = &call.what else { return Proves::Nothing };
        let Some(tally) = window.at(call.start).at(call.peer) else { return Proves::Nothing };
        let length = call.end.saturating_sub(call.start);
        match metadata.step {
            Step::Connect => {
                tally.connects += u64::from(call.answered);
                tally.connecting += if call.answered { length } else { 0 };
                Proves::Nothing
            }
            Step::Token => {
                tally.tokens += 1;
                let waited = !call.answered && Seconds::of(length).0 >= thresholds.shortest_wait_seconds;
                if !waited {
                    return Proves::Nothing;
                }
                tally.unanswered(call, metadata, length);
                Proves::Destination(Destination::Address(call.peer))
            }
            Step::RoleList | Step::Credentials | Step::Other => {
                tally.other(call, metadata);
                Proves::Nothing
            }
        }
    }

    fn judge(tally: &Self::Tally, thresholds: &Thresholds) -> Vec<Verdict<Evidence>> {
        let holds = |tally: &&Tally| {
            tally.unanswered >= thresholds.token_requests
                && ratio(tally.unanswered, tally.tokens) >= thresholds.share_unanswered
                && !tally.is_silent()
        };
        let found = tally.iter().filter(|(_, tally)| holds(tally));
        found.map(|(address, tally)| tally.verdict(address)).collect()
    }
}

impl Tally {
    fn unanswered(&mut self, call: &Call, metadata: &MetadataCall, length: u64) {
        self.unanswered += 1;
        self.lost += length;
        self.longest = self.longest.max(length);
        self.first = self.first.or(Some(call.start));
        self.flows.add(&format!("{} → {} {}", call.local, call.peer, metadata.what));
    }

    fn other(&mut self, call: &Call, metadata: &MetadataCall) {
        self.others += 1;
        self.others_unanswered += u64::from(!call.answered);
        if metadata.token == Some(false) {
            self.tokenless += 1;
            self.refused += u64::from(metadata.status == Some(UNAUTHORIZED));
        }
    }

    /// A service that leaves other requests without an answer too is down or slow: the hop limit is for tokens.
    fn is_silent(&self) -> bool {
        self.others_unanswered.saturating_mul(2) > self.others
    }

    fn verdict(&self, address: SocketAddr) -> Verdict<Evidence> {
        Verdict {
            severity: if self.refused > 0 { Severity::Critical } else { Severity::Warning },
            destination: Some(Destination::Address(address)),
            since: self.first.unwrap_or_default(),
            explanation: self.explanation(),
            remedy: "Set the instance's http-put-response-hop-limit to 2 (aws ec2 modify-instance-metadata-options, or \
                     the launch template of the node group), which lets the answer cross the pod's network; or give the \
                     pod credentials another way (EKS Pod Identity, IAM roles for service accounts), or hostNetwork: \
                     true. Until then AWS_EC2_METADATA_DISABLED=true spares pods that need no instance role the wait."
                .to_owned(),
            evidence: Evidence {
                token_requests: self.tokens,
                token_requests_unanswered: self.unanswered,
                share_unanswered: Share(ratio(self.unanswered, self.tokens)),
                lost_seconds: Seconds::of(self.lost),
                longest_wait_seconds: Seconds::of(self.longest),
                connect_seconds: Seconds(ratio(self.connecting, self.connects) / 1e9),
                tokenless_calls: self.tokenless,
                tokenless_refused: self.refused,
                flows: self.flows.clone(),
            },
        }
    }

    fn explanation(&self) -> String {
        let afterwards = match (self.tokenless, self.refused) {
            (0, _) => "No call without a token followed: the client has gone without credentials, or got them elsewhere.".to_owned(),
            (calls, 0) => format!("Calls that then went without a token: {calls}."),
            (calls, refused) => format!("Calls without a token: {calls}, refused (401): {refused}."),
        };
        format!(
            "{} of {} requests for a session token (IMDSv2) got no byte back: {:.2} s lost in waits of up to {:.2} s. \
             The connection is made and the request sent, but its answer may cross one hop only, and a pod is one \
             further away. {afterwards}",
            self.unanswered,
            self.tokens,
            Seconds::of(self.lost).0,
            Seconds::of(self.longest).0,
        )
    }
}

#[cfg(test)]
#[path = "metadata_token_timeout_tests.rs"]
mod tests;
