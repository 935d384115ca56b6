//! Running the tracer as its users do, and reading what it says.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::http::{fetch, get};
use crate::pod::network::Namespace;
use crate::process::{Running, Signal};
use crate::{Lab, log};

pub mod hindered;
pub mod offline;
pub mod report;
pub mod terminal;
pub mod through_agent;

use report::{Summary, TracedRequest};

/// What the tracer says on stderr once it is attached: as a message, or as a line of the agent's log.
const READY: &str = "ready: tracing";
/// Where the agent listens, on the loopback of the lab's node.
pub const LISTEN: &str = "127.0.0.1:9464";
/// Longer than attaching or draining takes, also where a kernel verifies the programs under emulation.
const PATIENCE: Duration = Duration::from_secs(120);

/// The tracer program that `TRACER_BIN` names: what scenario tests run.
pub fn program() -> Result<PathBuf> {
    let path = std::env::var_os("TRACER_BIN").map(PathBuf::from);
    let path = path.context("set TRACER_BIN to the tracer program (cargo xtask test does)")?;
    fs::canonicalize(&path).with_context(|| format!("TRACER_BIN={}", path.display()))
}

/// A tracer that is attached to a lab.
pub struct Tracing<'a> {
    name: String,
    running: Running,
    node: &'a Namespace,
    dir: &'a Path,
}

impl<'a> Tracing<'a> {
    /// Starts `tracer COMMAND --cgroup <the lab's> FLAGS…` on the lab's node and waits until it is ready.
    pub fn start(program: &Path, lab: &'a Lab, command: &str, flags: &[&str]) -> Result<Self> {
        Self::start_on(lab.cgroup(), program, lab, command, flags)
    }

    /// The same on a part of the lab: the cgroup of a pod.
    pub fn start_on(
        cgroup: &Path,
        program: &Path,
        lab: &'a Lab,
        command: &str,
        flags: &[&str],
    ) -> Result<Self> {
        let (node, dir) = (lab.node(), lab.dir());
        let name = free_name(&format!("tracer-{command}"), dir);
        let mut line = node.command(&program.to_string_lossy());
        line.arg(command).arg("--cgroup").arg(cgroup).args(flags);
        // The lab's pods are not those of this machine's container runtime, if it has one.
        line.env("TRACER_CRI_SOCKET", "none");
        if command == "agent" {
            line.args(["--listen", LISTEN]);
        }
        let running = spawn_logged(&name, &mut line, dir)?;
        let mut tracing = Self { name, running, node, dir };
        tracing.wait_until_ready()?;
        Ok(tracing)
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !self.stderr()?.contains(READY) {
            let alive = self.running.still_runs();
            alive.with_context(|| format!("stderr: {}", self.stderr().unwrap_or_default().trim()))?;
            ensure!(Instant::now() < deadline, "{} was not ready after {PATIENCE:?}", self.name);
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.running.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.running.signal(signal)
    }

    /// Its end, however it comes; the exit code.
    pub fn wait(&mut self) -> Result<Option<i32>> {
        self.running.wait(PATIENCE)
    }

    /// Interrupts it, waits for its end and returns what it wrote to stdout.
    pub fn finish(self) -> Result<String> {
        Ok(self.end(Signal::Interrupt)?.stdout)
    }

    /// Ends it by a signal that leaves it time to finish, waits, and returns what it wrote.
    pub fn end(mut self, signal: Signal) -> Result<Written> {
        self.signal(signal)?;
        let code = self.wait()?;
        let stderr = self.stderr()?;
        ensure!(code == Some(0), "{}: exit code {code:?} after {signal}: {}", self.name, stderr.trim());
        Ok(Written { stdout: read(&self.dir.join(format!("{}.stdout", self.name)))?, stderr })
    }

    /// What it wrote to stderr so far.
    pub fn stderr(&self) -> Result<String> {
        read(&self.dir.join(format!("{}.stderr", self.name)))
    }

    /// The agent's answer to a GET, which must succeed.
    pub fn get(&self, path: &str) -> Result<String> {
        let address: SocketAddr = LISTEN.parse()?;
        self.node.enter(|| get(address, path))
    }

    /// Status, head and body of the agent's answer to a GET.
    pub fn fetch(&self, path: &str) -> Result<(u16, String, String)> {
        let address: SocketAddr = LISTEN.parse()?;
        self.node.enter(|| fetch(address, path))
    }

    /// The value of the series of the agent's metrics that has these labels, among others.
    pub fn metric(&self, name: &str, labels: &[(&str, &str)]) -> Result<f64> {
        let found = self.series(name, labels)?;
        ensure!(found.len() == 1, "{} series {name} with {labels:?}, not one", found.len());
        Ok(found[0])
    }

    /// The sum of all series of the agent's metrics with this name, of which there must be some.
    pub fn sum(&self, name: &str) -> Result<f64> {
        let found = self.series(name, &[])?;
        ensure!(!found.is_empty(), "no {name} in the metrics");
        Ok(found.iter().sum())
    }

    fn series(&self, name: &str, labels: &[(&str, &str)]) -> Result<Vec<f64>> {
        let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        let metrics = self.get("/metrics")?;
        let found = metrics.lines().filter(|line| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
                && labels.iter().all(|label| line.contains(label))
        });
        let value = |line: &str| line.rsplit(' ').next().unwrap_or_default().parse().ok();
        found.map(|line| value(line).with_context(|| format!("not a number: {line}"))).collect()
    }

