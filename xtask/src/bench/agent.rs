//! The agent under measurement: its CPU time, its memory, and what its metrics say.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tracer_lab::http;
use tracer_lab::process::{Running, Signal};

use super::metrics;
use super::site::Site;
use super::statistics::float;
use super::wrk;

/// The agent's address on the loopback of the benchmark's namespace.
const LISTEN: &str = "127.0.0.1:9464";
/// Longer than the agent takes until it has told of the last request.
const SETTLED: Duration = Duration::from_secs(5);
/// Part of the requests that it has to see, where it counts lost records for the others.
const LEAST_SEEN: f64 = 0.99;

/// An agent that is attached.
pub(super) struct Agent<'a> {
    site: &'a Site,
    running: Running,
}

/// What the agent took during one load.
pub(super) struct Reading {
    /// User and system time of all its threads, in nanoseconds.
    pub(super) cpu_ns: u64,
    /// Its memory, in bytes.
    pub(super) memory: Memory,
    /// The BPF programs.
    pub(super) programs: Programs,
    /// Requests that the agent saw, those of the run-in included.
    pub(super) requests: f64,
    /// Those of them that the kernel added up.
    pub(super) folded: f64,
    /// The agent's own accounting.
    pub(super) events: BTreeMap<String, f64>,
}

impl Reading {
    /// Records that were lost.
    pub(super) fn lost(&self) -> f64 {
        self.events.get("tracer_events_dropped_total").copied().unwrap_or_default()
    }
}

/// What the BPF programs took, by their names; zero while the kernel's statistics are off.
pub(super) struct Programs {
    /// Run time.
    pub(super) seconds: BTreeMap<String, f64>,
    /// Runs.
    pub(super) runs: BTreeMap<String, f64>,
}

impl Programs {
    /// What they took since then.
    fn since(self, before: &Self) -> Self {
        let subtract = |now: BTreeMap<String, f64>, before: &BTreeMap<String, f64>| {
            let since = |(name, value): (String, f64)| {
                let before = before.get(&name).copied().unwrap_or_default();
                (name, value - before)
            };
            now.into_iter().map(since).collect()
        };
        Self { seconds: subtract(self.seconds, &before.seconds), runs: subtract(self.runs, &before.runs) }
    }
}

/// Bytes of a process that are in memory.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Memory {
    pub(super) peak: u64,
    pub(super) resident: u64,
    pub(super) anonymous: u64,
    pub(super) file: u64,
    pub(super) shared: u64,
}

impl<'a> Agent<'a> {
    /// Starts the agent of this build on a cgroup and waits until it is attached.
    pub(super) fn start(site: &'a Site, tracer: &Path, cgroup: &Path, flags: &[&str]) -> Result<Self> {
        let mut command = site.namespace().command(&tracer.to_string_lossy());
        command.args(["agent", "--listen", LISTEN, "--cgroup"]).arg(cgroup).args(flags);
        let running = site.start("agent", &mut command, "ready: tracing")?;
        Ok(Self { site, running })
    }

    /// Runs the load and says what the agent took meanwhile; the agent ends. It has seen such a load before, as an agent
    /// has that runs all the time: what is left to do of `run_in` at the beginning is as much as is left of `load` at the end.
    ///
    /// An error when it has not seen the requests: what does not trace costs nothing.
    pub(super) fn measure(
        mut self,
        run_in: impl FnOnce() -> Result<wrk::Result>,
        load: impl FnOnce() -> Result<wrk::Result>,
    ) -> Result<(wrk::Result, Option<Reading>)> {
        let made = run_in()?.requests;
        let before = self.programs()?;
        let cpu_before = self.cpu_ns()?;
        let result = load()?;
        let cpu_ns = self.cpu_ns()?.saturating_sub(cpu_before);
        let programs = self.programs()?.since(&before);
        self.settle(made + result.requests)?;
        let reading = self.reading(cpu_ns, programs)?;
        self.running.signal(Signal::Interrupt)?;
        self.running.wait(Duration::from_secs(20))?;
        Ok((result, Some(reading)))
    }

    fn metrics(&self) -> Result<String> {
        let address: SocketAddr = LISTEN.parse().context("reading the agent's address")?;
        let text = self.site.namespace().enter(|| http::get(address, "/metrics"));
        text.context("getting the agent's /metrics")
    }

    fn programs(&self) -> Result<Programs> {
        let text = self.metrics()?;
        Ok(Programs {
            seconds: metrics::by_label(&text, "tracer_bpf_program_run_seconds_total", "program"),
            runs: metrics::by_label(&text, "tracer_bpf_program_runs_total", "program"),
        })
    }

    /// Waits until the agent has seen so many requests, all that wrk has the answers of.
    fn settle(&self, made: u64) -> Result<()> {
        let deadline = Instant::now() + SETTLED;
        loop {
            let text = self.metrics()?;
            let seen = metrics::sum(&text, "tracer_requests_total");
            if seen >= float(made) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let lost = metrics::sum(&text, "tracer_events_dropped_total");
                ensure!(
                    seen >= LEAST_SEEN * float(made) && lost > 0.0,
                    "the agent saw {seen} of {made} requests and counts {lost} lost records: its cost means nothing"
                );
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn reading(&self, cpu_ns: u64, programs: Programs) -> Result<Reading> {
        let text = self.metrics()?;
        let status = format!("/proc/{}/status", self.running.id());
        let memory = fs::read_to_string(&status).with_context(|| format!("reading {status}"))?;
        Ok(Reading {
            cpu_ns,
            memory: Memory::parse(&memory),
            programs,
            requests: metrics::sum(&text, "tracer_requests_total"),
            folded: metrics::sum(&text, "tracer_requests_folded_total"),
            events: metrics::sums(&text, "tracer_events_"),
        })
    }

    /// The scheduler's own count for each thread; `/proc/PID/stat` has only hundredths of a second.
    fn cpu_ns(&self) -> Result<u64> {
        let threads = format!("/proc/{}/task", self.running.id());
        let entries =
            fs::read_dir(&threads).with_context(|| format!("listing {threads}: has the agent ended?"))?;
        let mut total = 0;
        for entry in entries.flatten() {
            let file = entry.path().join("schedstat");
            let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
            total +=
                text.split_whitespace().next().and_then(|time| time.parse::<u64>().ok()).unwrap_or_default();
        }
        Ok(total)
    }
}

impl Memory {
    /// Reads the lines of `/proc/PID/status`.
    fn parse(status: &str) -> Self {
        let bytes = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key));
            let kilobytes = line.and_then(|line| line.trim_start_matches(':').trim().strip_suffix(" kB"));
            kilobytes.and_then(|number| number.trim().parse::<u64>().ok()).unwrap_or_default() * 1024
        };
        Self {
            peak: bytes("VmHWM"),
            resident: bytes("VmRSS"),
            anonymous: bytes("RssAnon"),
            file: bytes("RssFile"),
            shared: bytes("RssShmem"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Memory;

    #[test]
    fn memory_is_read_in_bytes() {
        let memory = Memory::parse("Name:\ttracer\nVmHWM:\t   2048 kB\nRssAnon:\t      4 kB\n");
        assert_eq!(memory, Memory { peak: 2_097_152, anonymous: 4096, ..Memory::default() });
    }
}
