//! What a source says of a pod, cut to what is kept. Pure.

use std::collections::BTreeMap;

use super::{PodName, workload::Workload};

/// Containers kept per pod.
const CONTAINER_LIMIT: usize = 64;
/// Labels kept per pod.
const LABEL_LIMIT: usize = 64;
/// Longest name of anything: that of a subdomain.
const NAME_LIMIT: usize = 253;
/// Longest name of a label: a subdomain, a slash and 63 letters.
const LABEL_NAME_LIMIT: usize = 317;
/// Longest value of a label.
const LABEL_VALUE_LIMIT: usize = 63;
/// Annotation of a mirror pod: the static pod's hash, which stands for the UID in cgroup paths.
pub const CONFIG_HASH: &str = "kubernetes.io/config.hash";

/// One pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// Its UID: of a static pod the hash (CRI) or that of the mirror pod (API).
    pub uid: String,
    /// Of a static pod, the hash in its cgroup path.
    pub config_hash: Option<String>,
    /// Namespace, name and workload.
    pub name: PodName,
    /// Its labels, [`LABEL_LIMIT`] at most.
    pub labels: BTreeMap<String, String>,
    /// Names of its containers by id, its sandbox's with an empty name; [`CONTAINER_LIMIT`] at most.
    pub containers: BTreeMap<String, String>,
}

impl Described {
    /// Nothing when the source's names are none that Kubernetes allows: they become labels of series.
    #[must_use]
    pub fn new(uid: &str, namespace: &str, name: &str) -> Option<Self> {
        let valid = [uid, namespace, name].into_iter().all(is_name);
        valid.then(|| Self {
            uid: uid.to_owned(),
            config_hash: None,
            name: PodName { namespace: namespace.to_owned(), name: name.to_owned(), workload: None },
            labels: BTreeMap::new(),
            containers: BTreeMap::new(),
        })
    }

    /// With labels, of which those are left out that no API server would take.
    #[must_use]
    pub fn with_labels(mut self, labels: impl IntoIterator<Item = (String, String)>) -> Self {
        let valid = labels.into_iter().filter(|(name, value)| {
            name.len() <= LABEL_NAME_LIMIT
                && value.len() <= LABEL_VALUE_LIMIT
                && is_plain(name)
                && is_plain(value)
        });
        self.labels = valid.take(LABEL_LIMIT).collect();
        self
    }

    /// With the annotations, of which one counts.
    #[must_use]
    pub fn with_hash(mut self, hash: Option<&str>) -> Self {
        self.config_hash = hash.filter(|hash| is_name(hash)).map(str::to_owned);
        self
    }

    /// With a workload, if its names are valid.
    #[must_use]
    pub fn with_workload(mut self, workload: Option<Workload>) -> Self {
        self.name.workload = workload.filter(|workload| is_name(&workload.kind) && is_name(&workload.name));
        self
    }

    /// With a container, or its sandbox, which has no name.
    pub fn add_container(&mut self, id: &str, name: &str) {
        if self.containers.len() < CONTAINER_LIMIT
            && is_name(id)
            && name.len() <= NAME_LIMIT
            && is_plain(name)
        {
            self.containers.insert(id.to_owned(), name.to_owned());
        }
    }
}

pub(super) fn is_name(text: &str) -> bool {
    (1..=NAME_LIMIT).contains(&text.len()) && is_plain(text)
}

fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_kubernetes_would_not_allow_name_nothing() {
        assert!(Described::new("u", "shop", "web-0").is_some());
        for (uid, namespace, name) in [
            ("", "shop", "web"),
            ("u", "", "web"),
            ("u", "shop", ""),
            ("u", "shop", "a\nb"),
            ("u", "a b", "c"),
        ] {
            assert_eq!(Described::new(uid, namespace, name), None);
        }
        assert_eq!(Described::new("u", "shop", &"x".repeat(254)), None);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let many = (0..1000).map(|n| (format!("l{n}"), "x".to_owned()));
        let long = [("a".repeat(318), String::new()), ("b".to_owned(), "x".repeat(64))];
        let mut pod = Described::new("u", "shop", "web").unwrap().with_labels(long.into_iter().chain(many));
        assert_eq!(pod.labels.len(), LABEL_LIMIT);
        assert!(pod.labels.keys().all(|name| name.starts_with('l')));
        (0..1000).for_each(|n| pod.add_container(&format!("c{n}"), "app"));
        assert_eq!(pod.containers.len(), CONTAINER_LIMIT);
    }
}
