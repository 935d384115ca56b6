//! The logs of the lab's servers: one JSON object per line, written at once.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A log file that threads share.
pub struct Log(Mutex<File>);

impl Log {
    /// Creates the file.
    pub fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).with_context(|| format!("create the log {}", path.display()))?;
        Ok(Self(Mutex::new(file)))
    }

    /// Appends a line.
    ///
    /// # Panics
    /// When the log cannot be written: a test would compare nothing without telling.
    pub fn write(&self, line: &impl Serialize) {
        let mut text = serde_json::to_string(line).expect("log lines are plain data");
        text.push('\n');
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(text.as_bytes()).expect("write the log");
    }
}

/// Reads a log. A last line without its end is still being written and left out.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    let text = fs::read_to_string(path).with_context(|| format!("read the log {}", path.display()))?;
    text.split_inclusive('\n')
        .filter(|line| line.ends_with('\n'))
        .map(|line| serde_json::from_str(line).with_context(|| format!("{}: {line}", path.display())))
        .collect()
}

/// What a call was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Resolving a name.
    Dns,
    /// Setting up a connection.
    Connect,
    /// An exchange with the metadata service.
    Metadata,
    /// An exchange with Elasticsearch.
    Upstream,
}

/// A call of the backend, by its own clock (unix nanoseconds).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CallLine {
    /// What it was for.
    pub kind: Kind,
    /// The port on the backend's side; 0 where the resolver library hides it.
    pub local_port: u16,
    /// The other side, or the name that was resolved.
    pub peer: String,
    /// Just before the first write.
    pub start: u64,
    /// Just after the last read.
    pub end: u64,
}

/// A request as the backend saw it, by its own clock (unix nanoseconds).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RequestLine {
    /// The number in its path.
    pub n: u64,
    /// First byte available.
    pub t0: u64,
    /// Request read.
    pub t1: u64,
    /// Just before the response is written.
    pub t2: u64,
    /// Just after it is written.
    pub t3: u64,
    /// The thread that answered.
    pub tid: u32,
    /// The status answered.
    pub status: u16,
    /// What it called meanwhile.
    pub calls: Vec<CallLine>,
}

/// An exchange as a server saw it, by its own clock (unix nanoseconds).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExchangeLine {
    /// The path, without its query string.
    pub path: String,
    /// The client's port.
    pub peer_port: u16,
    /// First byte available.
    pub t0: u64,
    /// Request read.
    pub t1: u64,
    /// Just before the response is written.
    pub t2: u64,
    /// Just after it is written.
    pub t3: u64,
}

/// A DNS query as the relay saw it, by its own clock (unix nanoseconds).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct QueryLine {
    /// The name asked for.
    pub name: String,
    /// The type asked for: 1 is A, 28 is AAAA.
    pub qtype: u16,
    /// The transaction id.
    pub id: u16,
    /// The client's port.
    pub peer_port: u16,
    /// The answer's code: 0 is no error, 3 is NXDOMAIN.
    pub rcode: u8,
    /// The query was there.
    pub received: u64,
    /// Just before the answer was sent.
    pub answered: u64,
}

/// What the client did, printed at its end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClientSummary {
    /// Requests answered with status 200.
    pub ok: u64,
    /// Requests that failed or were answered otherwise.
    pub failed: u64,
    /// Median latency in milliseconds.
    pub p50_ms: f64,
    /// Latency in milliseconds that 99 of 100 requests did not exceed.
    pub p99_ms: f64,
}

/// What the load generator did, printed at its end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LoadSummary {
    /// Requests answered with status 200.
    pub ok: u64,
    /// Requests that failed or were answered otherwise.
    pub failed: u64,
    /// How long it took in seconds.
    pub seconds: f64,
}
