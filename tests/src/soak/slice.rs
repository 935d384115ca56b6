//! A minute of the traffic as a capture, which is analysed at the end.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::found::{Found, found};
use crate::Lab;
use crate::process::{Signal, run};
use crate::tracer::Tracing;

/// How long it is at most.
const LENGTH: Duration = Duration::from_mins(1);
/// How long reading it may take, in seconds.
const PATIENCE: &str = "300";

/// The slice, captured or to be captured.
pub(super) struct Slice<'a> {
    from: Duration,
    until: Duration,
    file: PathBuf,
    lab: &'a Lab,
    capturing: Option<Tracing<'a>>,
    /// What the capture lost, once it is complete.
    lost: Option<u64>,
}

/// What the slice says.
#[derive(Default)]
pub(super) struct Offline {
    pub(super) found: Vec<Found>,
    pub(super) requests: u64,
    pub(super) seconds: f64,
    /// Packets and records that the capture lost.
    pub(super) lost: u64,
    /// Places where the reader misses segments, which the capture does not know of.
    pub(super) not_captured: u64,
}

impl<'a> Slice<'a> {
    /// In the middle of the soak.
    pub(super) fn due(soak: Duration, out: &Path, lab: &'a Lab) -> Self {
        let (from, length) = (soak / 2, LENGTH.min(soak / 3));
        Self { from, until: from + length, file: out.join("slice.pcapng"), lab, capturing: None, lost: None }
    }

    /// Begins or ends the capture when it is time.
    pub(super) fn advance(&mut self, now: Duration, tracer: &Path) -> Result<()> {
        if self.capturing.is_none() && self.lost.is_none() && now >= self.from {
            let flags = ["-w", &self.file.to_string_lossy()];
            self.capturing = Some(Tracing::start(tracer, self.lab, "capture", &flags)?);
        }
        if now >= self.until { self.finish() } else { Ok(()) }
    }

    /// Ends the capture if it goes on.
    pub(super) fn finish(&mut self) -> Result<()> {
        let Some(capturing) = self.capturing.take() else { return Ok(()) };
        let written = capturing.end(Signal::Interrupt).context("end the capture")?;
        self.lost = Some(lost(&written.stderr).with_context(|| format!("no losses in: {}", written.stderr))?);
        Ok(())
    }

    /// What `tracer analyze` reads of it.
    pub(super) fn analyze(&self, tracer: &Path) -> Result<Offline> {
        let mut command = Command::new("timeout");
        command.arg(PATIENCE).arg(tracer).args(["analyze", "--output", "json"]).arg(&self.file);
        let said = run(command.stdin(Stdio::null()).stderr(Stdio::null()))?;
        let summary: Value = serde_json::from_str(&said).context("the summary of the slice")?;
        let requests = summary["pods"].as_array().into_iter().flatten();
        Ok(Offline {
            found: found(&summary, "offline"),
            requests: requests.filter_map(|pod| pod["requests"].as_u64()).sum(),
            seconds: self.until.saturating_sub(self.from).as_secs_f64(),
            lost: self.lost.context("the slice was not captured")?,
            not_captured: summary["accounting"]["oddities"]["not_captured"].as_u64().unwrap_or_default(),
        })
    }
}

/// As in `12 packets written to FILE, 0 of 40 lost; 0 events lost, …`.
fn lost(said: &str) -> Option<u64> {
    let line = said.lines().find(|line| line.contains(" packets written to "))?;
    let (packets, rest) = line.split_once(" lost; ")?;
    let (packets, _) = packets.rsplit_once(" of ")?;
    let packets: u64 = packets.rsplit(' ').next()?.parse().ok()?;
    let events: u64 = rest.split(' ').next()?.parse().ok()?;
    Some(packets + events)
}

#[cfg(test)]
mod tests {
    use super::lost;

    #[test]
    fn losses_of_a_capture_are_read() {
        let said = "tracer: ready\ntracer: 12 packets written to a, b, 3 of 40 lost; 4 events lost, whose comments are missing\n";
        assert_eq!(lost(said), Some(7));
        assert_eq!(lost("tracer: ready\n"), None);
    }
}
