//! The pods that the stand-ins tell of.

use serde_json::{Value, json};

use crate::Pod;

/// The node of the lab.
pub const NODE: &str = "node-1";

/// A pod of a Deployment, as runtime and API server know it.
#[derive(Clone, Debug)]
pub struct Described {
    /// Its UID.
    pub uid: String,
    /// Its namespace.
    pub namespace: String,
    /// The Deployment.
    pub workload: String,
    /// Id of its container.
    pub container: String,
}

impl Described {
    /// Describes a pod of the lab as one of the Deployment in the namespace `shop`.
    #[must_use]
    pub fn of(pod: &Pod, workload: &str) -> Self {
        let container = pod.cgroup().file_name().map(|name| name.to_string_lossy().into_owned());
        Self {
            uid: pod.uid().to_owned(),
            namespace: "shop".to_owned(),
            workload: workload.to_owned(),
            container: container.unwrap_or_default(),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}-{}-x2b4k", self.workload, Self::HASH)
    }

    /// Namespace and name, as outputs have them.
    #[must_use]
    pub fn shown(&self) -> String {
        format!("{}/{}", self.namespace, self.name())
    }

    const HASH: &str = "5d9c7b6f4d";

    /// Its labels.
    pub(super) fn labels(&self) -> [(&'static str, String); 2] {
        [("app", self.workload.clone()), ("pod-template-hash", Self::HASH.to_owned())]
    }

    /// As the API server has it alone.
    pub(super) fn object(&self, version: u64) -> Value {
        let mut object = self.item(version);
        object["apiVersion"] = "v1".into();
        object["kind"] = "Pod".into();
        object
    }

    /// As the API server has it in a list.
    pub(super) fn item(&self, version: u64) -> Value {
        let Self { uid, namespace, workload, container } = self;
        let labels: serde_json::Map<_, _> =
            self.labels().into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        json!({
            "metadata": {
                "name": self.name(),
                "namespace": namespace,
                "uid": uid,
                "resourceVersion": version.to_string(),
                "creationTimestamp": "2026-01-01T00:00:00Z",
                "labels": labels,
                "ownerReferences": [{
                    "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("{workload}-{}", Self::HASH),
                    "uid": "11111111-2222-4333-8444-555555555555", "controller": true, "blockOwnerDeletion": true,
                }],
            },
            "spec": {
                "nodeName": NODE, "containers": [{ "name": "app", "image": "registry.test/app:1", "resources": {} }],
            },
            "status": {
                "phase": "Running",
                "containerStatuses": [{
                    "name": "app", "containerID": format!("containerd://{container}"), "ready": true,
                    "restartCount": 0, "image": "registry.test/app:1", "imageID": "sha256:0",
                    "state": { "running": { "startedAt": "2026-01-01T00:00:01Z" } }, "lastState": {},
                }],
            },
        })
    }
}
