//! A stand-in for any service that answers GETs: an object store, an API server.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;

use super::paused::Paused;
use crate::http::{Reply, serve};
use crate::log::Log;

/// Flags of the stand-in.
#[derive(Args)]
pub struct Answer {
    /// Address to listen on
    #[arg(long)]
    listen: SocketAddr,
    /// Milliseconds before each answer
    #[arg(long, default_value_t = 0)]
    delay: u64,
    /// File for one JSON line per exchange
    #[arg(long)]
    log: PathBuf,
}

impl Answer {
    /// Serves for ever.
    pub fn run(&self) -> Result<()> {
        let listener =
            TcpListener::bind(self.listen).with_context(|| format!("listen on {}", self.listen))?;
        let (pause, log) = (Duration::from_millis(self.delay), Log::create(&self.log)?);
        let reply = |method: &str, path: &str| match method {
            "GET" => Reply::ok(format!("{{\"path\": \"{path}\"}}")),
            _ => Reply::error(405, String::new()),
        };
        serve(&listener, &Arc::new(Paused { pause, log, reply }))
    }
}
