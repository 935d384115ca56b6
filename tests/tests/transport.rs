//! What TCP itself knows, its retransmissions and round-trip times, against tcpdump read by tshark.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tracer_lab::pair::Pair;
use tracer_lab::process::run;
use tracer_lab::tracer::{Tracing, program};
use tracer_lab::wire::{Tcpdump, tshark};
use tracer_lab::{Lab, Pod, say};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tracer-lab");
/// How far away the server is.
const DISTANCE: Duration = Duration::from_millis(10);
/// Transfers in each direction, and requests.
const TRANSFERS: u32 = 5;
const REQUESTS: u32 = 50;

/// One packet in a hundred is lost on its way to each pod, and one handshake in three, behind its sender's tcpdump. The
/// counts are equal, without any tolerance: the kernel counts segments, and here each packet is one.
#[test]
fn each_segment_that_is_sent_again_is_counted() -> Result<()> {
    const BYTES: &str = "1000000";
    let pair = Pair::start(Path::new(PROGRAM), "bulk-server", &["--bytes", BYTES])?;
    let _way = pair.lab.move_away(&pair.server, DISTANCE, Path::new(PROGRAM))?;
    pair.lab.add_silence()?;
    for pod in [&pair.client, &pair.server] {
        pod.namespace().ip("link set eth0 gso_max_segs 1\n")?;
        let rules = "add table ip lab; add chain ip lab input { type filter hook input priority 0; }; \
                     add rule ip lab input ip protocol tcp numgen random mod 100 < 1 drop";
        run(pod.namespace().command("nft").arg(rules))?;
    }
    let handshakes = "insert rule ip lab input tcp flags & (syn|ack) == syn|ack numgen inc mod 3 < 1 drop";
    run(pair.client.namespace().command("nft").arg(handshakes))?;
    let mut watched = Watched::start(&pair)?;
    connect_to_nobody(&pair.client)?;
    for number in 0..TRANSFERS {
        for upload in ["0", BYTES] {
            let mut client = pair.client("bulk-client");
            client.args(["--number", &number.to_string(), "--rate", "25000000", "--upload", upload]);
            run(&mut client)?;
        }
    }
    for (pod, file) in watched.until_over(2 * TRANSFERS)? {
        let counted = watched.metric("tracer_tcp_retransmits_total", pod)?;
        let seen = retransmissions(&file, pod)?;
        say(&format!("pod {}: {counted} retransmissions, {seen} for tshark", pod.addresses().v4));
        ensure!(seen > 10, "{seen} retransmissions prove nothing");
        ensure!((counted - f64::from(seen)).abs() < 0.5, "{counted} retransmissions, {seen} for tshark");
    }
    watched.agent.finish().map(drop)
}

fn connect_to_nobody(pod: &Pod) -> Result<()> {
    let mut connect = pod.command("timeout");
    connect.args(["3.5", "bash", "-c", &format!("exec 3<>/dev/tcp/{}/80", Lab::SILENCE)]);
    let ended = connect.status().context("connect to nobody")?;
    ensure!(ended.code() == Some(124), "the connect ended: {ended}");
    Ok(())
}

/// Packets that tshark takes for sent before. Between a pod and its own interface nothing changes places, so what it
/// calls out of order, because it follows newer bytes too soon for a retransmission, is one.
fn retransmissions(file: &Path, pod: &Pod) -> Result<u32> {
    let kinds = ["retransmission", "fast_retransmission", "spurious_retransmission", "out_of_order"]
        .map(|kind| format!("tcp.analysis.{kind}"));
    let filter = format!("ip.src == {} && ({})", pod.addresses().v4, kinds.join(" || "));
    Ok(u32::try_from(tshark(file, &filter, &["frame.number"])?.len())?)
}

/// The kernel's smoothed time moves by an eighth of what each acknowledgment adds to it, tshark has each: on a way that
/// always takes as long, and with neither losses nor delayed acknowledgments, both means are the way's. A tenth is for
/// the acknowledgments that waited for a core.
#[test]
fn round_trips_take_as_long_as_the_way() -> Result<()> {
    let pair = Pair::start(Path::new(PROGRAM), "answer", &[])?;
    let _way = pair.lab.move_away(&pair.server, DISTANCE, Path::new(PROGRAM))?;
    let mut watched = Watched::start(&pair)?;
    let mut client = pair.client("client");
    client.args(["--fresh", "--requests", &REQUESTS.to_string(), "--log"]);
    run(client.arg(pair.lab.dir().join("client.jsonl")))?;
    for (pod, file) in watched.until_over(REQUESTS)? {
        let smoothed = watched.metric("tracer_tcp_srtt_seconds_sum", pod)? / f64::from(REQUESTS);
        let seen = round_trips(&file, pod)?;
        let mean = seen.iter().sum::<f64>() / f64::from(u32::try_from(seen.len())?);
        say(&format!(
            "pod {}: {:.3} ms smoothed, {:.3} ms on average for tshark in {} acknowledgments",
            pod.addresses().v4,
            smoothed * 1e3,
            mean * 1e3,
            seen.len()
        ));
        ensure!(seen.len() >= 2 * REQUESTS as usize, "{} acknowledgments", seen.len());
        ensure!(smoothed >= DISTANCE.as_secs_f64(), "{smoothed} s, shorter than the way of {DISTANCE:?}");
        ensure!((smoothed - mean).abs() <= 0.1 * mean, "{smoothed} s smoothed, {mean} s for tshark");
    }
    watched.agent.finish().map(drop)
}

/// Seconds from each of the pod's packets to its acknowledgment.
fn round_trips(file: &Path, pod: &Pod) -> Result<Vec<f64>> {
    let filter = format!("tcp.analysis.ack_rtt && ip.dst == {}", pod.addresses().v4);
    let lines = tshark(file, &filter, &["tcp.analysis.ack_rtt"])?;
    lines.iter().map(|line| line.concat().parse().with_context(|| format!("tshark: {line:?}"))).collect()
}

/// A pair with the agent on it, and tcpdump at both ends.
struct Watched<'a> {
    agent: Tracing<'a>,
    tcpdumps: Vec<(&'a Pod, Tcpdump)>,
}

impl<'a> Watched<'a> {
    fn start(pair: &'a Pair) -> Result<Self> {
        let agent = Tracing::start(&program()?, &pair.lab, "agent", &[])?;
        let tcpdump = |(pod, name)| {
            let tcpdump = Tcpdump::start(pod, pair.lab.dir().join(name))?;
            Ok((pod, tcpdump))
        };
        let ends = [(&pair.client, "client.pcap"), (&pair.server, "server.pcap")];
        Ok(Self { agent, tcpdumps: ends.into_iter().map(tcpdump).collect::<Result<_>>()? })
    }

    fn metric(&self, name: &str, pod: &Pod) -> Result<f64> {
        self.agent.metric(name, &[("pod", pod.uid())])
    }

    /// What tcpdump saw at both ends until this many connections were over, of which both ends tell the agent.
    fn until_over(&mut self, connections: u32) -> Result<Vec<(&'a Pod, PathBuf)>> {
        let deadline = Instant::now() + Duration::from_secs(10);
        for (pod, _) in &self.tcpdumps {
            let over = || self.metric("tracer_tcp_srtt_seconds_count", pod).unwrap_or_default();
            while over() < f64::from(connections) {
                ensure!(Instant::now() < deadline, "{} of {connections} connections are over", over());
                std::thread::sleep(Duration::from_millis(100));
            }
        }
        self.tcpdumps.drain(..).map(|(pod, tcpdump)| Ok((pod, tcpdump.finish()?))).collect()
    }
}
