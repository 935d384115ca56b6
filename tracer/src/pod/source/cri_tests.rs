use prost::Message as _;

use super::*;
use crate::pod::source::cri_api::{ContainerMetadata, PodSandboxMetadata};

fn sandbox(id: &str, name: &str, attempt: u32, labels: &[(&str, &str)]) -> PodSandbox {
    let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    PodSandbox {
        id: id.to_owned(),
        metadata: Some(PodSandboxMetadata {
            name: name.to_owned(),
            uid: format!("uid-{name}"),
            namespace: "shop".to_owned(),
            attempt,
        }),
        labels: labels.collect(),
        annotations: BTreeMap::new(),
    }
}

fn container(id: &str, sandbox: &str, name: &str) -> Container {
    let metadata = Some(ContainerMetadata { name: name.to_owned() });
    Container { id: id.to_owned(), pod_sandbox_id: sandbox.to_owned(), metadata }
}

#[test]
fn sandboxes_and_containers_are_pods() {
    let labels = [
        ("app", "web"),
        ("pod-template-hash", "5d9c7b6f4d"),
        ("io.kubernetes.pod.name", "web-5d9c7b6f4d-x2b4k"),
    ];
    let sandboxes = vec![sandbox("s1", "web-5d9c7b6f4d-x2b4k", 0, &labels), sandbox("s2", "db-0", 0, &[])];
    let pods = described(sandboxes, vec![container("c1", "s1", "app"), container("c2", "s9", "lost")]);
    let [db, web] = &pods[..] else { panic!("two pods, not {pods:?}") };
    assert_eq!((&*web.uid, &*web.name.namespace), ("uid-web-5d9c7b6f4d-x2b4k", "shop"));
    assert_eq!(web.name.workload.as_ref().unwrap().to_string(), "Deployment/web");
    assert_eq!(web.labels.keys().collect::<Vec<_>>(), ["app", "pod-template-hash"]);
    let containers = [("c1", "app"), ("s1", "")].map(|(id, name)| (id.to_owned(), name.to_owned()));
    assert_eq!(web.containers, containers.into_iter().collect());
    assert_eq!(db.name.workload, None);
}

#[test]
fn the_newest_sandbox_of_a_pod_counts_and_the_containers_of_all() {
    let sandboxes = vec![sandbox("new", "web", 1, &[("v", "2")]), sandbox("old", "web", 0, &[("v", "1")])];
    let pods = described(sandboxes, vec![container("c1", "old", "app"), container("c2", "new", "app")]);
    let [pod] = &pods[..] else { panic!("one pod, not {pods:?}") };
    assert_eq!(pod.labels["v"], "2");
    assert_eq!(pod.containers.keys().collect::<Vec<_>>(), ["c1", "c2", "new", "old"]);
}

#[test]
fn a_static_pod_has_its_hash() {
    let mut of_static = sandbox("s", "etcd-n1", 0, &[]);
    of_static.annotations.insert(CONFIG_HASH.to_owned(), "0123".to_owned());
    assert_eq!(described(vec![of_static], Vec::new())[0].config_hash.as_deref(), Some("0123"));
}

#[test]
fn sandboxes_without_a_name_are_left_out() {
    let nameless = PodSandbox { metadata: None, ..sandbox("s", "x", 0, &[]) };
    assert_eq!(described(vec![nameless, sandbox("t", "", 0, &[])], Vec::new()), []);
}

/// As a runtime sends them, with fields that are skipped: `state` (3), `created_at` (4), `runtime_handler` (7).
#[test]
fn fields_that_are_not_read_are_skipped() {
    let mut bytes = sandbox("s1", "web", 0, &[("app", "web")]).encode_to_vec();
    bytes.extend([0x18, 1, 0x20, 0x80, 0x80, 1, 0x3a, 4, b'r', b'u', b'n', b'c']);
    let read = PodSandbox::decode(&bytes[..]).unwrap();
    assert_eq!(read, sandbox("s1", "web", 0, &[("app", "web")]));
}

/// Against the description of the interface: `PodSandbox { id: "s", metadata: { name: "n", uid: "u",
/// namespace: "x", attempt: 2 }, labels: { "a": "b" }, annotations: { "c": "d" } }`.
#[test]
fn the_numbers_of_the_fields_are_those_of_the_interface() {
    let metadata = [0x0a, 1, b'n', 0x12, 1, b'u', 0x1a, 1, b'x', 0x20, 2];
    let pair = |key, value| [0x0a, 1, key, 0x12, 1, value];
    let bytes = [
        &[0x0a, 1, b's', 0x12, 11][..],
        &metadata,
        &[0x2a, 6],
        &pair(b'a', b'b'),
        &[0x32, 6],
        &pair(b'c', b'd'),
    ]
    .concat();
    let read = PodSandbox::decode(&bytes[..]).unwrap();
    let metadata = read.metadata.unwrap();
    assert_eq!((&*read.id, &*metadata.name, &*metadata.uid, &*metadata.namespace), ("s", "n", "u", "x"));
    assert_eq!((metadata.attempt, &*read.labels["a"], &*read.annotations["c"]), (2, "b", "d"));
}
