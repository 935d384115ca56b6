//! What the agent says at one moment: of whom, and how many requests.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use anyhow::Result;

use super::config::Identity;
use crate::http::get;
use crate::tracer::report::Summary;

/// The answers of one moment.
pub(super) struct Seen {
    summary: Summary,
    metrics: String,
}

/// A namespace and a name.
pub(super) type Name = (String, String);

impl Identity {
    /// By which the agent must know it.
    pub(super) fn known(&self) -> Name {
        (self.namespace.clone(), self.name.clone())
    }
}

impl Seen {
    /// Asks for both.
    pub(super) fn ask(address: SocketAddr) -> Result<Self> {
        let summary = Summary::parse(&get(address, "/api/v1/summary")?)?;
        Ok(Self { summary, metrics: get(address, "/metrics")? })
    }

    /// Requests of a pod in the summary.
    pub(super) fn summed(&self, name: &Name) -> u64 {
        let of = self
            .summary
            .pods
            .iter()
            .filter(|pod| pod.namespace.as_ref() == Some(&name.0) && pod.name.as_ref() == Some(&name.1));
        of.map(|pod| pod.requests).sum()
    }

    /// The value of a metric with these labels of a pod.
    pub(super) fn metric(&self, metric: &str, name: &Name, more: &str) -> u64 {
        let of = self.metrics.lines().filter(|line| {
            line.strip_prefix(metric).is_some_and(|rest| rest.starts_with('{'))
                && label(line, "namespace") == Some(&name.0)
                && label(line, "pod") == Some(&name.1)
                && line.contains(more)
        });
        of.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    }

    /// The value of a metric of the agent itself that has this among its labels.
    pub(super) fn own(&self, metric: &str, label: &str) -> Option<u64> {
        let line = self.metrics.lines().find(|line| line.starts_with(metric) && line.contains(label))?;
        line.rsplit(' ').next()?.parse().ok()
    }

    /// Requests of a pod in the metrics.
    pub(super) fn counted(&self, name: &Name) -> u64 {
        self.metric("tracer_request_duration_seconds_count", name, "")
    }

    /// Pods of whom the agent speaks.
    pub(super) fn names(&self) -> BTreeSet<Name> {
        let series = self.metrics.lines().filter_map(|line| {
            let pod = label(line, "pod")?;
            Some((label(line, "namespace").unwrap_or_default().to_owned(), pod.to_owned()))
        });
        let pods = self.summary.pods.iter().map(|pod| {
            let name = pod.name.clone().unwrap_or_else(|| pod.uid.clone());
            (pod.namespace.clone().unwrap_or_default(), name)
        });
        series.chain(pods).collect()
    }

    /// Records that were lost.
    pub(super) fn lost(&self) -> u64 {
        self.summary.accounting.dropped()
    }
}

fn label<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let labels = line.strip_prefix(|c: char| c != '#')?.split_once('{')?.1;
    let value = labels.split_once(&format!("{name}=\""))?.1;
    value.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::label;

    #[test]
    fn labels_are_read() {
        let line = "tracer_requests_total{namespace=\"shop\",pod=\"web\",workload=\"\"} 3";
        assert_eq!((label(line, "pod"), label(line, "namespace")), (Some("web"), Some("shop")));
        assert_eq!(label("# HELP tracer_x pod=\"a\"", "pod"), None);
    }
}
