//! The load: wrk, and what it reports.

use std::io::Read as _;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tracer_lab::process::Running;

use super::site::Site;

/// What one run of wrk did.
#[derive(Debug, PartialEq)]
pub(super) struct Result {
    pub(super) requests: u64,
    pub(super) requests_per_second: f64,
}

/// Runs wrk in its pod; an error when a request failed.
pub(super) fn run(site: &Site, seconds: u32, connections: u32) -> anyhow::Result<Result> {
    let mut command = site.client_command("wrk");
    command.args(["-t", "1", "-c", &connections.to_string(), "-d", &format!("{seconds}s"), &Site::url()]);
    let mut running = Running::spawn("wrk", command.stdout(Stdio::piped()))?;
    let code = running.wait(Duration::from_secs(u64::from(seconds) + 30))?;
    let mut report = String::new();
    let output = running.child().stdout.as_mut().context("wrk has no output")?;
    output.read_to_string(&mut report).context("reading wrk's report")?;
    ensure!(code == Some(0), "wrk ended with {code:?}: {report}");
    parse(&report)
}

fn parse(report: &str) -> anyhow::Result<Result> {
    let after = |word: &str| report.lines().find_map(|line| line.trim().strip_prefix(word));
    if let Some(errors) = after("Socket errors:").or_else(|| after("Non-2xx or 3xx responses:")) {
        bail!("requests failed, so the numbers mean nothing: {errors}");
    }
    let requests = report.lines().find_map(|line| line.trim().split_once(" requests in ")?.0.parse().ok());
    let rate = after("Requests/sec:").and_then(|rate| rate.trim().parse().ok());
    let (Some(requests), Some(requests_per_second)) = (requests, rate) else {
        bail!("wrk's report is not as expected: {report}");
    };
    Ok(Result { requests, requests_per_second })
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "Running 4s test @ http://127.0.0.1:8080/\n  1 threads and 32 connections\n  \
        Thread Stats   Avg      Stdev     Max   +/- Stdev\n    Latency   513us  119us   5.10ms   91.01%\n  \
        245611 requests in 4.00s, 36.30MB read\nRequests/sec:  61391.51\nTransfer/sec:      9.07MB\n";

    #[test]
    fn a_report_is_read() {
        let expected = Result { requests: 245_611, requests_per_second: 61391.51 };
        assert_eq!(parse(REPORT).unwrap(), expected);
    }

    #[test]
    fn failed_requests_are_an_error() {
        assert!(parse(&format!("{REPORT}  Socket errors: connect 0, read 3, write 0, timeout 0\n")).is_err());
    }
}
