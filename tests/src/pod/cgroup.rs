//! The cgroups of a lab: a root of its own below the cgroup2 mount, kubelet-like paths below that.
//! Usable without network namespaces.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};

use crate::random::mix;

/// How kubelet ranks a pod, which shows in its cgroup's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Qos {
    /// Requests equal limits: directly below `kubepods`.
    Guaranteed,
    /// Some requests or limits.
    Burstable,
    /// Neither requests nor limits.
    BestEffort,
}

/// What a pod is to be.
#[derive(Clone, Copy, Debug)]
pub struct PodSpec<'a> {
    /// Its name in this lab, for people and for the network namespace.
    pub name: &'a str,
    /// Its place in the cgroup tree.
    pub qos: Qos,
}

/// The cgroup2 mount of this machine.
pub fn mount_point() -> Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("read /proc/self/mounts")?;
    mounts
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>())
        .find(|fields| fields.get(2) == Some(&"cgroup2"))
        .and_then(|fields| fields.get(1).map(PathBuf::from))
        .ok_or_else(|| anyhow!("no cgroup2 hierarchy is mounted: mount -t cgroup2 none /sys/fs/cgroup"))
}

/// A root cgroup and all below it; dropping it kills what runs there and removes the cgroups.
pub struct Tree {
    dir: PathBuf,
}

impl Tree {
    /// Makes the cgroup `name` below the cgroup2 mount; see [`super::sweep::fresh_name`]. Needs root.
    pub fn create(name: &str) -> Result<Self> {
        let dir = mount_point()?.join(name);
        fs::create_dir(&dir).with_context(|| format!("make the cgroup {} (needs root)", dir.display()))?;
        Ok(Self { dir })
    }

    /// The directory of the root cgroup: what a tracer of the whole lab is given.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes the cgroups of a pod with one container.
    pub fn pod(&self, spec: PodSpec<'_>) -> Result<PodCgroup> {
        let uid = uid(spec.name);
        let qos = match spec.qos {
            Qos::Guaranteed => "",
            Qos::Burstable => "burstable",
            Qos::BestEffort => "besteffort",
        };
        let container = hex::<4>(spec.name, "container");
        let dir = self.dir.join("kubepods").join(qos).join(format!("pod{uid}")).join(container);
        fs::create_dir_all(&dir).with_context(|| format!("make the cgroup {}", dir.display()))?;
        Ok(PodCgroup { uid, dir })
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.dir) {
            eprintln!("tracer-lab: {error:#}");
        }
    }
}

/// The cgroup of a pod's only container.
#[derive(Clone, Debug)]
pub struct PodCgroup {
    /// The pod's UID, as in `pod<uid>` of the path.
    pub uid: String,
    /// The container's cgroup directory.
    pub dir: PathBuf,
}

impl PodCgroup {
    /// The cgroup of another container of the pod, made when it is not there.
    pub fn container(&self, name: &str) -> Result<Self> {
        let dir = self.dir.with_file_name(hex::<4>(&self.uid, name));
        fs::create_dir_all(&dir).with_context(|| format!("make the cgroup {}", dir.display()))?;
        Ok(Self { uid: self.uid.clone(), dir })
    }

    /// A command that enters the cgroup before the program starts, so that the program's sockets belong
    /// to it. The program dies with the thread that starts it.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = self.entered();
        command.arg(program);
        command
    }

    /// The part of [`PodCgroup::command`] before the program's name.
    pub(super) fn entered(&self) -> Command {
        let mut command = Command::new("sh");
        let script = r#"echo $$ > "$0/cgroup.procs" && exec setpriv --pdeathsig KILL -- "$@""#;
        command.arg("-c").arg(script).arg(&self.dir);
        command
    }
}

/// Kills every process in the cgroup `dir` and below, by id, and removes the cgroups.
pub fn remove(dir: &Path) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    while dir.exists() {
        ensure!(Instant::now() < deadline, "cannot remove the cgroup {}: it stays busy", dir.display());
        if remove_once(dir).is_err() {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    Ok(())
}

fn remove_once(dir: &Path) -> Result<()> {
    for entry in fs::read_dir(dir)?.flatten() {
        if entry.file_type()?.is_dir() {
            remove_once(&entry.path())?;
        }
    }
    let pids = fs::read_to_string(dir.join("cgroup.procs"))?;
    if !pids.is_empty() {
        Command::new("kill").arg("-KILL").args(pids.split_whitespace()).status()?;
    }
    fs::remove_dir(dir)?;
    Ok(())
}

/// A UID in the form Kubernetes writes them, the same for the same pod name.
fn uid(name: &str) -> String {
    let digits = hex::<2>(name, "uid");
    let parts = [&digits[..8], &digits[8..12], &digits[13..16], &digits[17..20], &digits[20..32]];
    format!("{}-{}-4{}-a{}-{}", parts[0], parts[1], parts[2], parts[3], parts[4])
}

/// `16 * WORDS` hexadecimal digits that look random and depend only on the arguments.
fn hex<const WORDS: u64>(name: &str, purpose: &str) -> String {
    let seed = purpose.bytes().chain(name.bytes()).fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let words = (0..WORDS).map(|word| format!("{:016x}", mix(seed.wrapping_add(word))));
    words.collect::<Vec<_>>().concat()
}

#[cfg(test)]
mod tests {
    use super::{hex, uid};

    #[test]
    fn names_look_like_kubelets() {
        let uid = uid("backend");
        assert_eq!(uid.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
        assert_eq!(hex::<4>("backend", "container").len(), 64);
        assert_ne!(uid, super::uid("client"));
    }
}
