//! A node with two pods of which one asks the other, and what an agent on it must say of them.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::api::{self, Api};
use super::cri::{self, Cri};
use super::objects::{Described, NODE};
use crate::pair::Pair;
use crate::process::run;
use crate::tracer::report::{PodSummary, Workload};
use crate::tracer::{Tracing, program};

/// Requests that one round of traffic makes.
pub const REQUESTS: u64 = 20;
/// Longer than a watch waits after some failures.
const PATIENCE: Duration = Duration::from_secs(40);

/// Two pods, and what the sources may know of them.
pub struct Node {
    /// The pods.
    pub pair: Pair,
    /// The one that answers.
    pub web: Described,
    /// The one that asks.
    pub caller: Described,
}

impl Node {
    /// Starts the pods with `program` (`tracer-lab`); no source knows them yet.
    pub fn start(program: &Path) -> Result<Self> {
        let pair = Pair::start(program, "answer", &[])?;
        let (web, caller) = (Described::of(&pair.server, "web"), Described::of(&pair.client, "caller"));
        Ok(Self { pair, web, caller })
    }

    /// Where its container runtime listens.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.pair.lab.dir().join("cri.sock")
    }

    /// A container runtime, and the tracer's flags for it.
    pub fn cri(&self, mood: cri::Mood) -> Result<(Cri, [String; 2])> {
        let socket = self.socket();
        let flags = ["--cri-socket".to_owned(), socket.display().to_string()];
        Ok((Cri::start(&socket, mood)?, flags))
    }

    /// The stand-in of an API server, and the tracer's flags for it.
    pub fn api(&self, mood: api::Mood) -> Result<(Api, Vec<String>)> {
        let api = Api::start(self.pair.lab.node(), mood)?;
        let kubeconfig = api.kubeconfig(self.pair.lab.dir())?;
        Ok((api, flags(&kubeconfig)))
    }

    /// Starts an agent.
    pub fn agent(&self, flags: &[String]) -> Result<Tracing<'_>> {
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        Tracing::start(&program()?, &self.pair.lab, "agent", &flags)
    }

    /// Makes [`REQUESTS`] requests.
    pub fn traffic(&self) -> Result<()> {
        let log = self.pair.lab.dir().join("client.jsonl");
        let mut client = self.pair.client("client");
        run(client.args(["--requests", &REQUESTS.to_string(), "--log"]).arg(log)).map(drop)
    }

    /// Both pods, for a source to know.
    #[must_use]
    pub fn pods(&self) -> [Described; 2] {
        [self.web.clone(), self.caller.clone()]
    }

    /// Summary and metrics have the pods by name, and by nothing else.
    pub fn check_named(&self, agent: &Tracing<'_>, requests: u64) -> Result<()> {
        let summary = agent.settled(&self.web.shown(), requests)?;
        is_named(summary.pod(&self.web.shown())?, &self.web, requests)?;
        let name = self.web.name();
        let labels =
            [("namespace", &*self.web.namespace), ("pod", &*name), ("workload", &*self.web.workload)];
        let counted = agent.metric("tracer_request_duration_seconds_count", &labels)?;
        ensure!((counted - as_float(requests)).abs() < 0.5, "{counted} requests, {requests} made");
        let name = self.caller.name();
        let of_caller = [("pod", &*name), ("workload", "caller"), ("result", "established")];
        let connects = agent.metric("tracer_tcp_connects_total", &of_caller)?;
        ensure!(connects > 0.5, "{connects} connects");
        self.check_unnamed_is_gone(agent)
    }

    /// The pods were reported without names for `unnamed` requests. The sums go on under the name, and the series
    /// begin anew.
    pub fn check_renamed(&self, agent: &Tracing<'_>, unnamed: u64, requests: u64) -> Result<()> {
        let summary = agent.settled(&self.web.shown(), requests)?;
        is_named(summary.pod(&self.web.shown())?, &self.web, requests)?;
        let name = self.web.name();
        let counted = agent.metric("tracer_request_duration_seconds_count", &[("pod", &name)])?;
        let named = as_float(requests - unnamed);
        ensure!((counted - named).abs() < 0.5, "{counted} requests since the pod has its name");
        self.check_unnamed_is_gone(agent)
    }

    fn check_unnamed_is_gone(&self, agent: &Tracing<'_>) -> Result<()> {
        let metrics = agent.get("/metrics")?;
        let unnamed =
            metrics.lines().find(|line| line.contains(&self.web.uid) || line.contains(&self.caller.uid));
        ensure!(unnamed.is_none(), "a series without a name: {unnamed:?}");
        Ok(())
    }

    /// While the API refuses: requests are counted under the UID, and it is said once why.
    pub fn check_refused(&self, agent: &Tracing<'_>, reason: &str) -> Result<()> {
        let summary = agent.settled(&self.web.uid, REQUESTS)?;
        ensure!(summary.pod(&self.web.uid)?.requests == REQUESTS, "{reason}: {summary:?}");
        failed(agent, "kubernetes", reason)?;
        up(agent, "kubernetes", 0.0)?;
        let said = agent.stderr()?.matches("names do not come from this source").count();
        ensure!(said == 3, "said {said} times of three resources: {}", agent.stderr()?);
        Ok(())
    }
}

/// The tracer's flags for an API server.
#[must_use]
pub fn flags(kubeconfig: &Path) -> Vec<String> {
    ["--kubeconfig", &kubeconfig.to_string_lossy(), "--node-name", NODE].map(str::to_owned).into()
}

/// A summary has a pod by its name, with its workload and so many requests.
pub fn is_named(pod: &PodSummary, described: &Described, requests: u64) -> Result<()> {
    ensure!(pod.requests == requests, "{} requests of {requests}: {pod:?}", pod.requests);
    ensure!(pod.uid == described.uid && pod.namespace.as_ref() == Some(&described.namespace), "{pod:?}");
    ensure!(pod.name == Some(described.name()), "{pod:?}");
    let workload = Workload { kind: "Deployment".to_owned(), name: described.workload.clone() };
    ensure!(pod.workload == Some(workload), "{pod:?}");
    Ok(())
}

/// Waits until the agent says so of a source.
pub fn up(agent: &Tracing<'_>, source: &str, value: f64) -> Result<()> {
    until(&format!("{source} up: {value}"), || {
        let is = agent.metric("tracer_pod_source_up", &labels(source))?;
        Ok((is - value).abs() < 0.5)
    })
}

/// Waits until the agent has counted such a failure.
pub fn failed(agent: &Tracing<'_>, source: &str, reason: &str) -> Result<()> {
    until(&format!("{source} failed: {reason}"), || Ok(failures(agent, source, reason)? > 0.5))
}

/// How often a source failed for a reason.
pub fn failures(agent: &Tracing<'_>, source: &str, reason: &str) -> Result<f64> {
    agent.metric("tracer_pod_source_errors_total", &[&labels(source)[..], &[("reason", reason)]].concat())
}

/// Of a source, what it calls the pods.
fn labels(source: &str) -> [(&'static str, &str); 2] {
    [("resource", if source == "cri" { "sandboxes" } else { "pods" }), ("source", source)]
}

/// Waits until something holds.
pub fn until(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !holds().context(what.to_owned())? {
        ensure!(Instant::now() < deadline, "not after {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// A count as metrics have it.
fn as_float(count: u64) -> f64 {
    u32::try_from(count).map_or(f64::NAN, f64::from)
}