    /// The agent's summary.
    pub fn summary(&self) -> Result<Summary> {
        Summary::parse(&self.get("/api/v1/summary")?)
    }

    /// The agent's summary once a pod's requests have settled, at the latest after some seconds.
    pub fn settled(&self, pod: &str, requests: u64) -> Result<Summary> {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let summary = self.summary()?;
            let settled = summary.pod(pod).is_ok_and(|pod| pod.requests >= requests);
            if settled || Instant::now() >= deadline {
                return Ok(summary);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// What an ended tracer wrote.
pub struct Written {
    /// To stdout.
    pub stdout: String,
    /// To stderr.
    pub stderr: String,
}

/// A name for a tracer of which no other one's files are called.
fn free_name(base: &str, dir: &Path) -> String {
    let taken = |name: &str| dir.join(format!("{name}.stderr")).exists();
    let numbered = (2..).map(|number| format!("{base}-{number}"));
    std::iter::once(base.to_owned()).chain(numbered).find(|name| !taken(name)).unwrap_or_default()
}

/// Starts a program whose stdout and stderr go to files in `dir`.
fn spawn_logged(name: &str, command: &mut Command, dir: &Path) -> Result<Running> {
    let create = |end: &str| {
        let file = dir.join(format!("{name}.{end}"));
        File::create(&file).with_context(|| format!("create {}", file.display()))
    };
    Running::spawn(name, command.stdout(create("stdout")?).stderr(create("stderr")?))
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("read {}", path.display()))
}

/// What `tracer live` reported of a run.
pub struct Live {
    /// The summary.
    pub summary: Summary,
    /// Each settled request.
    pub requests: Vec<TracedRequest>,
}

impl Live {
    /// The requests of a pod, whose stages add up.
    pub fn of(&self, pod: &str) -> Result<Vec<&TracedRequest>> {
        let own: Vec<_> = self.requests.iter().filter(|request| request.pod.contains(pod)).collect();
        own.iter().try_for_each(|request| request.check())?;
        Ok(own)
    }
}

/// Runs `tracer live` on the lab while `work` goes on.
pub fn live(program: &Path, lab: &Lab, work: impl FnOnce() -> Result<()>) -> Result<Live> {
    live_with(program, lab, &[], work)
}

/// The same with more flags.
pub fn live_with(
    program: &Path,
    lab: &Lab,
    flags: &[&str],
    work: impl FnOnce() -> Result<()>,
) -> Result<Live> {
    let file = lab.dir().join("traced.jsonl");
    let requests = file.to_string_lossy();
    let flags = [&["--output", "json", "--requests", &requests], flags].concat();
    let tracing = Tracing::start(program, lab, "live", &flags)?;
    work()?;
    // What was answered last settles when the tracer drains, on its timer.
    std::thread::sleep(Duration::from_secs(1));
    let summary = Summary::parse(&tracing.finish()?)?;
    Ok(Live { summary, requests: log::read(&file)? })
}
