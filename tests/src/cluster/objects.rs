//! The pods that the stand-ins tell of.

use std::net::Ipv4Addr;

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

    /// As the API server has it.
    pub(super) fn object(&self, version: u64) -> Value {
        let Self { uid, namespace, workload, container } = self;
        let labels: serde_json::Map<_, _> =
            self.labels().into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
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

/// A service at an address.
#[derive(Clone, Debug)]
pub struct Exposed {
    /// Its name, in the namespace of its pod.
    pub name: &'static str,
    /// Its virtual address, or that of its pod.
    pub address: Ipv4Addr,
}

impl Exposed {
    pub(super) fn object(&self, version: u64) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata(self.name, version),
            "spec": {
                "type": "ClusterIP", "clusterIP": self.address, "clusterIPs": [self.address],
                "ports": [{ "port": 80, "targetPort": 8080, "protocol": "TCP" }],
            },
            "status": { "loadBalancer": {} },
        })
    }

    pub(super) fn slice(&self, pod: &Described, version: u64) -> Value {
        let mut metadata = metadata(&format!("{}-x1", self.name), version);
        metadata["labels"] = json!({ "kubernetes.io/service-name": self.name });
        let target = json!({ "kind": "Pod", "namespace": pod.namespace, "name": pod.name(), "uid": pod.uid });
        json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": metadata,
            "addressType": "IPv4",
            "endpoints": [
                { "addresses": [self.address], "conditions": { "ready": true }, "targetRef": target },
            ],
            "ports": [{ "port": 8080, "protocol": "TCP" }],
        })
    }
}

fn metadata(name: &str, version: u64) -> Value {
    json!({
        "name": name,
        "namespace": "shop",
        "uid": format!("22222222-3333-4444-8555-{version:012}"),
        "resourceVersion": version.to_string(),
        "creationTimestamp": "2026-01-01T00:00:00Z",
    })
}

/// How a user reaches a cluster, as clients of Kubernetes read it.
pub(super) fn kubeconfig(user: &str, cluster: &Value, credentials: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "lab", "cluster": cluster }],
        "users": [{ "name": user, "user": credentials }],
        "contexts": [{ "name": "lab", "context": { "cluster": "lab", "user": user } }],
        "current-context": "lab",
    })
}
