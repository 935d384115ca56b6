//! The cgroup2 tree of this node: id → path. This is an edge: it reads the file system.

use std::{
    collections::HashMap,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Directories read in one walk, and paths kept: far more than a node has, so that a strange tree cannot hold us up.
const WALK_LIMIT: usize = 100_000;

/// Time between walks, on average: an id that is not in the tree must not cost a walk per record.
const REST: Duration = Duration::from_millis(100);
/// Walks without a rest: pods start together, and what the first one sends must not wait.
const BURST: u32 = 8;

/// Finds cgroups by walking the tree; the id of a cgroup is the inode of its directory.
#[derive(Debug)]
pub struct CgroupTable {
    root: PathBuf,
    paths: HashMap<u64, String>,
    /// Those that were there at the look before the last one.
    ended: HashMap<u64, String>,
    walks: Allowance,
}

impl CgroupTable {
    /// A table of the hierarchy mounted at `root`, read when first needed.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        Self {
            root,
            paths: HashMap::new(),
            ended: HashMap::new(),
            walks: Allowance { left: BURST, since: Instant::now() },
        }
    }

    /// The path of a cgroup below the mount. One that was seen is known after its end, too, until the next
    /// [`CgroupTable::living`] but one.
    pub fn path(&mut self, cgroup: u64) -> Option<&str> {
        let is_known = self.paths.contains_key(&cgroup) || self.ended.contains_key(&cgroup);
        if !is_known && self.walks.take(Instant::now()) {
            self.walk();
        }
        self.paths.get(&cgroup).or_else(|| self.ended.get(&cgroup)).map(String::as_str)
    }

    /// The paths of the cgroups that there are now; none when the tree cannot be read.
    pub fn living(&mut self) -> impl Iterator<Item = &str> {
        let before = std::mem::take(&mut self.paths);
        self.walk();
        if self.paths.is_empty() {
            // What is known stays, and what lives is not.
            self.ended.extend(before);
        } else {
            self.ended = before;
        }
        self.paths.values().map(String::as_str)
    }

    fn walk(&mut self) {
        if self.paths.len() >= WALK_LIMIT {
            self.paths.clear();
        }
        let mut read = 0;
        let mut pending = vec![self.root.clone()];
        while let Some(directory) = pending.pop() {
            let Ok(metadata) = fs::symlink_metadata(&directory) else { continue };
            let path = directory.strip_prefix(&self.root).unwrap_or(&directory);
            self.paths.entry(metadata.ino()).or_insert_with(|| format!("/{}", path.display()));
            read += 1;
            if read >= WALK_LIMIT {
                break;
            }
            // A cgroup that goes away during the walk is no loss.
            pending.extend(children(&directory).unwrap_or_default());
        }
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

/// One walk per [`REST`], [`BURST`] at most at once.
#[derive(Debug)]
struct Allowance {
    left: u32,
    since: Instant,
}

impl Allowance {
    fn take(&mut self, now: Instant) -> bool {
        while self.left < BURST && now.saturating_duration_since(self.since) >= REST {
            self.since += REST;
            self.left += 1;
        }
        if self.left == BURST {
            self.since = now;
        }
        let is_allowed = self.left > 0;
        self.left = self.left.saturating_sub(1);
        is_allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walks_come_in_bursts_and_then_now_and_then() {
        let start = Instant::now();
        let mut walks = Allowance { left: BURST, since: start };
        let taken = |walks: &mut Allowance, now| (0..100).filter(|_| walks.take(now)).count();
        assert_eq!(taken(&mut walks, start), BURST as usize);
        assert_eq!(taken(&mut walks, start + REST * 2), 2);
        assert_eq!(taken(&mut walks, start + REST * 1000), BURST as usize);
    }

    #[test]
    fn a_cgroup_that_was_seen_is_known_after_its_end() -> io::Result<()> {
        let root = std::env::temp_dir().join(format!("tracer-table-{}", std::process::id()));
        let path = root.join("kubepods/pod1");
        fs::create_dir_all(&path)?;
        let id = fs::metadata(&path)?.ino();
        let mut table = CgroupTable::new(root.clone());
        assert_eq!(table.path(id), Some("/kubepods/pod1"));
        fs::remove_dir_all(&root)?;
        assert_eq!(table.path(0), None);
        assert_eq!(table.path(id), Some("/kubepods/pod1"));
        Ok(())
    }

    #[test]
    fn a_cgroup_that_ended_is_forgotten_after_two_looks() -> io::Result<()> {
        let root = std::env::temp_dir().join(format!("tracer-living-{}", std::process::id()));
        let path = root.join("kubepods/pod1");
        fs::create_dir_all(&path)?;
        let id = fs::metadata(&path)?.ino();
        let mut table = CgroupTable::new(root.clone());
        assert!(table.living().any(|path| path == "/kubepods/pod1"));
        fs::remove_dir(&path)?;
        assert!(table.living().all(|path| path != "/kubepods/pod1"));
        assert_eq!(table.path(id), Some("/kubepods/pod1"));
        assert!(table.living().any(|path| path == "/kubepods"));
        assert_eq!(table.path(id), None);
        fs::remove_dir_all(&root)?;
        assert_eq!(table.living().count(), 0);
        Ok(())
    }
}
