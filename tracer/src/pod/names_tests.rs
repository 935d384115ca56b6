use std::{fs, os::unix::fs::MetadataExt as _, path::PathBuf, sync::Arc};

use tokio::sync::{Notify, mpsc};

use super::*;
use crate::pod::described::Described;

const UID: &str = "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d";

/// A tree with one pod, and what sources tell.
struct Node {
    root: PathBuf,
    cgroup: u64,
    names: Names,
    tell: mpsc::Sender<Update>,
    asked: Arc<Notify>,
}

impl Node {
    fn new(name: &str, [cri, pods]: [bool; 2]) -> Self {
        let root = std::env::temp_dir().join(format!("tracer-names-{name}-{}", std::process::id()));
        let dir = root.join(format!("kubepods/pod{UID}"));
        fs::create_dir_all(&dir).unwrap();
        let (tell, updates) = mpsc::channel(100);
        let asked = Arc::new(Notify::new());
        let mut names = Names::new(CgroupTable::new(root.clone()));
        names.listen(Feed { resources: [cri, pods, false, false], updates, asked: Arc::clone(&asked) });
        Self { cgroup: fs::metadata(&dir).unwrap().ino(), root, names, tell, asked }
    }

    fn tell(&self, update: Update) {
        self.tell.try_send(update).unwrap();
    }

    fn describe(&self, source: Source, name: &str) {
        self.tell(Update::Pod(source, Box::new(Described::new(UID, "shop", name).unwrap())));
    }

    fn pod(&mut self) -> Pod {
        self.names.resolve(self.cgroup).pod
    }

    fn is_asked(&self) -> bool {
        use futures_util::FutureExt as _;
        self.asked.notified().now_or_never().is_some()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.root).unwrap();
    }
}

fn failed(is_down: bool) -> Update {
    Update::Failed { resource: Resource::Pods, reason: Reason::Connection, error: "x".to_owned(), is_down }
}

#[test]
fn a_pod_that_was_told_of_has_its_name_at_once() {
    let mut node = Node::new("told", [true, false]);
    node.describe(Source::Cri, "web-0");
    node.tell(Update::Up(Resource::Sandboxes));
    let pod = node.pod();
    assert_eq!((pod.to_string(), pod.uid.as_str()), ("shop/web-0".to_owned(), UID));
    assert!(!node.names.is_awaited(&pod) && !node.is_asked());
    assert!(node.names.renamed().is_empty());
}

#[test]
fn one_that_nobody_told_of_is_asked_for_and_awaited() {
    let mut node = Node::new("asked", [true, false]);
    let pod = node.pod();
    assert_eq!(pod, Pod { uid: UID.to_owned(), name: None });
    assert!(node.names.is_awaited(&pod) && node.is_asked());
    node.describe(Source::Cri, "web-0");
    let [named] = &node.names.renamed()[..] else { panic!("one pod has a name now") };
    assert_eq!(named.to_string(), "shop/web-0");
    assert!(!node.names.is_awaited(named));
}

#[test]
fn of_two_sources_both_are_awaited_while_they_work() {
    let mut node = Node::new("both", [true, true]);
    node.describe(Source::Cri, "web-0");
    let pod = node.pod();
    assert!(node.names.is_awaited(&pod));
    node.tell(failed(false));
    node.names.drain();
    assert!(node.names.is_awaited(&pod));
    node.tell(failed(true));
    node.names.drain();
    assert!(!node.names.is_awaited(&pod));
    let status = node.names.status();
    assert_eq!(status.resources, [(Resource::Sandboxes, false), (Resource::Pods, false)]);
    assert_eq!(status.failures, [((Resource::Pods, Reason::Connection), 2)].into());
    assert_eq!(status.pods, [(Source::Cri, 1), (Source::Kubernetes, 0)]);
    node.tell(Update::Up(Resource::Pods));
    node.names.drain();
    assert!(node.names.is_awaited(&pod) && node.names.status().resources[1].1);
}

#[test]
fn without_sources_nobody_is_awaited() {
    let mut node = Node::new("alone", [false, false]);
    let pod = node.pod();
    assert!(!node.names.is_awaited(&pod));
    assert_eq!(node.names.status(), Status::default());
}

#[test]
fn other_cgroups_are_known_by_their_paths() {
    let mut node = Node::new("others", [true, true]);
    let system = node.root.join("system.slice");
    fs::create_dir(&system).unwrap();
    let resolved = node.names.resolve(fs::metadata(&system).unwrap().ino());
    assert_eq!(resolved, Resolved { pod: Pod { uid: "/system.slice".to_owned(), name: None }, known: true });
    assert!(!node.names.is_awaited(&resolved.pod));
    assert_eq!(node.names.resolve(0).pod.uid, "cgroup:0");
}
