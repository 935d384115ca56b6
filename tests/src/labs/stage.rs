//! Where a story is played: a lab, its pods by name, and the programs that run in them.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use serde::de::DeserializeOwned;

use super::{Twin, python};
use crate::log::{self, ClientSummary};
use crate::pod::network::wait_for_listener;
use crate::process::{Running, Signal};
use crate::{Lab, Pod, PodSpec, Qos};

/// The programs that a story needs.
#[derive(Clone, Debug)]
pub struct Tools {
    /// `tracer-lab`, which plays roles.
    pub lab: PathBuf,
    /// A Python with an AWS SDK that refreshes whatever lives 15 minutes or less.
    pub aws_sdk: PathBuf,
}

/// A lab with named pods and running programs. Dropping it ends and removes all of it.
pub struct Stage {
    // Dropped in this order: programs first, then where they run.
    running: Vec<(&'static str, Running)>,
    pods: BTreeMap<&'static str, Pod>,
    /// What the pods are part of.
    pub lab: Lab,
    /// What is played.
    pub twin: Twin,
    /// The programs to play it with.
    pub tools: Tools,
    python: PathBuf,
}

impl Stage {
    /// Makes the pods for a part. Needs root.
    pub fn new(twin: Twin, tools: &Tools, pods: &[&'static str]) -> Result<Self> {
        let mut lab = Lab::new()?;
        let made = pods.iter().map(|&name| Ok((name, lab.pod(PodSpec { name, qos: Qos::Burstable })?)));
        let pods = made.collect::<Result<_>>()?;
        let python = python::write(lab.dir())?;
        Ok(Self { running: Vec::new(), pods, lab, twin, tools: tools.clone(), python })
    }

    /// The pods by name.
    pub fn pods(&self) -> impl Iterator<Item = (&'static str, &Pod)> {
        self.pods.iter().map(|(name, pod)| (*name, pod))
    }

    /// A pod.
    ///
    /// # Panics
    /// When the story never asked for it.
    #[must_use]
    pub fn pod(&self, name: &str) -> &Pod {
        self.pods.get(name).unwrap_or_else(|| panic!("the story has no pod {name}"))
    }

    /// A pod's IPv4 address.
    #[must_use]
    pub fn address(&self, pod: &str) -> Ipv4Addr {
        self.pod(pod).addresses().v4
    }

    /// The file to which a program of this name logs.
    #[must_use]
    pub fn log(&self, name: &str) -> PathBuf {
        self.lab.dir().join(format!("{name}.jsonl"))
    }

    /// The lines of a log.
    pub fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Vec<T>> {
        log::read(&self.log(name))
    }

    /// A program in a pod, without anything that this machine's environment would tell it.
    #[must_use]
    pub fn command(&self, pod: &str, program: &str) -> Command {
        let mut command = self.pod(pod).command(program);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", self.lab.dir());
        command
    }

    /// A role of `tracer-lab` in a pod, which logs by `log`.
    #[must_use]
    pub fn role(&self, pod: &str, role: &str, log: &str) -> Command {
        let mut command = self.command(pod, &self.tools.lab.to_string_lossy());
        command.arg(role).arg("--log").arg(self.log(log));
        command
    }

    /// A program of `tests/incidents` in a pod, run by `python`, which logs by `log`.
    #[must_use]
    pub fn script(&self, pod: &str, python: &Path, script: &str, log: &str) -> Command {
        let mut command = self.command(pod, &python.to_string_lossy());
        command.arg("-sB").arg(self.python.join(script)).arg("--log").arg(self.log(log));
        command
    }

    /// Starts a server that runs until the stage is dropped, and waits until it listens on `port`.
    pub fn serve(&mut self, pod: &'static str, port: u16, command: &mut Command) -> Result<()> {
        let server = self.start(pod, port, command)?;
        self.running.push((pod, server));
        Ok(())
    }

    /// Starts a server that runs until it is dropped, and waits until it listens on `port`.
    pub fn start(&self, pod: &str, port: u16, command: &mut Command) -> Result<Running> {
        let mut server = Running::spawn(&format!("the server in pod {pod}"), command)?;
        wait_for_listener(self.pod(pod).namespace(), port)
            .with_context(|| format!("{:?}", server.still_runs()))?;
        server.still_runs()?;
        Ok(server)
    }

    /// Sends a signal to the servers of a pod.
    pub fn signal(&self, pod: &str, signal: Signal) -> Result<()> {
        let mut servers = self.running.iter().filter(|(name, _)| *name == pod);
        servers.try_for_each(|(_, server)| server.signal(signal))
    }

    /// Runs a program to its end, which must be a good one, and returns its standard output.
    pub fn finish(what: &str, command: &mut Command, at_most: Duration) -> Result<String> {
        let mut running = Running::spawn(what, command.stdout(Stdio::piped()))?;
        let stdout = running.child().stdout.take().with_context(|| format!("{what}: no stdout"))?;
        // Meanwhile, because a full pipe would keep it from ending.
        let reader = std::thread::spawn(|| std::io::read_to_string(stdout));
        let code = running.wait(at_most)?;
        let said = reader.join().map_err(|_| anyhow!("{what}: reading its stdout panicked"))?;
        let said = said.with_context(|| format!("{what}: its stdout"))?;
        ensure!(code == Some(0), "{what} ended with {code:?}: {said}");
        Ok(said)
    }

    /// Makes `requests` numbered requests from the pod `client` to `backend`, each on a connection of its
    /// own; all must succeed.
    pub fn ask(&self, first: u64, requests: u64, parallel: u64) -> Result<ClientSummary> {
        let mut command = self.role("client", "client", &format!("client-{first}"));
        command.args(["--fresh", "--target", &format!("{}:8080", self.address("backend"))]);
        for (flag, value) in [("--first", first), ("--requests", requests), ("--parallel", parallel)] {
            command.arg(flag).arg(value.to_string());
        }
        let said = Self::finish("the client", &mut command, Duration::from_secs(60))?;
        serde_json::from_str(&said).with_context(|| format!("the client's summary: {said}"))
    }
}
