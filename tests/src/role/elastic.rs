//! A stand-in for Elasticsearch: every search takes as long as the last one.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;

use super::paused::Paused;
use crate::http::{Reply, serve};
use crate::log::Log;

/// Flags of the Elasticsearch stand-in.
#[derive(Args)]
pub struct Elastic {
    /// Address to listen on
    #[arg(long, default_value = "[::]:9200")]
    listen: SocketAddr,
    /// Milliseconds before each answer
    #[arg(long, default_value_t = 18)]
    delay: u64,
    /// Text inside every document
    #[arg(long, default_value = "canary")]
    canary: String,
    /// File for one JSON line per exchange
    #[arg(long)]
    log: PathBuf,
}

impl Elastic {
    /// Serves for ever.
    pub fn run(self) -> Result<()> {
        let listener =
            TcpListener::bind(self.listen).with_context(|| format!("listen on {}", self.listen))?;
        let (pause, log) = (Duration::from_millis(self.delay), Log::create(&self.log)?);
        let reply = move |method: &str, path: &str| match (method, path.ends_with("/_search")) {
            ("GET" | "POST", true) => Reply::ok(self.hits()),
            _ => Reply::error(404, String::new()),
        };
        serve(&listener, &Arc::new(Paused { pause, log, reply }))
    }

    fn hits(&self) -> String {
        let hit = json!({"_id": "1", "_source": {"title": format!("{}-document", self.canary)}});
        json!({"took": self.delay, "timed_out": false, "hits": {"total": {"value": 1}, "hits": [hit]}})
            .to_string()
    }
}
