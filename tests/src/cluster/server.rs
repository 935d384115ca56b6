//! A real API server of Kubernetes on a real etcd: what `tests/apiserver` builds, and kubectl to change its objects.
//!
//! The lab asks a server of its own, so that what the tracer's server counts is the tracer's, and what happens while
//! that is down can happen.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::node::until;
use super::objects::{self, Described, Exposed, NODE};
use crate::Lab;
use crate::pod::network::{Namespace, wait_for_listener};
use crate::process::{Running, Signal, run, run_with_input};

/// Ports of the servers.
const LAB: u16 = 6443;
const TRACER: u16 = 6444;
const ETCD: &str = "http://127.0.0.1:2379";
/// Token, user, UID and groups of each user.
const TOKENS: &str = "lab,lab,1,system:masters\ntracer,tracer,2\n";
/// What the tracer is allowed.
const ROLE: &str = include_str!("../../../manifests/base/rbac.yaml");
/// The tracer's user may nothing.
const NO_ROLE: &str = "kind: ClusterRole\nrules: []\n";

/// The objects of a cluster, which outlive the tracer's API server.
pub struct Cluster<'a> {
    node: &'a Namespace,
    dir: &'a Path,
    _lab: Server,
    _etcd: Running,
}

/// An API server. Dropping it ends it at once.
pub struct Server(Running);

impl<'a> Cluster<'a> {
    /// Starts etcd and the lab's server on the node. The tracer is allowed what its manifests ask for.
    pub fn start(lab: &'a Lab) -> Result<Self> {
        let (node, dir) = (lab.node(), lab.dir());
        let etcd = start_etcd(node, dir)?;
        write(&dir.join("tokens"), TOKENS)?;
        for (user, port) in [("lab", LAB), ("tracer", TRACER)] {
            write(&kubeconfig(dir, user), &config(dir, user, port).to_string())?;
        }
        let server = start_server(node, dir, LAB, &[])?;
        let cluster = Self { node, dir, _lab: server, _etcd: etcd };
        cluster.wait(LAB)?;
        cluster.allow(true)?;
        Ok(cluster)
    }

    /// Starts the tracer's server, with flags of `tests/apiserver`, and waits until it is ready.
    pub fn serve(&self, flags: &[&str]) -> Result<Server> {
        let server = start_server(self.node, self.dir, TRACER, flags)?;
        self.wait(TRACER)?;
        Ok(server)
    }

    /// The kubeconfig of the tracer.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        kubeconfig(self.dir, "tracer")
    }

    /// Whether the tracer's user may what the manifests ask for, or nothing; from its next request on.
    pub fn allow(&self, all: bool) -> Result<()> {
        let role = ROLE.split("\n---").next().unwrap_or_default();
        write(&self.dir.join("role.yaml"), if all { role } else { NO_ROLE })
    }

    /// Makes a pod as clusters do: it is created, then bound to the node, then the kubelet says that it runs.
    pub fn add(&self, pod: &Described) -> Result<()> {
        let mut object = pod.object(0);
        let status = object["status"].take();
        object["metadata"]["annotations"] = json!({ "tracer-lab/uid": pod.uid });
        object["spec"].as_object_mut().context("a pod without a spec")?.remove("nodeName");
        self.create(&without_identity(object))?;
        self.patch(pod, &json!({ "spec": { "nodeName": NODE } }), &[])?;
        self.patch(pod, &json!({ "status": status }), &["--subresource=status"])
    }

    /// Makes a service.
    pub fn add_service(&self, service: &Exposed) -> Result<()> {
        self.create(&without_identity(service.object(0)))
    }

    /// Makes an endpoint of a service: the pod at its address.
    pub fn add_endpoint(&self, service: &Exposed, pod: &Described) -> Result<()> {
        self.create(&without_identity(service.slice(pod, 0)))
    }

    /// Makes an object, or those of a list.
    pub fn create(&self, object: &Value) -> Result<()> {
        let mut create = self.kubectl()?;
        create.args(["create", "--validate=false", "--filename=-"]);
        run_with_input(&mut create, &object.to_string()).map(drop)
    }

    /// Changes a pod.
    pub fn patch(&self, pod: &Described, patch: &Value, flags: &[&str]) -> Result<()> {
        let mut command = self.kubectl()?;
        command.args(["patch", "pod", &pod.name(), "--namespace", &pod.namespace, "--type=merge"]);
        run(command.args(["--patch", &patch.to_string()]).args(flags)).map(drop)
    }

    /// The body of a GET by the lab.
    pub fn get(&self, path: &str) -> Result<String> {
        run(self.kubectl()?.args(["get", "--raw", path]))
    }

    /// Removes from etcd what objects were before now.
    pub fn compact(&self) -> Result<()> {
        let list: Value = serde_json::from_str(&self.get("/api/v1/pods?limit=1")?)?;
        let version = list["metadata"]["resourceVersion"].as_str().context("a list without a version")?;
        let mut etcdctl = self.node.command("etcdctl");
        etcdctl.env("ETCDCTL_API", "3").args(["--endpoints", ETCD, "compact", version]);
        run(&mut etcdctl).map(drop)
    }

    /// How often the tracer's server was asked to list pods, and the watches of pods that it serves.
    pub fn counts(&self) -> Result<(u64, u64)> {
        // Nobody asks that server for pods but the tracer.
        let mut command = self.kubectl()?;
        command.args(["--server", &url(TRACER), "get", "--raw", "/metrics"]);
        let metrics = run(&mut command)?;
        Ok((
            sum(&metrics, "apiserver_request_total{", "verb=\"LIST\"")?,
            sum(&metrics, "apiserver_longrunning_requests{", "verb=\"WATCH\"")?,
        ))
    }

    fn wait(&self, port: u16) -> Result<()> {
        until(&format!("an API server is ready on port {port}"), || {
            Ok(run(self.kubectl()?.args(["--server", &url(port), "get", "--raw", "/readyz"])).is_ok())
        })
    }

    fn kubectl(&self) -> Result<Command> {
        let mut command = self.node.command(&program("TRACER_KUBECTL")?);
        command.arg("--kubeconfig").arg(kubeconfig(self.dir, "lab"));
        command.arg("--cache-dir").arg(self.dir.join("kubectl"));
        Ok(command)
    }
}

