//! Where the cgroup of one pod is on this node. This is an edge: it reads the file system.

use std::{
    collections::VecDeque,
    fmt, fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::cgroup;
use crate::pod::cgroup::pod_uid;

/// Directories read in one search: far more than a node has.
const WALK_LIMIT: usize = 100_000;

/// Why a pod's cgroup is not known.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No directory has the UID in its name.
    #[error(
        "pod {uid} has no cgroup in {places}: the pod runs on another node, or has ended; a container sees the node's \
         cgroups only where they are mounted into it (hostPath /sys/fs/cgroup)"
    )]
    Missing {
        /// The pod's UID.
        uid: String,
        /// Where it was looked for.
        places: Places,
    },
    /// The agent does not run in a pod, or cannot see that it does.
    #[error(
        "the agent's own cgroup is {own}, which is no pod's in {places}: a container sees its pod's cgroup only where the \
         node's are mounted into it (hostPath /sys/fs/cgroup); give the pod's UID with --pod-uid otherwise"
    )]
    NoPod {
        /// The agent's cgroup, as `/proc/self/cgroup` names it.
        own: String,
        /// Where it was looked for.
        places: Places,
    },
}

/// Directories that were searched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places(pub Vec<PathBuf>);

impl Places {
    /// These directories, or every cgroup2 mount when there are none.
    #[must_use]
    pub fn of(given: &[PathBuf]) -> Self {
        Self(if given.is_empty() { cgroup::mounts() } else { given.to_vec() })
    }

    /// The cgroups of a pod: one, unless the runtime gives its containers cgroups side by side.
    ///
    /// # Errors
    /// When there is none.
    pub fn of_pod(&self, uid: &str) -> Result<Vec<PathBuf>, Error> {
        let named = |path: &Path| uid_of(path).as_deref() == Some(uid);
        let found = self.0.iter().map(|place| search(place, &named)).find(|found| !found.is_empty());
        found.ok_or_else(|| Error::Missing { uid: uid.to_owned(), places: self.clone() })
    }

    /// The cgroups of the pod that this process runs in, as [`Places::of_pod`]. Its own name of its cgroup says nothing in a
    /// cgroup namespace; the node's cgroups list this process nevertheless.
    ///
    /// # Errors
    /// When its cgroup is no pod's.
    pub fn own_pod(&self) -> Result<Vec<PathBuf>, Error> {
        let own = || Error::NoPod { own: own_cgroup(), places: self.clone() };
        self.pod_of(std::process::id()).ok_or_else(own)
    }

    /// The id of the cgroup of this process, when it is one of these or below.
    #[must_use]
    pub fn own_cgroup(&self) -> Option<u64> {
        Some(fs::metadata(self.cgroup_of(std::process::id())?).ok()?.ino())
    }

    fn pod_of(&self, process: u32) -> Option<Vec<PathBuf>> {
        let container = self.cgroup_of(process)?;
        let uid = uid_of(&container)?;
        let pod = container.ancestors().take_while(|path| uid_of(path).as_ref() == Some(&uid)).last()?;
        // Next to it are the other containers, where each has the pod's UID in its own name.
        Self(vec![pod.parent()?.to_owned()]).of_pod(&uid).ok()
    }

    fn cgroup_of(&self, process: u32) -> Option<PathBuf> {
        let process = process.to_string();
        let has = |path: &Path| {
            let processes = fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
            processes.lines().any(|line| line == process)
        };
        self.0.iter().flat_map(|place| search(place, &has)).next()
    }
}

impl fmt::Display for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("any place (cgroup2 is not mounted)");
        }
        let places: Vec<String> = self.0.iter().map(|place| place.display().to_string()).collect();
        f.write_str(&places.join(", "))
    }
}

fn uid_of(path: &Path) -> Option<String> {
    pod_uid(&path.to_string_lossy())
}

/// The path of this process' cgroup v2, as it sees it.
fn own_cgroup() -> String {
    let lines = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    lines.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("not known").to_owned()
}

/// The outermost directories, from `root` on, for which it `is` so.
fn search(root: &Path, is: &dyn Fn(&Path) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut pending = VecDeque::from([root.to_owned()]);
    let mut left = WALK_LIMIT;
    while let Some(directory) = pending.pop_front() {
        if !directory.is_dir() {
            continue;
        }
        if is(&directory) {
            found.push(directory);
            continue;
        }
        // A cgroup that goes away meanwhile is no loss.
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            if left > 0 && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                pending.push_back(entry.path());
                left -= 1;
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d";

    fn tree(name: &str, directories: &[&str]) -> PathBuf {
        let root = std::env::temp_dir().join(format!("tracer-{}-{name}", std::process::id()));
        for directory in directories {
            fs::create_dir_all(root.join(directory)).unwrap();
        }
        root
    }

    #[test]
    fn a_pod_is_found_by_its_uid_and_not_its_containers() {
        let pod = format!("kubepods/burstable/pod{UID}");
        let root = tree("pod", &[&format!("{pod}/one"), &format!("{pod}/two"), "kubepods/burstable/podx"]);
        let found = Places(vec![root.join("nowhere"), root.clone()]).of_pod(UID);
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(found, Ok(vec![root.join(pod)]));
    }

    #[test]
    fn containers_side_by_side_are_all_found() {
        let uid = UID.replace('-', "_");
        let containers = ["a", "b"].map(|id| format!("kubepods-pod{uid}.slice:cri-containerd:{id}"));
        let root = tree("side", &containers.each_ref().map(String::as_str));
        let mut found = Places(vec![root.clone()]).of_pod(UID).unwrap();
        found.sort();
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(found, containers.map(|name| root.join(name)));
    }

    #[test]
    fn a_pod_that_is_not_there_is_an_error_that_says_where_it_was_looked_for() {
        let error = Places(vec!["/one".into(), "/two".into()]).of_pod(UID).unwrap_err().to_string();
        assert!(error.starts_with(&format!("pod {UID} has no cgroup in /one, /two: ")), "{error}");
        assert!(Places(Vec::new()).of_pod(UID).unwrap_err().to_string().contains("cgroup2 is not mounted"));
    }

    #[test]
    fn the_own_pod_is_the_one_whose_cgroup_lists_this_process() {
        let container = format!("kubepods/pod{UID}/container");
        let root = tree("own", &[&container, "kubepods/other"]);
        let processes = format!("0\n{}\n", std::process::id());
        fs::write(root.join(container).join("cgroup.procs"), processes).unwrap();
        let places = Places(vec![root.clone()]);
        let (found, own) = (places.pod_of(std::process::id()), places.own_cgroup());
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(found, Some(vec![root.join(format!("kubepods/pod{UID}"))]));
        assert!(own.is_some());
        assert_eq!(Places(vec![root]).own_cgroup(), None);
    }

    #[test]
    fn an_own_cgroup_is_a_path() {
        assert!(own_cgroup().starts_with('/'), "{}", own_cgroup());
    }
}
