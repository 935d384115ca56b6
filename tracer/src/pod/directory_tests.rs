use super::*;
use crate::pod::workload::Workload;

const SECOND: u64 = 1_000_000_000;

fn pod(uid: &str, name: &str) -> Described {
    Described::new(uid, "shop", name).unwrap()
}

fn workload(kind: &str, name: &str) -> Workload {
    Workload { kind: kind.to_owned(), name: name.to_owned() }
}

fn name_of(directory: &Directory, uid: &str) -> Option<String> {
    directory.name(uid).map(|name| format!("{}/{}", name.namespace, name.name))
}

#[test]
fn either_source_names_a_pod_and_the_api_knows_its_workload_best() {
    let mut directory = Directory::default();
    assert_eq!(directory.name("u"), None);
    directory.insert(Source::Cri, pod("u", "web").with_workload(Some(workload("Deployment", "guess"))), 0);
    assert_eq!(directory.name("u").unwrap().workload, Some(workload("Deployment", "guess")));
    let labels = [("app".to_owned(), "web".to_owned())];
    let told = pod("u", "web").with_workload(Some(workload("Rollout", "web"))).with_labels(labels.clone());
    directory.insert(Source::Kubernetes, told, 0);
    assert_eq!(directory.name("u").unwrap().workload, Some(workload("Rollout", "web")));
    assert_eq!(directory.labels("u"), Some(&labels.into_iter().collect()));
    directory.insert(Source::Kubernetes, pod("v", "alone"), 0);
    assert_eq!(name_of(&directory, "v").as_deref(), Some("shop/alone"));
    assert_eq!([Source::Cri, Source::Kubernetes].map(|source| directory.count(source)), [1, 2]);
    assert!(directory.knows(Source::Cri, "u") && !directory.knows(Source::Cri, "v"));
}

#[test]
fn a_static_pod_is_found_by_its_hash() {
    let mut directory = Directory::default();
    let hash = "0123456789abcdef0123456789abcdef";
    directory.insert(Source::Kubernetes, pod("mirror", "etcd-n1").with_hash(Some(hash)), 0);
    assert_eq!(name_of(&directory, hash).as_deref(), Some("shop/etcd-n1"));
    // The runtime knows it by the hash only.
    directory.insert(Source::Cri, pod(hash, "etcd-n1").with_hash(Some(hash)), 0);
    assert_eq!(name_of(&directory, hash).as_deref(), Some("shop/etcd-n1"));
    assert!(Source::ALL.into_iter().all(|source| directory.knows(source, hash)));
}

#[test]
fn containers_tell_their_pod_until_it_has_others() {
    let mut directory = Directory::default();
    let mut web = pod("u", "web");
    web.add_container("c1", "app");
    directory.insert(Source::Cri, web.clone(), 0);
    assert_eq!(directory.pod_of_container("c1"), Some("u"));
    web.containers.clear();
    web.add_container("c2", "app");
    directory.insert(Source::Cri, web, 0);
    assert_eq!([directory.pod_of_container("c1"), directory.pod_of_container("c2")], [None, Some("u")]);
}

#[test]
fn a_deleted_pod_is_known_until_its_last_traffic_is_reported() {
    let mut directory = Directory::default();
    directory.insert(Source::Cri, pod("u", "web"), 0);
    directory.insert(Source::Kubernetes, pod("u", "web"), 0);
    directory.remove(Source::Kubernetes, "u", SECOND);
    directory.expire(10 * KEEP);
    assert!(directory.name("u").is_some(), "its containers still run");
    directory.remove(Source::Cri, "u", 10 * KEEP);
    directory.remove(Source::Cri, "u", 10 * KEEP + SECOND);
    directory.expire(11 * KEEP - 1);
    assert!(directory.name("u").is_some());
    directory.expire(11 * KEEP);
    assert_eq!(directory.name("u"), None);
}

#[test]
fn a_list_removes_what_is_not_in_it() {
    let mut directory = Directory::default();
    for uid in ["a", "b"] {
        directory.insert(Source::Kubernetes, pod(uid, uid), 0);
    }
    directory.begin_list(Source::Kubernetes);
    directory.insert(Source::Kubernetes, pod("b", "b"), SECOND);
    assert_eq!(directory.count(Source::Kubernetes), 2);
    directory.end_list(Source::Kubernetes, SECOND);
    assert_eq!(directory.count(Source::Kubernetes), 1);
    directory.expire(SECOND + KEEP);
    assert_eq!([name_of(&directory, "a"), name_of(&directory, "b")], [None, Some("shop/b".to_owned())]);
    // One that comes back, as after a list that was cut short, is there again.
    directory.remove(Source::Kubernetes, "b", 2 * SECOND);
    directory.insert(Source::Kubernetes, pod("b", "b"), 3 * SECOND);
    directory.expire(10 * KEEP);
    assert!(directory.name("b").is_some());
}

#[test]
fn pods_are_bounded_and_those_that_are_gone_give_way() {
    let mut directory = Directory::default();
    for n in 0..POD_LIMIT {
        directory.insert(Source::Cri, pod(&format!("u{n}"), "web"), 0);
    }
    directory.insert(Source::Cri, pod("more", "web"), 0);
    assert_eq!((directory.name("more"), directory.overflow()), (None, 1));
    directory.remove(Source::Cri, "u7", SECOND);
    directory.insert(Source::Cri, pod("more", "web"), SECOND);
    assert!(directory.name("more").is_some() && directory.name("u7").is_none());
    assert_eq!((directory.pods.len(), directory.overflow()), (POD_LIMIT, 1));
}
