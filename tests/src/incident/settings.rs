//! What varies between runs of the incident.

use std::path::{Path, PathBuf};

use super::SEARCH;
use crate::pod::network::Family;
use crate::role::backend::Mode;

/// The incident, or what it should have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Twin {
    /// Credentials that live 15 minutes, `ndots:5`.
    Sick,
    /// Credentials that live 6 hours, `ndots:1`.
    Healthy,
}

impl Twin {
    /// Queries for A and AAAA, of the name and of its expansions before it.
    #[must_use]
    pub fn queries_per_lookup(self) -> usize {
        match self {
            Self::Sick => 2 * (SEARCH.len() + 1),
            Self::Healthy => 2,
        }
    }
}

/// Which secrets are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrets {
    /// Those that the incident has anyway: tokens, signatures, credentials, documents.
    Usual,
    /// Cookies too, bodies of requests, tokens of the metadata service, and what is in gRPC calls
    /// ([`super::Incident::call`]).
    All,
}

/// What varies between runs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The `tracer-lab` program, which plays all roles.
    pub program: PathBuf,
    /// Which twin.
    pub twin: Twin,
    /// How the backend's requests share threads.
    pub mode: Mode,
    /// Whether the client makes a connection for each request; with [`Mode::Thread`] that is also a thread,
    /// and a connection to Elasticsearch, for each request.
    pub fresh: bool,
    /// Whether each request's number is in the names and paths that the backend asks for.
    pub marked: bool,
    /// Milliseconds for which the backend keeps an address.
    pub dns_cache: u64,
    /// Whether the backend tries two servers that are gone before each connection to Elasticsearch: one
    /// whose host refuses ([`super::Incident::refusing`]) and one without a host
    /// ([`super::Incident::unanswered`]).
    pub stale: bool,
    /// What all of it goes over: requests, lookups, and the calls to the metadata service and Elasticsearch.
    pub family: Family,
    /// Milliseconds for which the client pauses in the middle of each request, and the backend in the middle of each
    /// answer.
    pub pause: u64,
    /// Milliseconds for which each packet from Elasticsearch is on its way.
    pub distance: u64,
    /// Which secrets are sent.
    pub secrets: Secrets,
    /// Text inside every secret that is sent.
    pub canary: String,
}

impl Settings {
    /// The incident as the demonstration shows it, played by `program`.
    #[must_use]
    pub fn sick(program: &Path) -> Self {
        let canary = format!("CANARY{:016x}", crate::random::mix(std::process::id().into()));
        let (twin, mode) = (Twin::Sick, Mode::Thread);
        Self {
            program: program.to_owned(),
            twin,
            mode,
            fresh: false,
            marked: false,
            dns_cache: 2000,
            stale: false,
            family: Family::V4,
            pause: 0,
            distance: 0,
            secrets: Secrets::Usual,
            canary,
        }
    }

    /// Whether roles are to send all secrets.
    pub(super) fn sends_all(&self) -> bool {
        self.secrets == Secrets::All
    }

    /// The same as its healthy twin.
    #[must_use]
    pub fn healthy(program: &Path) -> Self {
        Self { twin: Twin::Healthy, ..Self::sick(program) }
    }
}
