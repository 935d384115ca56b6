//! cgroup → container → pod.

pub mod cgroup;
pub mod described;
pub mod directory;
pub mod names;
pub mod peers;
pub mod source;
pub mod table;
pub mod workload;

use std::fmt;

use self::workload::Workload;

/// A pod as far as it is known. Names come from the container runtime or the Kubernetes API; the cgroup path
/// alone gives the UID.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pod {
    /// UID with dashes, from the cgroup path; for a cgroup outside a pod the path itself.
    pub uid: String,
    /// Namespace and name, when something told us.
    pub name: Option<PodName>,
}

/// Namespace and name of a pod, and what made it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PodName {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// What made it, when that is known and there is something.
    pub workload: Option<Workload>,
}

impl fmt::Display for Pod {
    /// `namespace/name`, or the UID.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{}/{}", name.namespace, name.name),
            None => f.write_str(&self.uid),
        }
    }
}
