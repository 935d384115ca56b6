//! A backend that uses the AWS SDK for Python, an object store for it to read, and credentials for both.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use serde::Deserialize;

use super::Stage;

/// Where the object store listens.
pub(super) const STORE_PORT: u16 = 9000;
/// How long the object store takes, in milliseconds.
const STORE_DELAY: &str = "18";

/// A request as the backend logged it, in unix nanoseconds.
#[derive(Debug, Deserialize)]
pub(super) struct Served {
    /// The process that answered.
    pub pid: u32,
    /// Just before the SDK was called.
    pub start: u64,
    /// Just after it returned.
    pub end: u64,
}

/// What varies between backends.
pub(super) struct Backend<'a> {
    /// Its Python, which decides on the version of the SDK.
    pub python: &'a Path,
    /// Host name or address of the object store.
    pub store: &'a str,
    /// After how many requests its process is replaced; 0 is never.
    pub recycle: u32,
    /// Whether a client of the SDK is made for each request.
    pub fresh: bool,
    /// Whether it has credentials of its own, so that it needs no metadata service.
    pub credentials: bool,
}

/// Starts an object store in the pod `store`.
pub(super) fn serve_store(stage: &mut Stage) -> Result<()> {
    let mut store = stage.role("store", "answer", "store");
    store.args(["--listen", &format!("0.0.0.0:{STORE_PORT}"), "--delay", STORE_DELAY]);
    stage.serve("store", STORE_PORT, &mut store)
}

/// Starts the backend in the pod `backend`.
pub(super) fn serve_backend(stage: &mut Stage, backend: &Backend<'_>) -> Result<()> {
    let mut command = stage.script("backend", backend.python, "store.py", "backend");
    command.arg(format!("--endpoint=http://{}:{STORE_PORT}", backend.store));
    command.arg(format!("--recycle={}", backend.recycle));
    if backend.fresh {
        command.arg("--fresh");
    }
    if backend.credentials {
        static_credentials(&mut command);
    }
    stage.serve("backend", 8080, &mut command)
}

fn static_credentials(command: &mut Command) {
    command.env("AWS_ACCESS_KEY_ID", "AKIALAB").env("AWS_SECRET_ACCESS_KEY", "not-a-secret");
}

/// How many processes of the backend answered.
pub(super) fn processes(served: &[Served]) -> usize {
    let mut pids: Vec<_> = served.iter().map(|line| line.pid).collect();
    pids.sort_unstable();
    pids.dedup();
    pids.len()
}

/// The median of what the SDK's calls took, in seconds.
pub(super) fn median_seconds(served: &[Served]) -> f64 {
    let mut took: Vec<_> = served.iter().map(|line| line.end.saturating_sub(line.start)).collect();
    took.sort_unstable();
    let median = took.get(took.len() / 2).copied().unwrap_or_default();
    std::time::Duration::from_nanos(median).as_secs_f64()
}
