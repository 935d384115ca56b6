//! The logs of the lab's servers: one JSON object per line, written at once, by a thread that does nothing
//! else. A server that waited for its own log's disk would be late for the next request.
//!
//! **Where the times come from.** All are `CLOCK_REALTIME`. What a server sends it dates itself, just before
//! the system call, and the end of a write just after it. What it receives has the date of its arrival at
//! the socket ([`crate::http::arrival`]), because a clock that is read once `read` has returned also measures
//! how long the thread took to wake up: 50 µs on an idle virtual machine, milliseconds on a busy one, and
//! half a dozen of those add up in the `self` of one request. Where there is no such date - the end of a
//! connect, a DNS query, the backend on tokio - the wake-up counts, and real-time priority
//! ([`crate::priority`]) keeps it short.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A log file that threads share.
pub struct Log {
    /// `None` only while the log is dropped.
    lines: Option<Sender<String>>,
    writer: Option<JoinHandle<()>>,
}

impl Log {
    /// Creates the file.
    pub fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).with_context(|| format!("create the log {}", path.display()))?;
        let (lines, received) = channel();
        let writer = std::thread::spawn(move || write_lines(file, received));
        Ok(Self { lines: Some(lines), writer: Some(writer) })
    }

    /// Appends a line.
    ///
    /// # Panics
    /// When the log cannot be written: a test would compare nothing without telling.
    pub fn write(&self, line: &impl Serialize) {
        let mut text = serde_json::to_string(line).expect("log lines are plain data");
        text.push('\n');
        let lines = self.lines.as_ref().expect("the log is open until it is dropped");
        lines.send(text).expect("the log's writer runs");
    }
}

/// Writes each line by itself until nobody can send another.
fn write_lines(mut file: File, lines: Receiver<String>) {
    for line in lines {
        file.write_all(line.as_bytes()).expect("write the log");
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.lines = None;
        // A writer that panicked has said so on stderr.
        let _ended = self.writer.take().map(JoinHandle::join);
    }
}

/// How long a line may take from the event to the file.
const PATIENCE: Duration = Duration::from_secs(5);

/// Reads a log once it has `lines` lines: what it tells of has happened, but may still be on its way there.
pub fn read_complete<T: DeserializeOwned>(path: &Path, lines: usize) -> Result<Vec<T>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let read = read(path)?;
        if read.len() >= lines {
            return Ok(read);
        }
        ensure!(
            Instant::now() < deadline,
            "{} has {} of {lines} lines after {PATIENCE:?}",
            path.display(),
            read.len()
        );
        std::thread::sleep(Duration::from_millis(10));
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
    /// What was asked: a name, or a method and path without the query string; empty for a connect.
    pub what: String,
    /// The port on the backend's side; 0 where the resolver library hides it, and after a failed connect.
    pub local_port: u16,
    /// The other side; empty where the resolver library hides it.
    pub peer: String,
    /// Just before the first write, the connect or the resolver was called.
    pub start: u64,
    /// The last byte arrived; the connect or the resolver returned.
    pub end: u64,
}

/// A request as the backend saw it, by its own clock (unix nanoseconds).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RequestLine {
    /// The number in its path.
    pub n: u64,
    /// Its first byte arrived.
    pub t0: u64,
    /// Its last byte arrived.
    pub t1: u64,
    /// Just before the response is written.
    pub t2: u64,
    /// Just after it is written: to the socket, not to the wire.
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
    /// Its first byte arrived.
    pub t0: u64,
    /// Its last byte arrived.
    pub t1: u64,
    /// Just before the response is written.
    pub t2: u64,
    /// Just after it is written: to the socket, not to the wire.
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
