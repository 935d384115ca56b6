//! Removes what labs left whose process is gone: cgroups with their processes, namespaces, directories.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

use super::{cgroup, network};
use crate::process::run;

/// How the name of everything a lab makes begins; the process id of its owner follows.
const PREFIX: &str = "tracer-lab-";
/// Names given by this process so far.
static GIVEN: AtomicU32 = AtomicU32::new(0);

/// A name for a lab or a cgroup tree, by which it is swept when this process dies before it cleans up.
#[must_use]
pub fn fresh_name() -> String {
    format!("{PREFIX}{}-{}", std::process::id(), GIVEN.fetch_add(1, Ordering::Relaxed))
}

/// Removes the leftovers of killed labs. What cannot be removed is reported and left.
pub fn sweep() {
    for error in
        [sweep_cgroups(), sweep_namespaces(), sweep_directories()].into_iter().filter_map(Result::err)
    {
        eprintln!("tracer-lab: sweep: {error:#}");
    }
}

fn sweep_cgroups() -> Result<()> {
    let mount = cgroup::mount_point()?;
    orphans(&mount)?.iter().try_for_each(|name| cgroup::remove(&mount.join(name)))
}

fn sweep_namespaces() -> Result<()> {
    network::names().iter().filter(|name| is_orphan(name)).try_for_each(|name| match network::delete(name) {
        // Another lab sweeps at the same time, or only files of the namespace were left.
        Err(_) if !network::names().contains(name) => Ok(()),
        other => other,
    })
}

fn sweep_directories() -> Result<()> {
    let parent = std::env::temp_dir();
    orphans(&parent)?.iter().try_for_each(|name| remove_directory(&parent.join(name)))
}

/// Removes a lab's directory and unmounts what was mounted below it.
pub(super) fn remove_directory(dir: &Path) -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("read /proc/self/mounts")?;
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    for point in points.filter(|point| Path::new(point).starts_with(dir)) {
        run(Command::new("umount").arg(point))?;
    }
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", dir.display()))
        }
        _ => Ok(()),
    }
}

fn orphans(dir: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(dir).with_context(|| format!("list {}", dir.display()))?;
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    Ok(names.filter(|name| is_orphan(name)).collect())
}

/// Whether the name is a lab's and the process that made it is gone.
fn is_orphan(name: &str) -> bool {
    let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
    owner
        .and_then(|pid| pid.parse::<u32>().ok())
        .is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists())
}

#[cfg(test)]
mod tests {
    use super::is_orphan;

    #[test]
    fn only_labs_of_the_dead_are_orphans() {
        assert!(is_orphan("tracer-lab-4294967295-0.backend"));
        assert!(!is_orphan(&format!("tracer-lab-{}-0", std::process::id())));
        assert!(!is_orphan("tracer-lab-x"));
        assert!(!is_orphan("kubepods"));
    }
}
