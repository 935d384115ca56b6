//! The metadata incident: a client, a backend, Elasticsearch, DNS and a metadata service in pods of
//! their own; and its healthy twin, which differs by configuration only.

mod settings;

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::log::{ClientSummary, Kind, QueryLine, RequestLine, read_complete};
use crate::pod::network::{Family, wait_for_listener};
use crate::process::{Running, Signal, run};
use crate::{Lab, Pod, PodSpec, Qos};

pub use settings::{Secrets, Settings, Twin};

/// The name that the backend resolves.
pub const NAME: &str = "elastic.spain.adevinta.com";
/// The domains that its resolver tries first.
pub const SEARCH: [&str; 3] = ["spain.svc.cluster.local", "svc.cluster.local", "cluster.local"];

const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
const DNSMASQ_PORT: u16 = 5335;
const GRPC_PORT: u16 = 8081;

/// A running incident. Dropping it ends it.
pub struct Incident {
    settings: Settings,
    servers: Vec<Running>,
    next_request: AtomicU64,
    clients: AtomicU64,
    /// The pod that asks.
    pub client: Pod,
    /// The pod whose requests are slow.
    pub backend: Pod,
    /// The pod that answers searches.
    pub elastic: Pod,
    /// The pod that answers DNS queries.
    pub dns: Pod,
    /// The pod that hands out credentials.
    pub metadata: Pod,
    /// What the pods are part of.
    pub lab: Lab,
}

impl Incident {
    /// Makes the pods, starts the servers and waits until a request has gone through all of them.
    pub fn start(settings: Settings) -> Result<Self> {
        let mut lab = Lab::new()?;
        let mut pod = |name| lab.pod(PodSpec { name, qos: Qos::Burstable });
        let (client, backend, elastic) = (pod("client")?, pod("backend")?, pod("elastic")?);
        let (dns, metadata) = (pod("dns")?, pod("metadata")?);
        lab.add_address(&metadata, METADATA.into())?;
        lab.add_address(&metadata, METADATA_V6.into())?;
        lab.add_silence()?;
        let servers = Vec::new();
        let mut incident = Self {
            settings,
            servers,
            next_request: AtomicU64::new(0),
            clients: AtomicU64::new(0),
            client,
            backend,
            elastic,
            dns,
            metadata,
            lab,
        };
        incident.backend.namespace().write_resolv_conf(&incident.resolv_conf())?;
        incident.start_servers()?;
        incident.wait_for_servers().context("start the incident's servers")?;
        incident.run(1, 1).context("a first request through all servers")?;
        Ok(incident)
    }

    /// Each pod with its name and its part in the incident.
    #[must_use]
    pub fn roles(&self) -> [(&Pod, &'static str, &'static str); 5] {
        [
            (&self.client, "client", "asks the backend"),
            (&self.backend, "backend", "GET /v1/items/<n>: the slow one, look here"),
            (&self.elastic, "elastic", "answers searches after 18 ms"),
            (&self.dns, "dns", "answers each query after 20 to 40 ms"),
            (&self.metadata, "metadata", "169.254.169.254, answers after 43 ms"),
        ]
    }

    /// The secrets' common text.
    #[must_use]
    pub fn canary(&self) -> &str {
        &self.settings.canary
    }

    /// Makes `requests` requests to the backend, `parallel` at a time, all of which must succeed.
    pub fn run(&self, requests: u64, parallel: u64) -> Result<ClientSummary> {
        let address = self.address(&self.backend);
        self.run_to(address, requests, parallel)
    }

    /// The same to a chosen address of the backend.
    pub fn run_to(&self, backend: IpAddr, requests: u64, parallel: u64) -> Result<ClientSummary> {
        self.start_client(backend, requests, parallel)?.finish()
    }

    /// Starts a client without waiting for it. Requests are numbered over all clients.
    pub fn start_client(&self, backend: IpAddr, requests: u64, parallel: u64) -> Result<Client> {
        let log = self.log(&format!("client-{}", self.clients.fetch_add(1, Ordering::Relaxed)));
        let first = self.next_request.fetch_add(requests, Ordering::Relaxed);
        let mut command = self.role(&self.client, "client", &log);
        command.arg("--target").arg(SocketAddr::new(backend, 8080).to_string());
        for (flag, value) in [("--requests", requests), ("--parallel", parallel), ("--first", first)] {
            command.arg(flag).arg(value.to_string());
        }
        command.arg("--pause").arg(self.settings.pause.to_string());
        command.args(self.settings.fresh.then_some("--fresh"));
        command.args(self.settings.sends_all().then_some("--all-secrets"));
        let running = Running::spawn("the client", command.stdout(Stdio::piped()))?;
        Ok(Client { running, at_most: Duration::from_millis(30_000 + requests * 1000) })
    }

    /// Makes `calls` gRPC calls to the backend, which answers them in [`Secrets::All`] only.
    pub fn call(&self, calls: u64) -> Result<()> {
        let mut command = self.role(&self.client, "grpc-client", &self.log("grpc-client"));
        command.arg("--target").arg(format!("{}:{GRPC_PORT}", self.backend.addresses().v4));
        run(command.args(["--small", "--calls", &calls.to_string()])).map(drop)
    }

    /// All requests of clients that have finished, by the backend's clock; the first request of
    /// [`Incident::start`] is number 0.
    pub fn requests(&self) -> Result<Vec<RequestLine>> {
        let made = self.next_request.load(Ordering::Relaxed);
        read_complete(&self.log("backend"), usize::try_from(made)?)
    }

