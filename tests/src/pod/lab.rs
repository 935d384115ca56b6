//! A lab: its name, its cgroups, its network, its directory and its pods.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};

use super::cgroup::{PodCgroup, PodSpec, Tree};
use super::network::{Addresses, Namespace, Node};
use super::sweep;
use crate::process::Running;

/// Held by each lab: labs side by side would only measure each other.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A machine's worth of pods. Dropping it ends their processes and removes everything it made.
/// A process has one lab at a time; the next [`Lab::new`] waits.
pub struct Lab {
    id: String,
    // Dropped in this order: processes first, then what they used.
    tree: Tree,
    node: Node,
    dir: Directory,
    pods: u8,
    _turn: MutexGuard<'static, ()>,
}

impl Lab {
    /// Makes an empty lab, after sweeping what killed labs left. Needs root.
    pub fn new() -> Result<Self> {
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        sweep::sweep();
        let id = sweep::fresh_name();
        let tree = Tree::create(&id)?;
        let node = Node::create(&id)?;
        let dir = Directory::create(&id)?;
        Ok(Self { id, tree, node, dir, pods: 0, _turn: turn })
    }

    /// The root cgroup of all pods: what the tracer is given.
    #[must_use]
    pub fn cgroup(&self) -> &Path {
        self.tree.dir()
    }

    /// The namespace of the node, in which a node agent runs.
    #[must_use]
    pub fn node(&self) -> &Namespace {
        self.node.namespace()
    }

    /// A directory for the lab's logs and configuration, removed with the lab.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir.0
    }

    /// Makes a pod.
    pub fn pod(&mut self, spec: PodSpec<'_>) -> Result<Pod> {
        self.pods += 1;
        let number = self.pods;
        let cgroup = self.tree.pod(spec)?;
        let name = format!("{}.{}", self.id, spec.name);
        let (namespace, addresses) = self.node.connect(name, number)?;
        Ok(Pod { cgroup, namespace, addresses, number })
    }

    /// Nobody is there; after [`Lab::add_silence`], nobody says so either.
    pub const SILENCE: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 250);

    /// Has packets to [`Lab::SILENCE`] vanish without a word.
    pub fn add_silence(&self) -> Result<()> {
        self.node.namespace().ip(&format!("route add blackhole {}\n", Self::SILENCE))
    }

    /// Has a pod be gone without a word, as when its node loses power: packets to it vanish, and none of its
    /// own leaves.
    pub fn vanish(&self, pod: &Pod) -> Result<()> {
        self.node.vanish(pod.number)
    }

    /// Has a pod be there again after [`Lab::vanish`].
    pub fn reappear(&self, pod: &Pod) -> Result<()> {
        self.node.reappear(pod.number)
    }

    /// Has a pod be far away: what it sends over IPv4 arrives `delay` later, as long as what this returns runs.
    /// `program` is `tracer-lab`.
    pub fn move_away(&self, pod: &Pod, delay: Duration, program: &Path) -> Result<Running> {
        let device = self.node.detour(pod.number)?;
        let mut command = self.node.namespace().command(&program.to_string_lossy());
        command.args(["long-way", "--delay", &delay.as_millis().to_string()]).stdin(device);
        Running::spawn("the long way", &mut command)
    }

    /// Gives a pod one more address, such as that of a metadata service.
    pub fn add_address(&self, pod: &Pod, address: IpAddr) -> Result<()> {
        self.node.add_address(&pod.namespace, pod.number, address)
    }
}

/// One pod: its cgroup and its network namespace.
pub struct Pod {
    cgroup: PodCgroup,
    namespace: Namespace,
    addresses: Addresses,
    number: u8,
}

impl Pod {
    /// The UID in its cgroup's path.
    #[must_use]
    pub fn uid(&self) -> &str {
        &self.cgroup.uid
    }

    /// The container's cgroup directory.
    #[must_use]
    pub fn cgroup(&self) -> &Path {
        &self.cgroup.dir
    }

    /// Its network namespace.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Its addresses.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// A command inside the pod: in its cgroup from before the program's first socket, in its network
    /// namespace, with its resolv.conf. The program dies with the thread that starts it.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        self.command_of(&self.cgroup, program)
    }

    /// The same in another container of the pod.
    pub fn container_command(&self, container: &str, program: &str) -> Result<Command> {
        Ok(self.command_of(&self.cgroup.container(container)?, program))
    }

    fn command_of(&self, cgroup: &PodCgroup, program: &str) -> Command {
        let mut command = cgroup.entered();
        command.args(["ip", "netns", "exec", self.namespace.name(), program]);
        command
    }
}

/// The lab's directory below the system's directory for temporary files.
struct Directory(PathBuf);

impl Directory {
    fn create(id: &str) -> Result<Self> {
        let dir = std::env::temp_dir().join(id);
        fs::create_dir(&dir).with_context(|| format!("make the directory {}", dir.display()))?;
        Ok(Self(dir))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if let Err(error) = sweep::remove_directory(&self.0) {
            eprintln!("tracer-lab: {error:#}");
        }
    }
}
