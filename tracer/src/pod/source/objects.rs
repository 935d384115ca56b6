//! Objects of the Kubernetes API → what is kept of them. Pure.

use std::net::IpAddr;

use k8s_openapi::{
    api::{
        core::v1::{ContainerStatus, Pod, Service},
        discovery::v1::{Endpoint, EndpointSlice},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use crate::pod::{
    described::{CONFIG_HASH, Described, is_name},
    workload::Workload,
};

/// Label of an endpoint slice: its service.
const SERVICE: &str = "kubernetes.io/service-name";

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

/// `namespace/name`; nothing when the names are none that Kubernetes allows.
pub(super) fn name(metadata: &ObjectMeta) -> Option<String> {
    join(metadata.namespace.as_deref()?, metadata.name.as_deref()?)
}

fn join(namespace: &str, name: &str) -> Option<String> {
    [namespace, name].into_iter().all(is_name).then(|| format!("{namespace}/{name}"))
}

/// A service's name, and its virtual addresses with it; those that are `None` are none.
pub(super) fn service(service: &Service) -> Option<(String, Vec<(IpAddr, String)>)> {
    let name = name(&service.metadata)?;
    let spec = service.spec.as_ref()?;
    let cluster = spec.cluster_ips.iter().flatten().chain(&spec.cluster_ip);
    let balancer = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let balancer = balancer.iter().flat_map(|balancer| balancer.ingress.iter().flatten());
    let addresses = cluster.chain(spec.external_ips.iter().flatten());
    let addresses = addresses.chain(balancer.filter_map(|ingress| ingress.ip.as_ref()));
    let mut addresses: Vec<IpAddr> = addresses.filter_map(|address| address.parse().ok()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    Some((name.clone(), addresses.into_iter().map(|address| (address, name.clone())).collect()))
}

/// A slice's name, and its endpoints with the names of their pods, or of its service.
pub(super) fn endpoints(slice: &EndpointSlice) -> Option<(String, Vec<(IpAddr, String)>)> {
    let namespace = slice.metadata.namespace.as_deref()?;
    let service = slice.metadata.labels.as_ref().and_then(|labels| labels.get(SERVICE));
    let service = service.and_then(|service| join(namespace, service));
    let mut named = Vec::new();
    for endpoint in &slice.endpoints {
        let Some(name) = pod_of(endpoint, namespace).or_else(|| service.clone()) else { continue };
        let addresses = endpoint.addresses.iter().filter_map(|address| address.parse().ok());
        named.extend(addresses.map(|address| (address, name.clone())));
    }
    Some((name(&slice.metadata)?, named))
}

fn pod_of(endpoint: &Endpoint, namespace: &str) -> Option<String> {
    let target = endpoint.target_ref.as_ref().filter(|target| target.kind.as_deref() == Some("Pod"))?;
    join(target.namespace.as_deref().unwrap_or(namespace), target.name.as_deref()?)
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

    #[test]
    fn a_service_names_its_virtual_addresses() {
        let of = |value| service(&serde_json::from_value(value).unwrap());
        let (name, named) = of(json!({
            "metadata": { "namespace": "shop", "name": "web" },
            "spec": { "clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7", "fd00::7"], "externalIPs": ["192.0.2.1"] },
            "status": { "loadBalancer": { "ingress": [{ "ip": "192.0.2.2" }, { "hostname": "lb.test" }] } },
        }))
        .unwrap();
        assert_eq!(name, "shop/web");
        let addresses: Vec<String> = named.iter().map(|(address, _)| address.to_string()).collect();
        assert_eq!(addresses, ["10.96.0.7", "192.0.2.1", "192.0.2.2", "fd00::7"]);
        assert!(named.iter().all(|(_, name)| name == "shop/web"));
        let headless = of(json!({
            "metadata": { "namespace": "shop", "name": "web" }, "spec": { "clusterIP": "None" },
        }));
        assert_eq!(headless, Some(("shop/web".to_owned(), Vec::new())));
    }

    #[test]
    fn an_endpoint_has_the_name_of_its_pod_or_of_its_service() {
        let (name, named) = endpoints(
            &serde_json::from_value(json!({
                "metadata": {
                    "namespace": "shop", "name": "web-x1", "labels": { "kubernetes.io/service-name": "web" },
                },
                "addressType": "IPv4",
                "endpoints": [
                    { "addresses": ["10.0.0.7"],
                      "targetRef": { "kind": "Pod", "namespace": "shop", "name": "web-0" } },
                    { "addresses": ["192.0.2.9"] },
                    { "addresses": ["no address"] },
                ],
            }))
            .unwrap(),
        )
        .unwrap();
        assert_eq!(name, "shop/web-x1");
        let expected = [("10.0.0.7", "shop/web-0"), ("192.0.2.9", "shop/web")];
        assert_eq!(named, expected.map(|(address, name)| (address.parse().unwrap(), name.to_owned())));
    }
}