    /// All DNS queries of those requests, by the relay's clock.
    pub fn queries(&self) -> Result<Vec<QueryLine>> {
        let requests = self.requests()?;
        let lookups =
            requests.iter().flat_map(|request| &request.calls).filter(|call| call.kind == Kind::Dns);
        read_complete(&self.log("dns-relay"), lookups.count() * self.settings.twin.queries_per_lookup())
    }

    /// An address of the Elasticsearch pod at which nothing listens.
    #[must_use]
    pub fn refusing(&self) -> SocketAddr {
        SocketAddr::new(self.elastic.addresses().v4.into(), 9201)
    }

    /// An address that packets to it never reach.
    #[must_use]
    pub fn unanswered(&self) -> SocketAddr {
        SocketAddr::new(Lab::SILENCE.into(), 9200)
    }

    /// The log of a role.
    #[must_use]
    pub fn log(&self, role: &str) -> PathBuf {
        self.lab.dir().join(format!("{role}.jsonl"))
    }

    /// The address by which a pod is reached.
    fn address(&self, pod: &Pod) -> IpAddr {
        pod.addresses().of_family(self.settings.family)
    }

    fn metadata_address(&self) -> IpAddr {
        match self.settings.family {
            Family::V4 => METADATA.into(),
            Family::V6 => METADATA_V6.into(),
        }
    }

    fn resolv_conf(&self) -> String {
        let ndots = if self.settings.twin == Twin::Sick { 5 } else { 1 };
        let server = self.address(&self.dns);
        format!("nameserver {server}\nsearch {}\noptions ndots:{ndots}\n", SEARCH.join(" "))
    }

    fn role(&self, pod: &Pod, role: &str, log: &Path) -> Command {
        let mut command = pod.command(&self.settings.program.to_string_lossy());
        command.arg(role).arg("--log").arg(log);
        if role != "dns-relay" {
            command.args(["--canary", &self.settings.canary]);
        }
        command
    }

    fn start_servers(&mut self) -> Result<()> {
        let lifetime = if self.settings.twin == Twin::Sick { "900" } else { "21600" };
        let dns = SocketAddr::new(self.address(&self.dns), 53).to_string();
        let metadata = SocketAddr::new(self.metadata_address(), 80).to_string();
        let cache = self.settings.dns_cache.to_string();
        let pause = self.settings.pause.to_string();
        let mut backend = vec!["--mode", self.settings.mode.flag(), "--dns-cache", &cache];
        backend.extend(["--metadata", &metadata, "--pause", &pause]);
        backend.extend(self.settings.marked.then_some("--mark"));
        backend.extend(self.settings.sends_all().then_some("--all-secrets"));
        let stale = [self.refusing().to_string(), self.unanswered().to_string()];
        if self.settings.stale {
            backend.extend(stale.iter().flat_map(|address| ["--stale", address.as_str()]));
        }
        let calls = ["--listen", &format!("0.0.0.0:{GRPC_PORT}")];
        let calls = self.settings.sends_all().then_some(("grpc-server", &self.backend, &calls[..]));
        let commands: [(&str, &Pod, &[&str]); 4] = [
            ("metadata", &self.metadata, &["--listen", &metadata, "--lifetime", lifetime]),
            ("elastic", &self.elastic, &[]),
            ("dns-relay", &self.dns, &["--listen", &dns, "--upstream", &format!("127.0.0.1:{DNSMASQ_PORT}")]),
            ("backend", &self.backend, &backend),
        ];
        let mut servers = vec![Running::spawn("dnsmasq", &mut self.dnsmasq())?];
        if self.settings.distance > 0 {
            let distance = Duration::from_millis(self.settings.distance);
            servers.push(self.lab.move_away(&self.elastic, distance, &self.settings.program)?);
        }
        for (role, pod, flags) in commands.into_iter().chain(calls) {
            servers.push(Running::spawn(role, self.role(pod, role, &self.log(role)).args(flags))?);
        }
        self.servers = servers;
        Ok(())
    }

    fn dnsmasq(&self) -> Command {
        let mut arguments = String::from(
            "--keep-in-foreground --conf-file=/dev/null --pid-file= --user=root --no-resolv --no-hosts --no-poll \
             --cache-size=0 --bind-interfaces --listen-address=127.0.0.1",
        );
        let _infallible = write!(
            arguments,
            " --port={DNSMASQ_PORT} --local=/cluster.local/{NAME}/ --address=/{NAME}/{}",
            self.address(&self.elastic)
        );
        let mut command = self.dns.command("dnsmasq");
        command.args(arguments.split(' '));
        command
    }

    fn wait_for_servers(&mut self) -> Result<()> {
        let calls = self.settings.sends_all().then_some((&self.backend, GRPC_PORT));
        let listeners = [
            (&self.metadata, 80),
            (&self.elastic, 9200),
            (&self.dns, DNSMASQ_PORT),
            (&self.dns, 53),
            (&self.backend, 8080),
        ];
        for (pod, port) in listeners.into_iter().chain(calls) {
            wait_for_listener(pod.namespace(), port)?;
        }
        self.servers.iter_mut().try_for_each(Running::still_runs)
    }
}

/// A client that runs.
pub struct Client {
    running: Running,
    at_most: Duration,
}

impl Client {
    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.running.signal(signal)
    }

    /// Waits for the client; an error when a request failed.
    pub fn finish(mut self) -> Result<ClientSummary> {
        let code = self.running.wait(self.at_most)?;
        let stdout = self.running.child().stdout.take().context("the client's stdout")?;
        let summary: ClientSummary = serde_json::from_reader(stdout).context("the client's summary")?;
        ensure!(code == Some(0), "the client failed: {summary:?}");
        Ok(summary)
    }
}
