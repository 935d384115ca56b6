//! The JSON that programs read: the summary of `--output json` and the agent's API, and request lines.

use std::net::SocketAddr;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value as Json, json};

use super::text;
use crate::clock::WallClock;
use crate::{
    finding::{Finding, Kind, Value},
    proto::http::Http,
    request::{
        AttributedCall, Attribution, CallKind, Request, Stages, What,
        totals::{Accounting, PodSummary, Summary},
    },
};

/// The summary; times in seconds, and a pod's stages add up to its total to the nanosecond.
#[must_use]
pub fn summary(summary: &Summary, clock: WallClock) -> Json {
    json!({
        "pods": summary.pods.iter().map(|summary| pod(summary, clock)).collect::<Vec<_>>(),
        "accounting": accounting(&summary.accounting),
        "partial": summary.accounting.is_partial(),
    })
}

/// What was emitted, and what became of it.
pub(crate) fn accounting(accounting: &Accounting) -> Json {
    json!({
        "emitted": accounting.emitted,
        "consumed": accounting.consumed,
        "dropped": accounting.dropped,
        "oddities": accounting.oddities,
    })
}

/// One pod of a summary.
pub(crate) fn pod(summary: &PodSummary, clock: WallClock) -> Json {
    let totals = &summary.totals;
    let name = summary.pod.name.as_ref();
    let workload = name.and_then(|name| name.workload.as_ref());
    let stages = Stages::NAMES.into_iter().zip(totals.stages.values().map(seconds));
    let attribution = Attribution::ALL.map(Attribution::name).into_iter().zip(totals.attribution);
    let calls = CallKind::ALL.into_iter().zip(totals.calls);
    let calls = calls.map(|(kind, total)| {
        (kind.name(), json!({ "count": total.count, "seconds": seconds(total.nanoseconds) }))
    });
    json!({
        "pod": summary.pod.to_string(),
        "uid": summary.pod.uid,
        "namespace": name.map(|name| &name.namespace),
        "name": name.map(|name| &name.name),
        "workload": workload.map(|workload| json!({ "kind": workload.kind, "name": workload.name })),
        "requests": totals.requests,
        "folded": totals.folded,
        "total_seconds": seconds(totals.stages.total()),
        "stages": object(stages),
        "attribution": object(attribution),
        "calls": object(calls),
        "findings": summary.findings.iter().map(|found| finding(found, clock)).collect::<Vec<_>>(),
    })
}

/// A finding.
pub(crate) fn finding(finding: &Finding, clock: WallClock) -> Json {
    json!({
        "id": finding.id,
        "severity": finding.severity.name(),
        "subject": finding.subject.to_string(),
        "destination": finding.destination.as_ref().map(ToString::to_string),
        "destination_name": finding.destination_name.as_deref(),
        "since_unix_ns": clock.unix_ns(finding.since),
        "evidence": object(finding.evidence.values().into_iter().map(|(name, value)| (name, evidence(&value)))),
        "explanation": finding.explanation,
        "remedy": finding.remedy,
        "page": Kind::page(finding.id),
    })
}

fn evidence(value: &Value) -> Json {
    match value {
        Value::Count(number) => json!(number),
        Value::Seconds(number) | Value::Share(number) | Value::Number(number) => json!(number),
        Value::Text(text) => json!(text),
        Value::List(texts) => json!(texts),
    }
}

fn object<V: Into<Json>>(members: impl Iterator<Item = (&'static str, V)>) -> Map<String, Json> {
    members.map(|(name, value)| (name.to_owned(), value.into())).collect()
}

#[expect(clippy::cast_precision_loss, reason = "exact to the nanosecond below 2^53 ns, 104 days")]
fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}

/// A settled request as one line of JSON, without a newline.
#[must_use]
#[expect(clippy::missing_panics_doc, reason = "a line has text keys and no value that JSON lacks")]
pub fn request_line(request: &Request, clock: &WallClock) -> String {
    serde_json::to_string(&Line::of(request, *clock)).expect("a line of text and numbers is JSON")
}

/// A settled request as its line has it, with the words that people read: what it was, how it ended, and the same of each
/// call.
pub(crate) fn request(request: &Request, clock: WallClock) -> Json {
    let mut line = json!(Line::of(request, clock));
    line["title"] = text::printable(&text::title(request)).into();
    line["outcome"] = text::outcome(request).into();
    for (at, call) in request.calls.iter().enumerate() {
        line["calls"][at]["flow"] = call.call.flow.into();
        line["calls"][at]["detail"] = text::detail(&call.call).into();
    }
    line
}

#[derive(Serialize)]
struct Line<'a> {
    pod: String,
    time_unix_ns: u64,
    flow: u64,
    number: u32,
    method: Option<&'a str>,
    path: Option<String>,
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grpc_status: Option<u16>,
    local: SocketAddr,
    peer: SocketAddr,
    request_bytes: u64,
    response_bytes: u64,
    total_ns: u64,
    stages_ns: StagesNs<'a>,
    calls: Vec<CallLine>,
    marks: Vec<&'static str>,
}

impl<'a> Line<'a> {
    fn of(request: &'a Request, clock: WallClock) -> Self {
        let t0 = request.messages.request_first;
        let http = request.http.as_ref();
        Self {
            pod: request.pod.to_string(),
            time_unix_ns: clock.unix_ns(t0),
            flow: request.flow,
            number: request.number,
            method: http.and_then(Http::method),
            path: http.and_then(Http::path).map(|path| path.to_string()),
            status: http.and_then(Http::status),
            grpc_status: http.and_then(Http::grpc_status),
            local: request.transport.local,
            peer: request.transport.peer,
            request_bytes: request.messages.request_bytes,
            response_bytes: request.messages.response_bytes,
            total_ns: request.total(),
            stages_ns: StagesNs(&request.stages),
            calls: request.calls.iter().map(|call| CallLine::of(call, t0)).collect(),
            marks: request.marks.names().collect(),
        }
    }
}

struct StagesNs<'a>(&'a Stages);

impl Serialize for StagesNs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(Stages::NAMES.into_iter().zip(self.0.values()))
    }
}

#[derive(Serialize)]
struct CallLine {
    kind: &'static str,
    attribution: &'static str,
    share: f64,
    start_ns: i64,
    duration_ns: u64,
    local: SocketAddr,
    peer: SocketAddr,
    /// Where a source of names knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    peer_name: Option<String>,
    what: String,
    /// Of a connect.
    #[serde(skip_serializing_if = "Option::is_none")]
    syns: Option<u8>,
}

impl CallLine {
    fn of(attributed: &AttributedCall, t0: u64) -> Self {
        let call = &attributed.call;
        Self {
            kind: call.kind.name(),
            attribution: attributed.attribution.name(),
            share: 1.0 / f64::from(attributed.requests.max(1)),
            start_ns: call.start.wrapping_sub(t0).cast_signed(),
            duration_ns: call.end.saturating_sub(call.start),
            local: call.local,
            peer: call.peer,
            peer_name: call.peer_name.as_deref().map(str::to_owned),
            what: text::what(call),
            syns: if let What::Connect { syns, .. } = call.what { Some(syns) } else { None },
        }
    }
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
