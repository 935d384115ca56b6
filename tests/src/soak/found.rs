//! Findings of the soak, and those of them that are right.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::clock::rfc3339;

/// A finding that is right although the traffic is healthy.
pub(super) struct Justified {
    id: &'static str,
    /// Name of the pod that it is about.
    pod: &'static str,
    reason: &'static str,
}

/// All of them. Whatever else is found is an error.
const JUSTIFIED: &[Justified] = &[];

/// A finding that opened.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Found {
    /// `live`, or `offline` for the slice.
    pub(super) place: &'static str,
    pub(super) id: String,
    /// Name of the pod, or what the tracer calls it.
    pub(super) pod: String,
    pub(super) destination: Option<String>,
    pub(super) severity: String,
    pub(super) since: String,
    pub(super) evidence: Value,
    pub(super) explanation: String,
    /// Why it is right.
    pub(super) justified: Option<&'static str>,
}

impl Found {
    /// What tells it from others.
    pub(super) fn key(&self) -> (&'static str, String, String, Option<String>, String) {
        (self.place, self.id.clone(), self.pod.clone(), self.destination.clone(), self.since.clone())
    }

    /// Names the pod, by its UID, and says why the finding is right.
    pub(super) fn named(mut self, pods: &BTreeMap<String, &'static str>) -> Self {
        if let Some((_, name)) = pods.iter().find(|(uid, _)| self.pod.contains(*uid)) {
            (*name).clone_into(&mut self.pod);
        }
        let known = JUSTIFIED.iter().find(|known| known.id == self.id && known.pod == self.pod);
        self.justified = known.map(|known| known.reason);
        self
    }
}

/// The findings in a summary of the tracer.
pub(super) fn found(summary: &Value, place: &'static str) -> Vec<Found> {
    let pods = summary["pods"].as_array().into_iter().flatten();
    let findings = pods.flat_map(|pod| pod["findings"].as_array().into_iter().flatten());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    findings
        .map(|finding| Found {
            place,
            id: text(&finding["id"]),
            pod: text(&finding["subject"]),
            destination: finding["destination"].as_str().map(str::to_owned),
            severity: text(&finding["severity"]),
            since: rfc3339(finding["since_unix_ns"].as_u64().unwrap_or_default() / 1_000_000_000),
            evidence: finding["evidence"].clone(),
            explanation: text(&finding["explanation"]),
            justified: None,
        })
        .collect()
}

/// The lines of the agent's log by which findings opened: whatever was open only between two looks is there too.
pub(super) fn openings(log: &str) -> Vec<&str> {
    log.lines().filter(|line| line.contains("a finding opened")).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::{found, openings};

    #[test]
    fn findings_are_read_and_named() {
        let finding = json!({"id": "dns-search", "subject": "pod 1-2", "since_unix_ns": 1_000_000_000_u64});
        let summary = json!({"pods": [{"findings": [finding]}]});
        let all = found(&summary, "live");
        let named = all[0].clone().named(&BTreeMap::from([("1-2".to_owned(), "backend")]));
        assert_eq!((named.id.as_str(), named.pod.as_str()), ("dns-search", "backend"));
        assert_eq!(named.since, "1970-01-01T00:00:01Z");
        assert_eq!(named.justified, None);
    }

    #[test]
    fn openings_are_found_in_the_log() {
        assert_eq!(openings("a\nINFO a finding opened finding=\"x\"\nINFO a finding closed\n").len(), 1);
    }
}
