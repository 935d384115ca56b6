//! The cgroup2 hierarchy of this node.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use super::Error;

/// Where cgroup2 is mounted: `/sys/fs/cgroup`, or `/sys/fs/cgroup/unified` on a hybrid node.
#[must_use]
pub fn mount_point() -> Option<PathBuf> {
    mount_points(&fs::read_to_string("/proc/self/mounts").ok()?).next()
}

/// The cgroup2 mount that holds `path`. A container sees two: its own, which shows a part of the tree as the
/// whole, and the node's, mounted elsewhere.
#[must_use]
pub fn mount_point_of(path: &Path) -> Option<PathBuf> {
    let path = path.canonicalize().ok()?;
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    mount_points(&mounts)
        .filter(|mount| path.starts_with(mount))
        .max_by_key(|mount| mount.components().count())
}

/// Every place where cgroup2 is mounted.
#[must_use]
pub fn mounts() -> Vec<PathBuf> {
    mount_points(&fs::read_to_string("/proc/self/mounts").unwrap_or_default()).collect()
}

/// Mount points of cgroup2 in the order of `/proc/self/mounts`.
fn mount_points(mounts: &str) -> impl Iterator<Item = PathBuf> {
    mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ');
        let (mount, kind) = (fields.nth(1)?, fields.next()?);
        (kind == "cgroup2").then(|| PathBuf::from(mount))
    })
}

/// The directories without those that others contain: the programs would run twice there.
#[must_use]
pub fn outermost(paths: &[PathBuf]) -> Vec<PathBuf> {
    let real = |path: &PathBuf| path.canonicalize().unwrap_or_else(|_| path.clone());
    let mut kept: Vec<(PathBuf, PathBuf)> = Vec::new();
    let mut sorted: Vec<(PathBuf, PathBuf)> = paths.iter().map(|path| (real(path), path.clone())).collect();
    sorted.sort();
    for (real, given) in sorted {
        if !kept.iter().any(|(outer, _)| real.starts_with(outer)) {
            kept.push((real, given));
        }
    }
    kept.into_iter().map(|(_, given)| given).collect()
}

/// Checks that each directory is a cgroup v2.
///
/// # Errors
/// When one is not; it says which, and what to do.
pub fn check(paths: &[PathBuf]) -> Result<(), Error> {
    open_all(paths).map(drop)
}

/// Opens the directories to trace, and checks that each is a cgroup v2.
pub(super) fn open_all(paths: &[PathBuf]) -> Result<Vec<(PathBuf, File)>, Error> {
    outermost(paths).into_iter().map(|path| open(&path).map(|file| (path, file))).collect()
}

fn open(path: &Path) -> Result<File, Error> {
    let fail = |reason: String| Error::Cgroup { path: path.to_owned(), reason };
    let mount = mount_point().map_or_else(
        || {
            "cgroup2 is not mounted on this node: mount it, or boot with systemd.unified_cgroup_hierarchy=1"
                .to_owned()
        },
        |mount| format!("give a directory below {}", mount.display()),
    );
    let file = File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => fail(format!("it does not exist; {mount}")),
        _ => fail(format!("{error}; {mount}")),
    })?;
    let directory = file.metadata().is_ok_and(|metadata| metadata.is_dir());
    if !directory || !is_cgroup2(path) {
        return Err(fail(format!("it is not a cgroup v2 directory; {mount}")));
    }
    Ok(file)
}

fn is_cgroup2(path: &Path) -> bool {
    let Ok(path) = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()) else { return false };
    let mut info = std::mem::MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: `path` ends with a zero byte and `info` has room for the result, which is read on success only.
    // The type of `f_type` differs between C libraries; both widen.
    unsafe {
        libc::statfs(path.as_ptr(), info.as_mut_ptr()) == 0
            && i128::from(info.assume_init().f_type) == i128::from(libc::CGROUP2_SUPER_MAGIC)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_mount_of_a_hybrid_node() {
        let mounts =
            "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        assert_eq!(mount_points(mounts).next(), Some(PathBuf::from("/sys/fs/cgroup/unified")));
        assert_eq!(mount_points("proc /proc proc rw 0 0\n").next(), None);
    }

    #[test]
    fn directories_inside_others_are_traced_once() {
        let paths = ["/a/b", "/a", "/c", "/a", "/ab"].map(PathBuf::from);
        assert_eq!(outermost(&paths), ["/a", "/ab", "/c"].map(PathBuf::from));
    }

    #[test]
    fn a_directory_elsewhere_is_no_cgroup() {
        let error = open(Path::new("/proc")).unwrap_err().to_string();
        assert!(error.contains("/proc") && error.contains("not a cgroup v2 directory"), "{error}");
    }
}
