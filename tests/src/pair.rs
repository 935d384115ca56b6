//! Two pods, a client's and a server's, for scenarios that need no more.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;

use crate::log::read_complete;
use crate::pod::network::wait_for_listener;
use crate::process::Running;
use crate::{Lab, Pod, PodSpec, Qos};

/// A pod with a server role and one for its clients. Dropping it ends both.
pub struct Pair {
    program: PathBuf,
    _server: Running,
    /// The pod that asks.
    pub client: Pod,
    /// The pod that answers.
    pub server: Pod,
    /// What the pods are part of.
    pub lab: Lab,
}

impl Pair {
    /// Makes the pods, starts `program ROLE FLAGS…` (`tracer-lab`) as the server, waits until it listens.
    pub fn start(program: &Path, role: &str, flags: &[&str]) -> Result<Self> {
        let mut lab = Lab::new()?;
        let client = lab.pod(PodSpec { name: "client", qos: Qos::Burstable })?;
        let server = lab.pod(PodSpec { name: "server", qos: Qos::Burstable })?;
        let mut command = server.command(&program.to_string_lossy());
        command.args([role, "--listen", "0.0.0.0:8080", "--log"]).arg(lab.dir().join("server.jsonl"));
        let mut running = Running::spawn(role, command.args(flags))?;
        wait_for_listener(server.namespace(), 8080)?;
        running.still_runs()?;
        Ok(Self { program: program.to_owned(), _server: running, client, server, lab })
    }

    /// `program ROLE --target <the server>` in the client's pod.
    #[must_use]
    pub fn client(&self, role: &str) -> Command {
        let mut command = self.client.command(&self.program.to_string_lossy());
        command.arg(role).arg("--target").arg(format!("{}:8080", self.server.addresses().v4));
        command
    }

    /// The server's log once it has `lines` lines.
    pub fn log<T: DeserializeOwned>(&self, lines: usize) -> Result<Vec<T>> {
        read_complete(&self.lab.dir().join("server.jsonl"), lines).context("the server's log")
    }
}
