//! The tracer's JSON, as its users read it.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::Value;

/// The stages of a breakdown, in their order.
pub const STAGES: [&str; 7] = ["receive", "dns", "connect", "metadata", "upstream", "self", "send"];

/// The summary of a run.
#[derive(Clone, Debug, Deserialize)]
pub struct Summary {
    /// Each pod seen.
    pub pods: Vec<PodSummary>,
    /// What happened to the kernel's records.
    pub accounting: Accounting,
    /// Whether something was lost.
    pub partial: bool,
}

/// A pod's part of the summary.
#[derive(Clone, Debug, Deserialize)]
pub struct PodSummary {
    /// Its UID, or its namespace and name.
    pub pod: String,
    /// Its UID, when it is on this node.
    pub uid: String,
    /// Its namespace, where something names it.
    pub namespace: Option<String>,
    /// Its name, where something names it.
    pub name: Option<String>,
    /// What made it, where something names it.
    pub workload: Option<Workload>,
    /// Requests it answered.
    pub requests: u64,
    /// Those of them that are known by their sums only.
    pub folded: u64,
    /// Their total time in seconds.
    pub total_seconds: f64,
    /// That time by stage, in seconds.
    pub stages: BTreeMap<String, f64>,
    /// Calls by how they were tied to requests.
    pub attribution: BTreeMap<String, u64>,
    /// Calls by kind.
    pub calls: BTreeMap<String, Calls>,
    /// Named causes.
    pub findings: Vec<Finding>,
}

/// What made a pod.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Workload {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// Calls of one kind.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Calls {
    /// How many.
    pub count: u64,
    /// How long in all, in seconds.
    pub seconds: f64,
}

/// A named cause.
#[derive(Clone, Debug, Deserialize)]
pub struct Finding {
    /// Its identifier.
    pub id: String,
    /// How bad it is.
    pub severity: String,
    /// What it is about.
    pub subject: String,
    /// Numbers, flows and times.
    pub evidence: BTreeMap<String, Value>,
    /// What happens.
    pub explanation: String,
    /// What to do.
    pub remedy: String,
}

impl Finding {
    /// A number of its evidence.
    pub fn number(&self, name: &str) -> Result<f64> {
        let value = self.evidence.get(name).and_then(Value::as_f64);
        value.with_context(|| format!("the evidence has no number {name}: {self:?}"))
    }
}

/// What happened to the kernel's records.
#[derive(Clone, Debug, Deserialize)]
pub struct Accounting {
    /// Records that the kernel side made or could not make.
    pub emitted: u64,
    /// Records that user space read.
    pub consumed: u64,
    /// Records lost, by reason.
    pub dropped: BTreeMap<String, u64>,
}

impl Accounting {
    /// All records lost.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.values().sum()
    }

    /// Whether every record is accounted for.
    pub fn check(&self) -> Result<()> {
        let accounted = self.consumed + self.dropped();
        ensure!(self.emitted == accounted, "emitted is not consumed + dropped: {self:?}");
        Ok(())
    }
}

impl Summary {
    /// Reads a summary and checks that every pod's stages add up.
    pub fn parse(json: &str) -> Result<Self> {
        let summary: Self = serde_json::from_str(json).with_context(|| format!("not a summary: {json}"))?;
        summary.pods.iter().try_for_each(PodSummary::check)?;
        Ok(summary)
    }

    /// The pod whose name holds the UID.
    pub fn pod(&self, uid: &str) -> Result<&PodSummary> {
        let found = self.pods.iter().find(|pod| pod.pod.contains(uid));
        found.with_context(|| format!("pod {uid} is not in the summary"))
    }
}

impl PodSummary {
    /// Whether there are all stages, which add up to the total, to the nanosecond.
    pub fn check(&self) -> Result<()> {
        let known = self.stages.keys().all(|stage| STAGES.contains(&stage.as_str()));
        ensure!(known && self.stages.len() == STAGES.len(), "not the seven stages: {:?}", self.stages);
        let sum: u64 = self.stages.values().map(|&seconds| nanoseconds(seconds)).sum();
        let total = nanoseconds(self.total_seconds);
        ensure!(sum == total, "pod {}: the stages sum to {sum} ns of {total} ns", self.pod);
        Ok(())
    }

