//! The agent as the `DaemonSet` runs it: what it was given, what it kept, and what it says.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use serde_json::Value;

use super::config::Identity;
use super::kubelet::{Kubelet, Pod};
use super::manifest::PodSpec;
use super::seen::Seen;
use crate::http::fetch;

/// What the manifests give, and the bit of each.
const CAPABILITIES: [(&str, u32); 3] = [("CAP_NET_ADMIN", 12), ("CAP_PERFMON", 38), ("CAP_BPF", 39)];

/// An agent that runs as a pod.
pub(super) struct Agent {
    pub(super) pod: Pod,
    address: SocketAddr,
    process: u64,
}

/// What it was given and what it kept.
#[derive(Debug, Serialize)]
pub(super) struct Rights {
    /// Seconds from its start until the start-up probe succeeded.
    ready_seconds: f64,
    /// Its capabilities as the runtime's configuration has them.
    bounding: BTreeSet<String>,
    /// What it kept after it attached, in hexadecimal.
    effective: String,
    permitted: String,
    read_only_root: bool,
    no_new_privileges: bool,
    /// As the kernel says: 2 is a filter.
    seccomp: String,
    arguments: Vec<String>,
    mounts: Vec<String>,
}

/// The memory of its cgroup in bytes, BPF maps included.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Memory {
    /// Now.
    pub(super) current: u64,
    /// At most so far.
    pub(super) peak: u64,
    /// Processes that the kernel ended for want of it.
    pub(super) killed: u64,
}

impl Agent {
    /// Starts it and waits as long as its start-up probe does; how long that took.
    pub(super) fn start(kubelet: &Kubelet, identity: Identity, spec: &PodSpec) -> Result<(Self, Rights)> {
        let started = Instant::now();
        let pod = kubelet.run(identity, spec)?;
        let container = spec.containers.first().context("the agent's pod has no containers")?;
        let probe = container.startup_probe.as_ref().context("the agent has no startupProbe")?;
        let address = SocketAddr::new(pod.address, container.port(&probe.http_get.port)?);
        let limit = Duration::from_secs(probe.period_seconds * probe.failure_threshold);
        loop {
            let answer = fetch(address, &probe.http_get.path);
            if matches!(answer, Ok((200, _, _))) {
                break;
            }
            let exited = kubelet.status(&pod)?.exited;
            ensure!(exited.is_none(), "the agent ended with {exited:?}: {}", log(&pod));
            if started.elapsed() > limit {
                bail!("the agent was not ready after {limit:?}: {answer:?}: {}", log(&pod));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let seconds = started.elapsed().as_secs_f64();
        let info: Value =
            serde_json::from_str(&kubelet.status(&pod)?.info).context("what the runtime says")?;
        let process = info["pid"].as_u64().context("the agent's process id")?;
        let rights = Rights::read(&info["runtimeSpec"], process, seconds)?;
        Ok((Self { pod, address, process }, rights))
    }

    /// What it says now.
    pub(super) fn seen(&self) -> Result<Seen> {
        Seen::ask(self.address).with_context(|| format!("ask the agent, whose log ends: {}", log(&self.pod)))
    }

    /// What it takes now.
    pub(super) fn memory(&self) -> Result<Memory> {
        let folder = self.cgroup()?;
        let number = |name: &str| -> Result<u64> {
            let text = read(&folder.join(name))?;
            text.trim().parse().with_context(|| format!("{name}: {text}"))
        };
        let events = read(&folder.join("memory.events"))?;
        let killed = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
        let killed = killed.and_then(|count| count.parse().ok()).context("memory.events")?;
        Ok(Memory { current: number("memory.current")?, peak: number("memory.peak")?, killed })
    }

    /// Its cgroup's folder.
    pub(super) fn cgroup(&self) -> Result<PathBuf> {
        let text = read(&PathBuf::from(format!("/proc/{}/cgroup", self.process)))?;
        let path = text.lines().find_map(|line| line.strip_prefix("0::/")).context("no cgroup2")?;
        Ok(PathBuf::from("/sys/fs/cgroup").join(path))
    }

    /// Whether it still is the process that was started.
    pub(super) fn lives(&self, kubelet: &Kubelet) -> Result<()> {
        let exited = kubelet.status(&self.pod)?.exited;
        ensure!(exited.is_none(), "the agent ended with {exited:?}: {}", log(&self.pod));
        Ok(())
    }
}

impl Rights {
    fn read(spec: &Value, process: u64, ready_seconds: f64) -> Result<Self> {
        let texts = |list: &Value| -> Vec<String> {
            let list = list.as_array().into_iter().flatten();
            list.filter_map(|item| item.as_str().map(str::to_owned)).collect()
        };
        let status = read(&PathBuf::from(format!("/proc/{process}/status")))?;
        let line = |name: &str| {
            let found = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            found.unwrap_or_default().trim().to_owned()
        };
        let mounts = spec["mounts"].as_array().into_iter().flatten();
        Ok(Self {
            ready_seconds,
            bounding: texts(&spec["process"]["capabilities"]["bounding"]).into_iter().collect(),
            effective: line("CapEff"),
            permitted: line("CapPrm"),
            read_only_root: spec["root"]["readonly"] == true,
            no_new_privileges: line("NoNewPrivs") == "1",
            seccomp: line("Seccomp"),
            arguments: texts(&spec["process"]["args"]),
            mounts: mounts.filter_map(|mount| mount["destination"].as_str().map(str::to_owned)).collect(),
        })
    }

    /// What is not as the manifests and the documents say.
    pub(super) fn problems(&self) -> Vec<String> {
        let given: BTreeSet<String> = CAPABILITIES.iter().map(|(name, _)| (*name).to_owned()).collect();
        let kept =
            CAPABILITIES.iter().find(|(name, _)| *name == "CAP_BPF").map_or(0, |(_, bit)| 1_u64 << bit);
        let is_kept = |set: &str| u64::from_str_radix(set, 16) == Ok(kept);
        let wanted = ["/host/cgroup", "/run/containerd", "/etc/tracer", "/sys/kernel/btf"];
        let checks = [
            (self.bounding == given, format!("the agent was given {:?}", self.bounding)),
            (
                is_kept(&self.effective),
                format!("after attaching CAP_BPF is effective alone: {}", self.effective),
            ),
            (
                is_kept(&self.permitted),
                format!("after attaching CAP_BPF is permitted alone: {}", self.permitted),
            ),
            (self.read_only_root, "the agent's root file system is not read-only".to_owned()),
            (self.no_new_privileges, "the agent may gain privileges".to_owned()),
            (self.seccomp == "2", format!("the agent has no seccomp filter: {}", self.seccomp)),
            (
                wanted.iter().all(|path| self.mounts.iter().any(|mount| mount == path)),
                format!("mounts are missing: {:?}", self.mounts),
            ),
        ];
        checks.into_iter().filter(|(holds, _)| !holds).map(|(_, said)| said).collect()
    }
}

/// The end of what a pod's container wrote.
fn log(pod: &Pod) -> String {
    let folder = format!("/var/log/pods/{}", pod.identity.uid);
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let text: String = files.filter_map(|file| fs::read_to_string(file.path()).ok()).collect();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

fn read(path: &PathBuf) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("read {}", path.display()))
}
