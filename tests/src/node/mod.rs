//! A Kubernetes node without Kubernetes: containerd, runc and CNI plugins in a VM of its own, and this program in the
//! place of the kubelet. It runs the agent as the manifests say and pods beside it, and holds what the agent says of
//! them against what was done.

use std::fs;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::Serialize;

use crate::http::arrival::date;
use crate::random::mix;

mod agent;
mod answer;
mod churn;
mod config;
mod containerd;
mod cri;
mod kubelet;
mod manifest;
mod named;
mod seen;

use agent::{Agent, Rights};
use churn::Churn;
use config::Identity;
use containerd::Containerd;
use kubelet::{Driver, Kubelet};
use manifest::{Manifest, PodSpec};
use named::Named;

/// The image of the pods.
const LAB_IMAGE: &str = "tracer-lab:0";
/// The same, as the runtime calls it: the sandboxes' too, whose process waits.
const LAB_IMAGE_FULL: &str = "docker.io/library/tracer-lab:0";

/// Flags of the node.
#[derive(Args)]
pub struct Node {
    /// Who makes the cgroups of containers
    #[arg(long, value_enum)]
    driver: Driver,
    /// The objects of the kustomization, as a list in JSON
    #[arg(long)]
    objects: PathBuf,
    /// Archive of the agent's image, an OCI layout
    #[arg(long)]
    agent_image: PathBuf,
    /// Archive of the image of the pods
    #[arg(long)]
    lab_image: PathBuf,
    /// Pods that come and go
    #[arg(long, default_value_t = 200)]
    pods: u64,
    /// Minutes over which they do
    #[arg(long, default_value_t = 5)]
    minutes: u64,
    /// File for what came of it, in JSON
    #[arg(long)]
    out: PathBuf,
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
struct Report {
    runtime: String,
    agent: Option<Rights>,
    named: Vec<Named>,
    churn: Option<Churn>,
    /// What is wrong, in words.
    problems: Vec<String>,
}

impl Node {
    /// Runs everything; an error when something is wrong.
    pub fn run(&self) -> Result<()> {
        let mut report = Report::default();
        if let Err(error) = self.try_all(&mut report) {
            report.problems.push(format!("{error:#}"));
        }
        let json = serde_json::to_string(&report)?;
        fs::write(&self.out, json).with_context(|| format!("write {}", self.out.display()))?;
        if !report.problems.is_empty() {
            let log = fs::read_to_string(containerd::LOG).unwrap_or_default();
            let lines: Vec<&str> = log.lines().filter(|line| !line.contains("level=info")).collect();
            eprintln!("containerd: {}", lines[lines.len().saturating_sub(20)..].join("\n"));
        }
        report.problems.iter().for_each(|problem| eprintln!("{problem}"));
        ensure!(report.problems.is_empty(), "{} things are wrong", report.problems.len());
        Ok(())
    }

    fn try_all(&self, report: &mut Report) -> Result<()> {
        // As long as one socket is dated, the kernel need not write its code anew for the next: QEMU, when it emulates
        // several CPUs, at times runs the old code and the new one mixed.
        let dated = UdpSocket::bind("0.0.0.0:0")?;
        date(&dated).context("have arrivals dated")?;
        let manifest = Manifest::read(&self.objects)?;
        let (namespace, spec) = manifest.daemon()?;
        let image = &spec.containers.first().context("the DaemonSet has no containers")?.image;
        let (_containerd, runtime) = Containerd::start(self.driver, LAB_IMAGE_FULL)?;
        report.runtime = runtime.version()?;
        Containerd::import(&self.agent_image, &format!("docker.io/library/{image}"))?;
        Containerd::import(&self.lab_image, LAB_IMAGE_FULL)?;
        let kubelet = Kubelet { runtime, driver: self.driver, manifest };
        said("the agent, as the manifests say");
        let (agent, rights) = Agent::start(&kubelet, identity(&namespace, "tracer-a"), &spec)?;
        report.problems.extend(rights.problems());
        report.agent = Some(rights);
        said("pods of each class");
        let (named, problems) = named::run(&kubelet, &agent)?;
        report.named = named;
        report.problems.extend(problems);
        kubelet.remove(&agent.pod)?;
        said("pods that come and go");
        let (agent, _) = Agent::start(&kubelet, identity(&namespace, "tracer-b"), &forgetful(&spec))?;
        let plan = churn::Plan { pods: self.pods, time: Duration::from_secs(self.minutes * 60) };
        let (churn, problems) = churn::run(&kubelet, &agent, plan)?;
        report.churn = Some(churn);
        report.problems.extend(problems);
        kubelet.remove(&agent.pod)
    }
}

/// The agent with one more flag: that it forgets soon.
fn forgetful(spec: &PodSpec) -> PodSpec {
    let mut spec = spec.clone();
    for container in &mut spec.containers {
        container.args.push(format!("--pod-retention={}", churn::RETENTION));
    }
    spec
}

fn said(what: &str) {
    let up = fs::read_to_string("/proc/uptime").unwrap_or_default();
    println!("{} s: {what}", up.split('.').next().unwrap_or_default());
}

/// A pod with a UID of its own: the same in each run.
fn identity(namespace: &str, name: &str) -> Identity {
    let seed =
        namespace.bytes().chain(*b"/").chain(name.bytes()).fold(0, |seed, byte| mix(seed ^ u64::from(byte)));
    let digits = format!("{:016x}{:016x}", mix(seed), mix(seed ^ 1));
    let groups = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    Identity { namespace: namespace.to_owned(), name: name.to_owned(), uid: groups.join("-") }
}