    /// A stage's share of the total.
    #[must_use]
    pub fn share(&self, stage: &str) -> f64 {
        self.stages.get(stage).copied().unwrap_or(0.0) / self.total_seconds
    }

    /// How long a request takes on average.
    #[must_use]
    pub fn mean_seconds(&self) -> f64 {
        self.total_seconds / u32::try_from(self.requests).map_or(f64::INFINITY, f64::from)
    }

    /// The finding with this identifier.
    pub fn finding(&self, id: &str) -> Result<&Finding> {
        let found = self.findings.iter().find(|finding| finding.id == id);
        found.with_context(|| format!("pod {} has no finding {id}: {:?}", self.pod, self.findings))
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "seconds of a test run, which are positive and few"
)]
fn nanoseconds(seconds: f64) -> u64 {
    (seconds * 1e9).round() as u64
}

/// A request as the tracer settled it.
#[derive(Clone, Debug, Deserialize)]
pub struct TracedRequest {
    /// Whose request it is.
    pub pod: String,
    /// First byte in, unix nanoseconds.
    pub time_unix_ns: u64,
    /// The connection it came on.
    pub flow: u64,
    /// Its method, where it was seen.
    pub method: Option<String>,
    /// Its path without the query string, where it was seen.
    pub path: Option<String>,
    /// The status answered, if it was answered.
    pub status: Option<u16>,
    /// The gRPC status, if it was a gRPC call.
    #[serde(default)]
    pub grpc_status: Option<u16>,
    /// The pod's side.
    pub local: String,
    /// The client's side.
    pub peer: String,
    /// From the first byte in to the last byte out.
    pub total_ns: u64,
    /// That time by stage.
    pub stages_ns: BTreeMap<String, u64>,
    /// What the pod called meanwhile.
    pub calls: Vec<TracedCall>,
    /// What is unusual about it.
    pub marks: Vec<String>,
}

/// A call as the tracer tied it to a request.
#[derive(Clone, Debug, Deserialize)]
pub struct TracedCall {
    /// `dns`, `connect`, `metadata` or `upstream`.
    pub kind: String,
    /// `thread`, `exclusive` or `shared`.
    pub attribution: String,
    /// Its part in this request, 0 to 1.
    pub share: f64,
    /// From the request's first byte, negative when it began before.
    pub start_ns: i64,
    /// How long it took.
    pub duration_ns: u64,
    /// The pod's side.
    pub local: String,
    /// The other side.
    pub peer: String,
    /// The other side's name, where a source of names knows it.
    pub peer_name: Option<String>,
    /// The name, or the method and path.
    pub what: String,
}

impl TracedRequest {
    /// The number in the path `/v1/items/<n>`.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        self.path.as_ref()?.strip_prefix("/v1/items/")?.parse().ok()
    }

    /// Whether the stages add up to the total, to the nanosecond.
    pub fn check(&self) -> Result<()> {
        let sum: u64 = self.stages_ns.values().sum();
        ensure!(sum == self.total_ns, "{self}: the stages sum to {sum} ns of {} ns", self.total_ns);
        Ok(())
    }

    /// When a call began and ended, unix nanoseconds.
    #[must_use]
    pub fn interval(&self, call: &TracedCall) -> (u64, u64) {
        let start = self.time_unix_ns.saturating_add_signed(call.start_ns);
        (start, start + call.duration_ns)
    }
}

impl fmt::Display for TracedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.as_deref().unwrap_or("a request");
        write!(f, "{path} from {} {:?}", self.peer, self.marks)
    }
}

impl TracedCall {
    /// The port on the pod's side.
    #[must_use]
    pub fn local_port(&self) -> u16 {
        self.local.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or(0)
    }
}
