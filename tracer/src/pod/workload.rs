//! What made a pod: its owner, and what made that.

use std::{collections::BTreeMap, fmt};

/// Label on the pods of a Deployment: the hash in the name of its `ReplicaSet`.
const TEMPLATE_HASH: &str = "pod-template-hash";
/// The same of an Argo Rollout.
const ROLLOUT_HASH: &str = "rollouts-pod-template-hash";
/// Labels on the pods of a Job, newest first.
const JOB_NAMES: [&str; 2] = ["batch.kubernetes.io/job-name", "job-name"];
/// Label on the pods of a `StatefulSet`.
const STATEFUL: &str = "statefulset.kubernetes.io/pod-name";
/// Label on the pods of a `DaemonSet`.
const DAEMON: &str = "pod-template-generation";
/// Digits at the end of a `CronJob`'s Jobs: minutes of its schedule, seconds until Kubernetes 1.20.
const SCHEDULE_DIGITS: std::ops::RangeInclusive<usize> = 8..=10;
/// Letters and digits at the end of generated names: those that make no words.
const GENERATED: &str = "bcdfghjklmnpqrstvwxz2456789";

/// A Deployment, `StatefulSet`, `DaemonSet`, `CronJob`, Job or whatever else makes pods.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Workload {
    /// Its kind, as in manifests.
    pub kind: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for Workload {
    /// `Kind/name`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

impl Workload {
    fn new(kind: &str, name: &str) -> Option<Self> {
        (!name.is_empty()).then(|| Self { kind: kind.to_owned(), name: name.to_owned() })
    }

    /// From the controller of a pod with these labels. A `ReplicaSet` or Job that something made stands for that;
    /// a static pod's Node is none.
    #[must_use]
    pub fn of_owner(kind: &str, name: &str, labels: &BTreeMap<String, String>) -> Option<Self> {
        match kind {
            "ReplicaSet" => of_replica_set(name, labels),
            "Job" => of_job(name),
            "Node" => None,
            _ => Self::new(kind, name),
        }
    }

    /// From what controllers write into the labels of their pods: a container runtime knows no owners.
    #[must_use]
    pub fn of_labels(pod: &str, labels: &BTreeMap<String, String>) -> Option<Self> {
        if let Some((kind, hash)) = template_hash(labels) {
            let (set, _) = pod.rsplit_once('-')?;
            return Self::new(kind, set.strip_suffix(hash)?.strip_suffix('-')?);
        }
        if let Some(job) = JOB_NAMES.iter().find_map(|label| labels.get(*label)) {
            return of_job(job);
        }
        if labels.contains_key(STATEFUL) {
            let (name, _) = pod.rsplit_once('-').filter(|(_, ordinal)| is_number(ordinal))?;
            return Self::new("StatefulSet", name);
        }
        if labels.contains_key(DAEMON) {
            let (name, _) = pod.rsplit_once('-').filter(|(_, suffix)| is_generated(suffix))?;
            return Self::new("DaemonSet", name);
        }
        None
    }
}

fn template_hash(labels: &BTreeMap<String, String>) -> Option<(&'static str, &str)> {
    let of = |label, kind| labels.get(label).map(|hash| (kind, hash.as_str()));
    of(ROLLOUT_HASH, "Rollout").or_else(|| of(TEMPLATE_HASH, "Deployment"))
}

fn of_replica_set(name: &str, labels: &BTreeMap<String, String>) -> Option<Workload> {
    let maker = match template_hash(labels) {
        Some((kind, hash)) => {
            name.strip_suffix(hash).and_then(|rest| rest.strip_suffix('-')).map(|maker| (kind, maker))
        }
        None => None,
    };
    maker.and_then(|(kind, maker)| Workload::new(kind, maker)).or_else(|| Workload::new("ReplicaSet", name))
}

fn of_job(name: &str) -> Option<Workload> {
    let scheduled = name
        .rsplit_once('-')
        .filter(|(_, time)| is_number(time) && SCHEDULE_DIGITS.contains(&time.len()))
        .and_then(|(maker, _)| Workload::new("CronJob", maker));
    scheduled.or_else(|| Workload::new("Job", name))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_generated(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|letter| GENERATED.contains(letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn owned(kind: &str, name: &str, pairs: &[(&str, &str)]) -> Option<String> {
        Workload::of_owner(kind, name, &labels(pairs)).map(|workload| workload.to_string())
    }

    fn labelled(pod: &str, pairs: &[(&str, &str)]) -> Option<String> {
        Workload::of_labels(pod, &labels(pairs)).map(|workload| workload.to_string())
    }

    #[test]
    fn what_made_the_owner_counts() {
        let hash = ("pod-template-hash", "5d9c7b6f4d");
        let rollout = ("rollouts-pod-template-hash", "5d9c7b6f4d");
        for (kind, name, label, workload) in [
            ("ReplicaSet", "web-5d9c7b6f4d", Some(hash), "Deployment/web"),
            ("ReplicaSet", "web-5d9c7b6f4d", Some(rollout), "Rollout/web"),
            ("ReplicaSet", "web-5d9c7b6f4d", None, "ReplicaSet/web-5d9c7b6f4d"),
            ("ReplicaSet", "own-name", Some(hash), "ReplicaSet/own-name"),
            ("StatefulSet", "db", None, "StatefulSet/db"),
            ("DaemonSet", "agent", None, "DaemonSet/agent"),
            ("Job", "report-29384756", None, "CronJob/report"),
            ("Job", "migrate-7", None, "Job/migrate-7"),
            ("Job", "12345678", None, "Job/12345678"),
            ("Cluster", "pg", None, "Cluster/pg"),
        ] {
            assert_eq!(owned(kind, name, label.as_slice()).as_deref(), Some(workload), "{kind} {name}");
        }
        assert_eq!(owned("Node", "node-1", &[]), None);
    }

    #[test]
    fn labels_tell_what_a_runtime_does_not_know() {
        let revision = ("controller-revision-hash", "db-7c9");
        for (pod, pairs, workload) in [
            ("web-a-5d9c7b6f4d-x2b4k", &[("pod-template-hash", "5d9c7b6f4d")][..], "Deployment/web-a"),
            ("web-5d9c7b6f4d-x2b4k", &[("rollouts-pod-template-hash", "5d9c7b6f4d")], "Rollout/web"),
            ("db-11", &[("statefulset.kubernetes.io/pod-name", "db-11"), revision], "StatefulSet/db"),
            ("agent-x2b4k", &[("pod-template-generation", "1"), revision], "DaemonSet/agent"),
            ("migrate-x2b4k", &[("job-name", "migrate")], "Job/migrate"),
            (
                "report-29384756-x2b4k",
                &[("batch.kubernetes.io/job-name", "report-29384756")],
                "CronJob/report",
            ),
        ] {
            assert_eq!(labelled(pod, pairs).as_deref(), Some(workload), "{pod}");
        }
    }

    #[test]
    fn what_the_labels_do_not_tell_is_not_guessed() {
        assert_eq!(labelled("web-5d9c7b6f4d-x2b4k", &[]), None);
        assert_eq!(labelled("-x", &[("pod-template-hash", "")]), None);
        assert_eq!(labelled("other", &[("pod-template-hash", "5d9c7b6f4d")]), None);
        assert_eq!(labelled("db-x", &[("statefulset.kubernetes.io/pod-name", "db-x")]), None);
    }
}
