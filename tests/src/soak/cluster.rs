//! The pods of the soak, the servers and clients in them, and their restarts.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::web;
use crate::labs::{Stage, Tools, Twin, python::SYSTEM};
use crate::process::{Running, Signal, run};
use crate::role::steady::Count;

const PODS: &[&str] =
    &["client", "caller", "web", "backend", "elastic", "metadata", "dns", "items", "feed", "etcd"];
/// Where every cloud instance finds its metadata service.
const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
const DOMAIN: &str = "prod.svc.cluster.local";
/// A server has ended by then, and says goodbye first.
const GRACE: Duration = Duration::from_secs(15);

/// What talks. Dropping it ends the clients and the servers that restart.
pub(super) struct Cluster<'a> {
    clients: BTreeMap<&'static str, Running>,
    restarted: BTreeMap<&'static str, Running>,
    /// Where they run.
    pub(super) stage: &'a Stage,
    pub(super) restarts: u32,
}

/// Makes the pods and starts the servers that stay.
pub(super) fn set_up(program: PathBuf) -> Result<Stage> {
    let tools = Tools { lab: program, aws_sdk: SYSTEM.into() };
    let mut stage = Stage::new(Twin::Healthy, &tools, PODS)?;
    serve_dns(&mut stage)?;
    serve_backend(&mut stage)?;
    serve_etcd(&mut stage)?;
    let mut feed = role(&stage, "feed", "grpc-server");
    stage.serve("feed", 50052, feed.args(["--listen", "0.0.0.0:50052"]))?;
    web::set_up(&stage)?;
    Ok(stage)
}

impl<'a> Cluster<'a> {
    /// Starts the servers that restart.
    pub(super) fn new(stage: &'a Stage) -> Result<Self> {
        let mut cluster = Self { clients: BTreeMap::new(), restarted: BTreeMap::new(), stage, restarts: 0 };
        for pod in ["web", "items"] {
            cluster.start(pod)?;
        }
        Ok(cluster)
    }

    /// Starts the clients, at so many requests per second in all.
    pub(super) fn talk(&mut self, rate: f64, seed: u64) -> Result<()> {
        let at = |pod: &str, port: u16| SocketAddr::new(self.stage.address(pod).into(), port).to_string();
        let (web, items, feed, etcd) =
            (at("web", 80), at("items", 50051), at("feed", 50052), at("etcd", 2379));
        let (slow, health, absent) = (at("elastic", 8090), at("items", 8081), at("elastic", 9201));
        let (secure, authority) = (at("web", 443), web::certificate(self.stage).display().to_string());
        let asks = ["--target", &web, "--slow", &slow, "--health", &health, "--absent", &absent];
        let names = ["web", "web.prod.svc.cluster.local", "elastic.example.com"];
        let names: Vec<_> = names.iter().flat_map(|name| ["--name", name]).collect();
        let lookups = [&names[..], &["--missing", "gone.example.com"]].concat();
        let python = self.stage.script("client", SYSTEM.as_ref(), "secure.py", "secure");
        let commands: [(&'static str, f64, Command, &[&str]); 6] = [
            ("web", 0.66, role(self.stage, "client", "steady-web"), &asks),
            ("secure", 0.02, python, &["--target", &secure, "--authority", &authority]),
            (
                "calls",
                0.15,
                role(self.stage, "caller", "steady-calls"),
                &["--items", &items, "--feed", &feed],
            ),
            ("keys", 0.12, role(self.stage, "caller", "steady-keys"), &["--target", &etcd]),
            ("lookups", 0.04, role(self.stage, "caller", "steady-lookups"), &lookups),
            ("lookups-tcp", 0.01, role(self.stage, "client", "steady-lookups"), &lookups),
        ];
        for (name, share, mut command, flags) in commands {
            command.args(flags).arg("--count").arg(self.count_file(name));
            command.args(["--rate", &(rate * share).to_string(), "--seed", &seed.to_string()]);
            self.clients.insert(name, Running::spawn(name, &mut command)?);
        }
        Ok(())
    }

    /// Restarts one of the servers, as a rolling update does: it says goodbye, ends what it has begun, and its
    /// successor takes its place.
    pub(super) fn restart(&mut self) -> Result<()> {
        let (pod, signal) = if self.restarts.is_multiple_of(2) {
            ("items", Signal::Terminate)
        } else {
            ("web", Signal::Quit)
        };
        let mut old = self.restarted.remove(pod).with_context(|| format!("nothing runs in {pod}"))?;
        old.signal(signal)?;
        old.wait(GRACE)?;
        self.restarts += 1;
        self.start(pod)
    }

    /// What the clients did so far.
    pub(super) fn counts(&self) -> BTreeMap<&'static str, Count> {
        let read = |name| fs::read_to_string(self.count_file(name)).ok();
        let count = |name: &&'static str| serde_json::from_str(&read(name)?).ok();
        self.clients.keys().map(|name| (*name, count(name).unwrap_or_default())).collect()
    }

