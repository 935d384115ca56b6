//! The cgroup2 tree of this node: id → path → pod. This is an edge: it reads the file system.

use std::{
    collections::{BTreeSet, HashMap},
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::{Pod, cgroup::pod_uid};
use crate::engine::{Resolve, Resolved};

/// Directories read in one walk: far more than a node has, so that a strange tree cannot hold us up.
const WALK_LIMIT: usize = 100_000;

/// Time between walks, at least: an id that is not in the tree must not cost a walk per record.
const REST: Duration = Duration::from_millis(100);

/// Resolves cgroup ids by walking the tree; the id of a cgroup is the inode of its directory.
#[derive(Debug)]
pub struct CgroupTable {
    root: PathBuf,
    paths: HashMap<u64, String>,
    walked: Option<Instant>,
}

impl CgroupTable {
    /// A table of the hierarchy mounted at `root`, read when first needed.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        Self { root, paths: HashMap::new(), walked: None }
    }

    fn walk(&mut self) {
        let mut paths = HashMap::new();
        let mut pending = vec![self.root.clone()];
        while let Some(directory) = pending.pop() {
            let Ok(metadata) = fs::symlink_metadata(&directory) else { continue };
            let path = directory.strip_prefix(&self.root).unwrap_or(&directory);
            paths.insert(metadata.ino(), format!("/{}", path.display()));
            if paths.len() >= WALK_LIMIT {
                break;
            }
            // A cgroup that goes away during the walk is no loss.
            pending.extend(children(&directory).unwrap_or_default());
        }
        self.paths = paths;
    }
}

fn children(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut children = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            children.push(entry.path());
        }
    }
    Ok(children)
}

impl Resolve for CgroupTable {
    fn resolve(&mut self, cgroup: u64) -> Resolved {
        let rested = self.walked.is_none_or(|walked| walked.elapsed() >= REST);
        if !self.paths.contains_key(&cgroup) && rested {
            self.walk();
            self.walked = Some(Instant::now());
        }
        let path = self.paths.get(&cgroup);
        let uid = match path {
            Some(path) => uid(path),
            None => format!("cgroup:{cgroup}"),
        };
        Resolved { pod: Pod { uid, name: None }, known: path.is_some() }
    }

    fn living(&mut self) -> Option<BTreeSet<String>> {
        self.walk();
        // Without even its root the tree could not be read.
        (!self.paths.is_empty()).then(|| self.paths.values().map(|path| uid(path)).collect())
    }
}

/// The UID of a pod's cgroup; the path of one outside a pod.
fn uid(path: &str) -> String {
    pod_uid(path).unwrap_or_else(|| path.to_owned())
}
