//! Flows with frames, live: TLS and DNS over TCP as a capture of the same packets says, and HTTP/2 that loses segments.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tracer_lab::pair::Pair;
use tracer_lab::pod::network::wait_for_listener;
use tracer_lab::process::{Running, run};
use tracer_lab::role::grpc::CallLine;
use tracer_lab::tracer::offline::Offline;
use tracer_lab::tracer::report::Calls;
use tracer_lab::tracer::{live, program};
use tracer_lab::wire::Tcpdump;
use tracer_lab::{Lab, Pod, PodSpec, Qos, log, say};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tracer-lab");
/// How far a call's duration may be apart on average: a connect is dated by the socket's changes of state live, by its
/// packets in a capture.
const NEAR: f64 = 0.000_3;

struct Pods {
    lab: Lab,
    client: Pod,
    server: Pod,
}

impl Pods {
    fn start() -> Result<Self> {
        let mut lab = Lab::new()?;
        let client = lab.pod(PodSpec { name: "client", qos: Qos::Burstable })?;
        let server = lab.pod(PodSpec { name: "server", qos: Qos::Burstable })?;
        Ok(Self { lab, client, server })
    }

    /// The client's calls while `work` goes on, as the hooks see them; a capture must say the same.
    fn calls(&self, work: impl FnOnce() -> Result<()>) -> Result<BTreeMap<String, Calls>> {
        let tcpdump = Tcpdump::start(&self.client, self.lab.dir().join("tcpdump.pcap"))?;
        let live = live(&program()?, &self.lab, work)?;
        let read = Offline::of(&self.client)?.analyze(&[&tcpdump.finish()?])?;
        ensure!(live.summary.accounting.dropped() == 0, "{:?}", live.summary.accounting);
        let live = live.summary.pod(self.client.uid())?.calls.clone();
        let read = &read.summary.pods.first().context("the capture has no pod")?.calls;
        for (kind, calls) in &live {
            let other = read.get(kind).with_context(|| format!("the capture has no {kind}"))?;
            say(&format!("{kind}: {calls:?} live, {other:?} offline"));
            ensure!(calls.count == other.count, "{kind}");
            let count = u32::try_from(calls.count.max(1)).map_or(f64::INFINITY, f64::from);
            ensure!((calls.seconds - other.seconds).abs() / count < NEAR, "{kind}");
        }
        Ok(live)
    }
}

#[test]
fn a_tls_handshake_is_part_of_the_connect_and_no_call() -> Result<()> {
    let pods = Pods::start()?;
    let dir = pods.lab.dir();
    let [key, certificate] = ["key.pem", "certificate.pem"].map(|name| dir.join(name));
    let mut openssl = std::process::Command::new("openssl");
    openssl.args(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=lab".split(' '),
    );
    run(openssl.arg("-keyout").arg(&key).arg("-out").arg(&certificate))?;
    fs::write(dir.join("small"), "ok")?;
    let mut nghttpd = pods.server.command("nghttpd");
    nghttpd.arg("--htdocs").arg(dir).arg("8443").arg(&key).arg(&certificate);
    let _running = Running::spawn("nghttpd", &mut nghttpd)?;
    wait_for_listener(pods.server.namespace(), 8443)?;
    let calls = pods.calls(|| {
        let mut load = pods.client.command("h2load");
        load.args(["--requests=80", "--clients=8", "--max-concurrent-streams=1"]);
        let counted = run(load.arg(format!("https://{}:8443/small", pods.server.addresses().v4)))?;
        ensure!(counted.contains("80 succeeded"), "{counted}");
        Ok(())
    })?;
    ensure!(calls["connect"].count == 16, "8 connections, 8 handshakes: {calls:?}");
    ensure!((80..=96).contains(&calls["upstream"].count), "80 requests, each a turn: {calls:?}");
    Ok(())
}

#[test]
fn a_lookup_over_tcp_is_a_lookup() -> Result<()> {
    let pods = Pods::start()?;
    let server = pods.server.addresses().v4;
    pods.client.namespace().write_resolv_conf(&format!("nameserver {server}\noptions use-vc\n"))?;
    let mut dnsmasq = pods.server.command("dnsmasq");
    dnsmasq.args(
        "--keep-in-foreground --conf-file=/dev/null --pid-file= --user=root --no-resolv --no-hosts --no-poll \
         --cache-size=0 --local=/lab.example/ --address=/lab.example/10.9.8.7"
            .split_whitespace(),
    );
    let _running = Running::spawn("dnsmasq", &mut dnsmasq)?;
    wait_for_listener(pods.server.namespace(), 53)?;
    let calls = pods.calls(|| {
        for _ in 0..10 {
            let found = run(pods.client.command("getent").args(["ahostsv4", "www.lab.example"]))?;
            ensure!(found.contains("10.9.8.7"), "{found}");
        }
        Ok(())
    })?;
    ensure!(calls["dns"].count == 20, "10 connects and 10 lookups: {calls:?}");
    ensure!(!calls.contains_key("upstream") || calls["upstream"].count == 0, "{calls:?}");
    Ok(())
}

/// One segment in a hundred is lost before the server's socket, and sent again.
#[test]
fn calls_are_told_when_segments_are_lost() -> Result<()> {
    const CALLS: usize = 300;
    let pair = Pair::start(Path::new(PROGRAM), "grpc-server", &[])?;
    let rules = "add table ip lab; add chain ip lab input { type filter hook input priority 0; }; \
                 add rule ip lab input tcp dport 8080 numgen random mod 100 < 1 counter drop";
    run(pair.server.namespace().command("nft").arg(rules))?;
    let calls = pair.lab.dir().join("calls.jsonl");
    let live = live(&program()?, &pair.lab, || {
        let mut client = pair.client("grpc-client");
        client.args(["--small", "--calls", &CALLS.to_string(), "--log"]).arg(&calls);
        run(&mut client)?;
        std::thread::sleep(Duration::from_secs(1));
        Ok(())
    })?;
    let logged: Vec<CallLine> = log::read(&calls)?;
    let traced = live.of(pair.server.uid())?;
    ensure!(live.summary.accounting.dropped() == 0, "{:?}", live.summary.accounting);
    let rules = run(pair.server.namespace().command("nft").args(["list", "ruleset"]))?;
    let lost = rules.split("counter packets ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok());
    let lost: u64 = lost.with_context(|| format!("no counter: {rules}"))?;
    say(&format!("{lost} segments of {CALLS} calls were lost and sent again"));
    ensure!(lost > 0, "{rules}");
    for call in &logged {
        let path = call.kind.path(call.n);
        let found = traced.iter().find(|request| request.path.as_deref() == Some(&path));
        let found = found.with_context(|| format!("no {path}"))?;
        ensure!(found.grpc_status == Some(call.status), "{call:?} is {found:?}");
        // The client waits for what is lost on the way to the server, which does not know of it.
        ensure!(found.total_ns < call.end - call.start + 1_000_000, "{call:?} is {found:?}");
    }
    ensure!(traced.len() == CALLS && logged.len() == CALLS, "{} of {CALLS} calls", traced.len());
    Ok(())
}