    /// An error when a program has ended.
    pub(super) fn still_runs(&mut self) -> Result<()> {
        self.clients.values_mut().chain(self.restarted.values_mut()).try_for_each(Running::still_runs)
    }

    /// CPU time of all pods so far, in seconds.
    pub(super) fn cpu_seconds(&self) -> Result<f64> {
        let file = self.stage.lab.cgroup().join("cpu.stat");
        let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
        let usage = text.lines().find_map(|line| line.strip_prefix("usage_usec "));
        let microseconds: f64 = usage.context("no usage_usec in cpu.stat")?.parse()?;
        Ok(microseconds / 1e6)
    }

    fn count_file(&self, name: &str) -> PathBuf {
        self.stage.lab.dir().join(format!("{name}.count"))
    }

    fn start(&mut self, pod: &'static str) -> Result<()> {
        let (port, mut command) = if pod == "web" {
            (80, web::command(self.stage))
        } else {
            let mut items = self.stage.script(pod, SYSTEM.as_ref(), "items.py", pod);
            items.args(["--name", pod, "--connection-age", "60000"]);
            (50051, items)
        };
        self.restarted.insert(pod, self.stage.start(pod, port, &mut command)?);
        Ok(())
    }
}

/// A role without a log: an hour of one would be large.
fn role(stage: &Stage, pod: &str, role: &str) -> Command {
    let mut command = stage.command(pod, &stage.tools.lab.to_string_lossy());
    command.arg(role);
    command
}

fn silent(stage: &Stage, pod: &str, name: &str) -> Command {
    let mut command = role(stage, pod, name);
    command.args(["--log", "/dev/null"]);
    command
}

/// A real dnsmasq, and how the pods that look names up do it: the client's by TCP.
fn serve_dns(stage: &mut Stage) -> Result<()> {
    let server = stage.address("dns");
    let services = PODS.iter().map(|pod| format!("{} {pod}.{DOMAIN}\n", stage.address(pod)));
    let outside = format!("{} elastic.example.com\n", stage.address("elastic"));
    let hosts = stage.lab.dir().join("hosts");
    fs::write(&hosts, services.chain([outside]).collect::<String>())
        .with_context(|| format!("write {}", hosts.display()))?;
    let mut dnsmasq = stage.command("dns", "dnsmasq");
    dnsmasq
        .args("--keep-in-foreground --conf-file=/dev/null --pid-file= --user=root --no-resolv".split(' '))
        .args(
            "--no-hosts --no-poll --bind-interfaces --local=/cluster.local/ --local=/example.com/".split(' '),
        )
        .args([format!("--listen-address={server}"), format!("--addn-hosts={}", hosts.display())]);
    stage.serve("dns", 53, &mut dnsmasq)?;
    for (pod, option) in [("backend", ""), ("caller", ""), ("client", " use-vc")] {
        let search = "svc.cluster.local cluster.local";
        let text = format!("nameserver {server}\nsearch {DOMAIN} {search}\noptions ndots:1{option}\n");
        stage.pod(pod).namespace().write_resolv_conf(&text)?;
    }
    Ok(())
}

/// The backend with what it calls: credentials that live 6 hours, a search, and next to that a slow service.
fn serve_backend(stage: &mut Stage) -> Result<()> {
    stage.lab.add_address(stage.pod("metadata"), METADATA.into())?;
    let mut metadata = silent(stage, "metadata", "metadata");
    stage.serve("metadata", 80, metadata.args(["--lifetime", "21600"]))?;
    let mut elastic = silent(stage, "elastic", "elastic");
    stage.serve("elastic", 9200, &mut elastic)?;
    let mut slow = silent(stage, "elastic", "answer");
    stage.serve("elastic", 8090, slow.args(["--listen", "0.0.0.0:8090", "--delay", "300"]))?;
    let mut backend = silent(stage, "backend", "backend");
    stage.serve("backend", 8080, backend.args(["--elastic", "elastic.example.com", "--work", "200"]))
}

fn serve_etcd(stage: &mut Stage) -> Result<()> {
    let url = format!("http://{}:2379", stage.address("etcd"));
    let mut etcd = stage.command("etcd", "etcd");
    etcd.arg("--data-dir").arg(stage.lab.dir().join("etcd-data")).arg("--log-outputs");
    etcd.arg(stage.lab.dir().join("etcd.log"));
    etcd.args(["--listen-client-urls", &url, "--advertise-client-urls", &url]);
    // As Kubernetes does it: old revisions go every five minutes.
    etcd.args(["--auto-compaction-retention", "5m", "--logger", "zap"]);
    stage.serve("etcd", 2379, &mut etcd)
}

/// Makes a certificate for a server that its clients trust.
pub(super) fn make_certificate(key: &std::path::Path, certificate: &std::path::Path) -> Result<()> {
    let mut openssl = Command::new("openssl");
    openssl
        .args(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=web"
                .split(' '),
        )
        .arg("-keyout")
        .arg(key)
        .arg("-out")
        .arg(certificate);
    run(&mut openssl).map(drop).context("make a certificate")
}
