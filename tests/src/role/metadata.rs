//! A metadata service as in a cloud instance: a token, a role, and the role's credentials.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;

use super::paused::Paused;
use crate::clock::{rfc3339, unix_ns};
use crate::http::{Reply, serve};
use crate::log::Log;

/// The path at which a session's token is handed out.
pub const TOKEN: &str = "/latest/api/token";
/// The path below which roles lie.
pub const CREDENTIALS: &str = "/latest/meta-data/iam/security-credentials/";
/// The only role.
pub const ROLE: &str = "search-backend";

/// Flags of the metadata service.
#[derive(Args)]
pub struct Metadata {
    /// Address to listen on
    #[arg(long, default_value = "169.254.169.254:80")]
    listen: SocketAddr,
    /// Seconds that credentials live from the moment they are handed out
    #[arg(long, default_value_t = 900)]
    lifetime: u64,
    /// Milliseconds before each answer
    #[arg(long, default_value_t = 43)]
    delay: u64,
    /// How many routers a token passes, as an instance's option for the metadata service says; a pod's
    /// network is one more [default: enough]
    #[arg(long)]
    hop_limit: Option<u32>,
    /// Text inside every secret
    #[arg(long, default_value = "canary")]
    canary: String,
    /// File for one JSON line per exchange
    #[arg(long)]
    log: PathBuf,
}

impl Metadata {
    /// Serves for ever.
    pub fn run(self) -> Result<()> {
        let listener =
            TcpListener::bind(self.listen).with_context(|| format!("listen on {}", self.listen))?;
        let (pause, log) = (Duration::from_millis(self.delay), Log::create(&self.log)?);
        let reply = move |method: &str, path: &str| self.reply(method, path);
        serve(&listener, &Arc::new(Paused { pause, log, reply }))
    }

    fn reply(&self, method: &str, path: &str) -> Reply {
        match (method, path) {
            ("PUT", TOKEN) => {
                Reply { hops: self.hop_limit, ..Reply::ok(format!("{}-token-answer", self.canary)) }
            }
            ("GET", CREDENTIALS) => Reply::ok(ROLE.to_owned()),
            ("GET", path) if path.strip_prefix(CREDENTIALS) == Some(ROLE) => Reply::ok(self.credentials()),
            _ => Reply::error(404, String::new()),
        }
    }

    fn credentials(&self) -> String {
        let now = unix_ns() / 1_000_000_000;
        let credentials = json!({
            "Code": "Success",
            "LastUpdated": rfc3339(now),
            "Type": "AWS-HMAC",
            "AccessKeyId": format!("ASIA{}-access-key-id", self.canary),
            "SecretAccessKey": format!("{}-secret-access-key", self.canary),
            "Token": format!("{}-session-token", self.canary),
            "Expiration": rfc3339(now + self.lifetime),
            // Secrets that pretend to be an expiry.
            "expires_in": format!("{}-expires-in", self.canary),
            "expires_on": format!("{}[{}-expires-on]", rfc3339(now), self.canary),
        });
        format!("{credentials:#}")
    }
}
