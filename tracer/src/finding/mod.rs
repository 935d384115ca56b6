//! Named causes. One file per finding: what it counts, by which thresholds it is recognised, what it shows and
//! says. The rest is common: [`Watch`] opens and closes the findings of a pod, over a sliding minute or a whole run.

mod client_throttle;
mod dead_peer;
mod dns_search;
mod dns_timeout;
mod endpoint_pinned;
mod etcd_authenticate;
mod expensive_request;
mod kind;
mod large_response;
mod metadata_credentials;
mod metadata_token_timeout;
mod method;
mod pace;
mod threshold;
mod value;
mod watch;
mod window;

use std::sync::Arc;

pub use self::{
    kind::{Destination, Kind},
    threshold::{CLOSE_AT, COMMON, HOLD, KindSettings, Settings, Threshold},
    value::{Evidence, Flows, Names, Number, Seconds, Share, Value},
    watch::{Event, Ledger, OPEN_LIMIT, Policy, Watch},
    window::Period,
};
use crate::pod::Pod;
pub use crate::request::Place;

/// Every kind of finding, by identifier. A new one is its file, its `mod` above and its line here: a macro that
/// made one line of the two would hide the file from rustfmt. A `mod` without its line is an unused one, which the
/// compiler tells.
pub static KINDS: [Kind; 10] = [
    Kind::of::<client_throttle::ClientThrottle>(),
    Kind::of::<dead_peer::DeadPeer>(),
    Kind::of::<dns_search::DnsSearch>(),
    Kind::of::<dns_timeout::DnsTimeout>(),
    Kind::of::<endpoint_pinned::EndpointPinned>(),
    Kind::of::<etcd_authenticate::EtcdAuthenticate>(),
    Kind::of::<expensive_request::ExpensiveRequest>(),
    Kind::of::<large_response::LargeResponse>(),
    Kind::of::<metadata_credentials::MetadataCredentials>(),
    Kind::of::<metadata_token_timeout::MetadataTokenTimeout>(),
];

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Costs time.
    Warning,
    /// Most of the time goes there, or requests fail.
    Critical,
}

impl Severity {
    /// Its name in outputs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// A named cause with its evidence and remedy.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Stable identifier, such as `metadata-credentials`.
    pub id: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// The pod it is about.
    pub subject: Arc<Pod>,
    /// The server or service it is about, when it is about one.
    pub destination: Option<Destination>,
    /// Its name, where a source of names knows its address: `namespace/name` of a pod or service.
    pub destination_name: Option<Arc<str>>,
    /// When the first evidence was seen, nanoseconds of the source's clock.
    pub since: u64,
    /// What was seen.
    pub evidence: Arc<dyn Evidence>,
    /// What happens, in words, with the numbers in it.
    pub explanation: String,
    /// What to do.
    pub remedy: String,
}

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod pages_tests;