impl Server {
    /// Ends it as Kubernetes does: it tells its clients, and finishes what they asked for.
    pub fn stop(mut self) -> Result<()> {
        self.0.signal(Signal::Terminate)?;
        self.0.wait(std::time::Duration::from_secs(30)).map(drop)
    }
}

fn start_etcd(node: &Namespace, dir: &Path) -> Result<Running> {
    let mut etcd = node.command("etcd");
    etcd.arg("--data-dir").arg(dir.join("etcd")).args(["--listen-client-urls", ETCD]);
    etcd.args(["--advertise-client-urls", ETCD, "--unsafe-no-fsync"]);
    let etcd = Running::spawn("etcd", etcd.stderr(log(dir, "etcd")?))?;
    wait_for_listener(node, 2379)?;
    Ok(etcd)
}

fn start_server(node: &Namespace, dir: &Path, port: u16, flags: &[&str]) -> Result<Server> {
    let mut server = node.command(&program("TRACER_APISERVER")?);
    server.args(["-port", &port.to_string(), "-etcd", ETCD]).args(flags);
    server.arg("-certs").arg(dir.join("certs")).arg("-tokens").arg(dir.join("tokens"));
    server.arg("-role").arg(dir.join("role.yaml")).stderr(log(dir, &format!("apiserver-{port}"))?);
    Running::spawn("the API server", &mut server).map(Server)
}

/// A program that `cargo xtask apiserver` brings.
fn program(variable: &str) -> Result<String> {
    std::env::var(variable).with_context(|| format!("set {variable} (cargo xtask apiserver does)"))
}

fn url(port: u16) -> String {
    format!("https://127.0.0.1:{port}")
}

fn kubeconfig(dir: &Path, user: &str) -> PathBuf {
    dir.join(format!("{user}.kubeconfig"))
}

fn config(dir: &Path, user: &str, port: u16) -> Value {
    let authority = dir.join("certs/apiserver.crt");
    let cluster = json!({ "server": url(port), "certificate-authority": authority });
    objects::kubeconfig(user, &cluster, &json!({ "token": user }))
}

/// An object without what the server alone gives.
fn without_identity(mut object: Value) -> Value {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("uid");
        metadata.remove("resourceVersion");
    }
    object
}

/// The sum of the values of a metric's series of pods.
fn sum(metrics: &str, name: &str, label: &str) -> Result<u64> {
    let of_pods =
        |line: &&str| line.starts_with(name) && line.contains(label) && line.contains("resource=\"pods\"");
    let values = metrics.lines().filter(of_pods).filter_map(|line| line.rsplit(' ').next());
    values.map(|value| value.parse::<u64>().with_context(|| format!("{name}: {value}"))).sum()
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("write {}", path.display()))
}

/// Later runs of the same program add to it.
fn log(dir: &Path, name: &str) -> Result<File> {
    let path = dir.join(format!("{name}.log"));
    let opened = File::options().append(true).create(true).open(&path);
    opened.with_context(|| format!("open {}", path.display()))
}
