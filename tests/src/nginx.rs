//! A real nginx in a pod, which answers every request with a few bytes, and the paced load for it.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::log::LoadSummary;
use crate::pod::network::wait_for_listener;
use crate::process::Running;
use crate::{Lab, Pod, PodSpec, Qos};

/// A pod with nginx and one that makes the load. Dropping it ends both.
pub struct Nginx {
    _server: Running,
    /// The pod that asks.
    pub client: Pod,
    /// The pod with nginx.
    pub server: Pod,
    /// What the pods are part of.
    pub lab: Lab,
}

impl Nginx {
    /// Makes the pods, starts nginx and waits until it listens.
    pub fn start() -> Result<Self> {
        let mut lab = Lab::new()?;
        let client = lab.pod(PodSpec { name: "load", qos: Qos::BestEffort })?;
        let server = lab.pod(PodSpec { name: "nginx", qos: Qos::Guaranteed })?;
        let file = lab.dir().join("nginx.conf");
        fs::write(&file, configuration(lab.dir())).with_context(|| format!("write {}", file.display()))?;
        let mut command = server.command("nginx");
        command.arg("-c").arg(&file).arg("-p").arg(lab.dir()).args(["-e", "stderr"]);
        let running = Running::spawn("nginx", &mut command)?;
        wait_for_listener(server.namespace(), 80)?;
        Ok(Self { _server: running, client, server, lab })
    }

    /// Starts a load of `rate` requests per second without waiting for it, by `program` (`tracer-lab`).
    pub fn start_load(&self, program: &Path, rate: u32, seconds: u32) -> Result<Load> {
        let target = SocketAddr::new(self.server.addresses().v4.into(), 80).to_string();
        let (rate, duration) = (rate.to_string(), seconds.to_string());
        let mut command = self.client.command(&program.to_string_lossy());
        command.args(["load", "--target", &target, "--rate", &rate, "--seconds", &duration]);
        let running = Running::spawn("the load", command.stdout(Stdio::piped()))?;
        Ok(Load { running, at_most: Duration::from_secs(u64::from(seconds) * 3 + 10) })
    }
}

/// One worker and no logs: the tests are about the tracer's work, not about nginx'.
fn configuration(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "daemon off;\nuser root;\nworker_processes 1;\npid {dir}/nginx.pid;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\n  access_log off;\n  keepalive_requests 1000000000;\n  client_body_temp_path {dir}/body;\n\
         \x20 server {{\n    listen 80 backlog=1024;\n    listen [::]:80 backlog=1024;\n\
         \x20   location / {{ return 200 \"ok\\n\"; }}\n  }}\n}}\n"
    )
}

/// A load that goes on.
pub struct Load {
    running: Running,
    at_most: Duration,
}

impl Load {
    /// Waits for its end; an error when a request failed.
    pub fn finish(mut self) -> Result<LoadSummary> {
        let code = self.running.wait(self.at_most)?;
        let stdout = self.running.child().stdout.take().context("the load's stdout")?;
        let summary: LoadSummary = serde_json::from_reader(stdout).context("the load's summary")?;
        ensure!(code == Some(0), "requests failed: {summary:?}");
        Ok(summary)
    }
}
