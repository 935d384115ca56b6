//! Objects of the Kubernetes API → what is kept of them. Pure.

use k8s_openapi::{
    api::core::v1::{ContainerStatus, Pod},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use crate::pod::{
    described::{CONFIG_HASH, Described},
    workload::Workload,
};

/// A pod; nothing when it has no name, which no API server would send.
pub(super) fn pod(pod: Pod) -> Option<Described> {
    let Pod { metadata, status, .. } = pod;
    let ObjectMeta { uid, namespace, name, labels, annotations, owner_references, .. } = metadata;
    let described = Described::new(&uid?, &namespace?, &name?)?;
    let described = described.with_labels(labels.unwrap_or_default());
    let hash = annotations.as_ref().and_then(|annotations| annotations.get(CONFIG_HASH));
    let owners = owner_references.unwrap_or_default();
    let owner = owners.iter().find(|owner| owner.controller == Some(true));
    let workload = owner.and_then(|owner| Workload::of_owner(&owner.kind, &owner.name, &described.labels));
    let mut described = described.with_hash(hash.map(String::as_str)).with_workload(workload);
    let status = status.unwrap_or_default();
    let statuses =
        [status.container_statuses, status.init_container_statuses, status.ephemeral_container_statuses];
    for ContainerStatus { container_id, name, .. } in statuses.into_iter().flatten().flatten() {
        // `containerd://<id>`; a container that has not started has none.
        if let Some((_, id)) = container_id.as_deref().and_then(|id| id.split_once("://")) {
            described.add_container(id, &name);
        }
    }
    Some(described)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: serde_json::Value) -> Option<Described> {
        pod(serde_json::from_value(value).unwrap())
    }

    #[test]
    fn a_pod_has_its_workload_labels_and_containers() {
        let described = read(json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "uid": "u-1", "namespace": "shop", "name": "web-5d9c7b6f4d-x2b4k",
                "labels": { "app": "web", "pod-template-hash": "5d9c7b6f4d" },
                "ownerReferences": [
                    { "apiVersion": "v1", "kind": "ConfigMap", "name": "other", "uid": "o-1" },
                    { "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5d9c7b6f4d", "uid": "o-2",
                      "controller": true },
                ],
            },
            "spec": { "containers": [{ "name": "app" }] },
            "status": {
                "containerStatuses": [
                    { "name": "app", "containerID": "containerd://c1", "image": "", "imageID": "", "ready": true,
                      "restartCount": 0 },
                    { "name": "side", "image": "", "imageID": "", "ready": false, "restartCount": 0 },
                ],
            },
        }));
        let described = described.unwrap();
        assert_eq!((&*described.uid, &*described.name.namespace), ("u-1", "shop"));
        assert_eq!(described.name.workload.unwrap().to_string(), "Deployment/web");
        assert_eq!(described.labels["app"], "web");
        assert_eq!(described.containers, [("c1".to_owned(), "app".to_owned())].into());
        assert_eq!(described.config_hash, None);
    }

    #[test]
    fn a_mirror_pod_has_its_hash_and_no_workload() {
        let described = read(json!({
            "metadata": {
                "uid": "u-1", "namespace": "kube-system", "name": "etcd-n1",
                "annotations": { "kubernetes.io/config.hash": "0123", "kubernetes.io/config.mirror": "0123" },
                "ownerReferences": [
                    { "apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "o", "controller": true },
                ],
            },
        }));
        let described = described.unwrap();
        assert_eq!((described.config_hash.as_deref(), described.name.workload), (Some("0123"), None));
    }

    #[test]
    fn a_pod_without_a_name_is_left_out() {
        assert_eq!(read(json!({ "metadata": { "uid": "u-1", "namespace": "shop" } })), None);
    }
}
