//! A client of the backend: numbered requests at a given parallelism.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::http::{Connection, request};
use crate::log::{ClientSummary, Log};

/// Flags of the client.
#[derive(Args)]
pub struct Client {
    /// The backend
    #[arg(long)]
    target: SocketAddr,
    /// How many requests
    #[arg(long)]
    requests: u64,
    /// How many at a time, each on a connection of its own
    #[arg(long, default_value_t = 1)]
    parallel: u64,
    /// Make a connection for each request instead of keeping one
    #[arg(long)]
    fresh: bool,
    /// Milliseconds to pause in the middle of each request
    #[arg(long, default_value_t = 0)]
    pause: u64,
    /// Number of the first request
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// POST with a cookie and secrets in body and path parameters, instead of GET
    #[arg(long)]
    all_secrets: bool,
    /// Text inside every secret
    #[arg(long, default_value = "canary")]
    canary: String,
    /// File for one JSON line per request
    #[arg(long)]
    log: PathBuf,
}

/// A request as the client saw it.
#[derive(Debug, Serialize, Deserialize)]
pub struct ClientLine {
    /// The number in its path.
    pub n: u64,
    /// The status, or none when it failed.
    pub status: Option<u16>,
    /// From just before the write to just after the last read, in nanoseconds.
    pub latency: u64,
}

impl Client {
    /// Makes all requests and prints a summary; an error when one failed.
    pub fn run(&self) -> Result<()> {
        let log = Log::create(&self.log)?;
        let (next, done) = (AtomicU64::new(self.first), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            for _ in 0..self.parallel {
                scope.spawn(|| self.work(&next, &log, &done));
            }
        });
        let lines = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        let summary = summary(&lines);
        println!("{}", serde_json::to_string(&summary)?);
        ensure!(summary.failed == 0, "{} of {} requests failed", summary.failed, lines.len());
        Ok(())
    }

    fn work(&self, next: &AtomicU64, log: &Log, done: &Mutex<Vec<ClientLine>>) {
        let mut connection = None;
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= self.first + self.requests {
                return;
            }
            let line = self.request(&mut connection, n).unwrap_or_else(|error| {
                eprintln!("tracer-lab: request {n}: {error:#}");
                connection = None;
                ClientLine { n, status: None, latency: 0 }
            });
            if self.fresh {
                connection = None;
            }
            log.write(&line);
            done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(line);
        }
    }

    fn request(&self, connection: &mut Option<Connection>, n: u64) -> Result<ClientLine> {
        let connection = match connection {
            Some(open) => open,
            None => connection.insert(Connection::open(self.target)?),
        };
        let started = std::time::Instant::now();
        connection.send_pieces(&self.bytes(n), Duration::from_millis(self.pause))?;
        let status = connection.receive()?.message.status()?;
        let latency = u64::try_from(started.elapsed().as_nanos())?;
        Ok(ClientLine { n, status: Some(status), latency })
    }

    /// The bytes of request `n`.
    fn bytes(&self, n: u64) -> Vec<u8> {
        let canary = &self.canary;
        let authorization = format!("Authorization: Bearer {canary}-authorization");
        let keep = if self.fresh { "Connection: close" } else { "Connection: keep-alive" };
        let query = format!("token={canary}-query");
        if !self.all_secrets {
            return request("GET", &format!("/v1/items/{n}?{query}"), "backend", &[&authorization, keep]);
        }
        let target = format!("/v1/items/{n};jsessionid={canary}-path-parameter?{query}");
        let body = format!("{{\"password\": \"{canary}-request-body\"}}");
        let cookie = format!("Cookie: session={canary}-cookie");
        let length = format!("Content-Length: {}", body.len());
        let head = request("POST", &target, "backend", &[&authorization, &cookie, &length, keep]);
        [head, body.into_bytes()].concat()
    }
}

fn summary(lines: &[ClientLine]) -> ClientSummary {
    let mut latencies: Vec<_> =
        lines.iter().filter(|line| line.status == Some(200)).map(|line| line.latency).collect();
    latencies.sort_unstable();
    let ok = latencies.len() as u64;
    ClientSummary {
        ok,
        failed: lines.len() as u64 - ok,
        p50_ms: milliseconds(&latencies, 50),
        p99_ms: milliseconds(&latencies, 99),
    }
}

/// A percentile of sorted nanoseconds, in milliseconds to the microsecond.
fn milliseconds(sorted: &[u64], percent: usize) -> f64 {
    let index = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    let microseconds = sorted.get(index).map_or(0, |nanoseconds| nanoseconds / 1000);
    u32::try_from(microseconds).map_or(f64::INFINITY, |microseconds| f64::from(microseconds) / 1000.0)
}
