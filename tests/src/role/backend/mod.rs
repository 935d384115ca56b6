//! The backend of the incident: for each request it wants fresh credentials, resolves a name and
//! searches; it logs what it did by its own clock.

mod asynchronous;
mod state;
mod threads;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};

use state::State;

/// Flags of the backend.
#[derive(Args)]
pub struct Backend {
    /// Address to listen on, for IPv4 too when it is `[::]`
    #[arg(long, default_value = "[::]:8080")]
    listen: SocketAddr,
    /// How requests share threads
    #[arg(long, value_enum, default_value_t = Mode::Thread)]
    mode: Mode,
    /// The metadata service
    #[arg(long, default_value = "169.254.169.254:80")]
    metadata: SocketAddr,
    /// Credentials are fetched again when they live for at most this many seconds
    #[arg(long, default_value_t = 900)]
    refresh: u64,
    /// Name of Elasticsearch
    #[arg(long, default_value = "elastic.spain.adevinta.com")]
    elastic: String,
    /// Port of Elasticsearch
    #[arg(long, default_value_t = 9200)]
    elastic_port: u16,
    /// Addresses to which it tries to connect in vain before each connection to Elasticsearch
    #[arg(long)]
    stale: Vec<SocketAddr>,
    /// Milliseconds after which it gives up such an address
    #[arg(long, default_value_t = 200)]
    connect_timeout: u64,
    /// Milliseconds for which the name's address is kept
    #[arg(long, default_value_t = 2000)]
    dns_cache: u64,
    /// Microseconds of own work per request
    #[arg(long, default_value_t = 1000)]
    work: u64,
    /// Milliseconds to pause in the middle of each answer
    #[arg(long, default_value_t = 0)]
    pause: u64,
    /// Put the request's number into what it asks for: r<number>.NAME, /items/<number>/_search
    #[arg(long)]
    mark: bool,
    /// Ask the metadata service for a token first, and answer with a cookie and a secret in the body
    #[arg(long)]
    all_secrets: bool,
    /// Text inside every secret
    #[arg(long, default_value = "canary")]
    canary: String,
    /// File for one JSON line per request
    #[arg(long)]
    log: PathBuf,
}

/// How requests share threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// A thread per connection, which waits.
    Thread,
    /// A few threads for all requests, with tokio.
    Async,
}

impl Mode {
    /// As the flag's value.
    #[must_use]
    pub fn flag(self) -> &'static str {
        match self {
            Self::Thread => "thread",
            Self::Async => "async",
        }
    }
}

impl Backend {
    /// Serves for ever.
    pub fn run(self) -> Result<()> {
        match self.mode {
            Mode::Thread => threads::run(State::new(self)?),
            Mode::Async => asynchronous::run(State::new(self)?),
        }
    }
}
