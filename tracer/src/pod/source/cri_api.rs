//! The messages of the container runtime interface that are read, and of them the fields: package `runtime.v1` of
//! `k8s.io/cri-api/pkg/apis/runtime/v1/api.proto`. Written by hand, so that no build needs protoc; decoders skip
//! fields that they do not know.

use std::collections::BTreeMap;

/// `PodSandboxMetadata`: fields 1, 2, 3, 4.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct PodSandboxMetadata {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) uid: String,
    #[prost(string, tag = "3")]
    pub(super) namespace: String,
    #[prost(uint32, tag = "4")]
    pub(super) attempt: u32,
}

/// `PodSandbox`: fields 1, 2, 5, 6.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct PodSandbox {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(message, optional, tag = "2")]
    pub(super) metadata: Option<PodSandboxMetadata>,
    #[prost(btree_map = "string, string", tag = "5")]
    pub(super) labels: BTreeMap<String, String>,
    #[prost(btree_map = "string, string", tag = "6")]
    pub(super) annotations: BTreeMap<String, String>,
}

/// `ListPodSandboxRequest`, `ListContainersRequest` without filter, and `GetEventsRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Everything {}

/// `ListPodSandboxResponse`: field 1.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Sandboxes {
    #[prost(message, repeated, tag = "1")]
    pub(super) items: Vec<PodSandbox>,
}

/// `ContainerMetadata`: field 1.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ContainerMetadata {
    #[prost(string, tag = "1")]
    pub(super) name: String,
}

/// `Container`: fields 1, 2, 3.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Container {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(string, tag = "2")]
    pub(super) pod_sandbox_id: String,
    #[prost(message, optional, tag = "3")]
    pub(super) metadata: Option<ContainerMetadata>,
}

/// `ListContainersResponse`: field 1.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Containers {
    #[prost(message, repeated, tag = "1")]
    pub(super) containers: Vec<Container>,
}

/// `ContainerEventResponse`: that there was one says enough.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ContainerEvent {}
