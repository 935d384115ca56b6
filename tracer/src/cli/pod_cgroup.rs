//! Where the cgroup of one pod is.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Levels between a kubelet's cgroup and its pods': the class of service, and one more for distributions.
const DEPTH: u32 = 3;

/// The cgroup of the pod with this UID, in or below the given ones.
pub(super) fn find(cgroups: &[PathBuf], uid: &str) -> anyhow::Result<PathBuf> {
    let found = cgroups.iter().find_map(|cgroup| below(cgroup, uid, DEPTH));
    found.ok_or_else(|| {
        let places: Vec<String> = cgroups.iter().map(|path| path.display().to_string()).collect();
        anyhow::anyhow!("there is no cgroup of a pod with the UID {uid} below {}", places.join(", "))
    })
}

fn below(folder: &Path, uid: &str, depth: u32) -> Option<PathBuf> {
    if is_of(&folder.file_name()?.to_string_lossy(), uid) {
        return Some(folder.to_owned());
    }
    let deeper = depth.checked_sub(1)?;
    folders(folder).find_map(|folder| below(&folder, uid, deeper))
}

/// `pod<uid>` by the cgroupfs driver, `…-pod<uid with _>.slice` by the systemd driver.
fn is_of(name: &str, uid: &str) -> bool {
    let by_systemd = |slice: &str| slice.ends_with(&format!("-pod{}", uid.replace('-', "_")));
    name.strip_prefix("pod") == Some(uid) || name.strip_suffix(".slice").is_some_and(by_systemd)
}

/// What cannot be listed holds no pod: cgroups come and go meanwhile.
fn folders(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d";

    /// A tree like a kubelet's, removed at the end.
    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str, pod: &str) -> Self {
            let root = std::env::temp_dir().join(format!("tracer-{name}-{}", std::process::id()));
            fs::create_dir_all(root.join(pod)).unwrap();
            Self(root)
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_pod_is_found_under_each_driver() {
        let systemd = format!(
            "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{}.slice/cri-containerd-a.scope",
            UID.replace('-', "_")
        );
        for (name, pod) in [("systemd", systemd), ("cgroupfs", format!("kubepods/burstable/pod{UID}/a"))] {
            let tree = Tree::new(name, &pod);
            let root = tree.0.join(pod.split('/').next().unwrap());
            let found = find(&[root], UID).unwrap();
            assert_eq!(found, tree.0.join(&pod).parent().unwrap());
        }
    }

    #[test]
    fn a_pod_of_another_node_is_an_error_that_says_where_it_was_looked_for() {
        let tree = Tree::new("other", "kubepods/pod00000000-0000-0000-0000-000000000000");
        let error = find(&[tree.0.join("kubepods")], UID).unwrap_err().to_string();
        assert!(error.contains(UID) && error.contains("kubepods"), "{error}");
    }
}
