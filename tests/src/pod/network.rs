//! The network of a lab: a node namespace that forwards, and a veth to each pod's namespace, without a
//! bridge: every pod has host addresses and a default route over a link-local gateway, as with Calico.

use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::tun;
use crate::process::{run, run_with_input};

/// Where `ip netns` keeps its namespaces.
const NAMESPACES: &str = "/run/netns";
/// Where `ip netns exec` looks for the files of a namespace.
const FILES: &str = "/etc/netns";

/// A named network namespace, deleted with its files when dropped.
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes the namespace with its loopback up. Needs root.
    pub fn create(name: String) -> Result<Self> {
        run(Command::new("ip").args(["netns", "add", &name]))
            .context("make a network namespace (needs root)")?;
        let made = Self { name };
        made.ip("link set lo up\n")?;
        Ok(made)
    }

    /// The name, as in `ip netns exec NAME`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs lines of `ip` commands in the namespace.
    pub fn ip(&self, lines: &str) -> Result<()> {
        run_with_input(Command::new("ip").args(["-n", &self.name, "-batch", "-"]), lines)
            .map(drop)
            .with_context(|| format!("configure the namespace {}: {lines}", self.name))
    }

    /// A command inside the namespace that keeps the caller's mounts and cgroup.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", "nsenter"]);
        command.arg(format!("--net={NAMESPACES}/{}", self.name)).arg(program);
        command
    }

    /// Writes `/etc/resolv.conf` as programs started by `ip netns exec` see it.
    pub fn write_resolv_conf(&self, text: &str) -> Result<()> {
        let dir = Path::new(FILES).join(&self.name);
        fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
        let file = dir.join("resolv.conf");
        fs::write(&file, text).with_context(|| format!("write {}", file.display()))
    }

    /// Runs `work` on a thread inside the namespace: sockets it opens belong there.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let path = PathBuf::from(NAMESPACES).join(&self.name);
        std::thread::scope(|scope| scope.spawn(|| set_namespace(&path).and_then(|()| work())).join())
            .map_err(|_| anyhow!("the thread in {} panicked", self.name))?
    }
}

/// Moves the calling thread into the network namespace at `path`.
fn set_namespace(path: &Path) -> Result<()> {
    let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
    // SAFETY: setns takes an open file descriptor and changes only the calling thread.
    if unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET) } != 0 {
        bail!("enter {}: {}", path.display(), std::io::Error::last_os_error());
    }
    Ok(())
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(error) = delete(&self.name) {
            eprintln!("tracer-lab: {error:#}");
        }
    }
}

/// Deletes a namespace and its files. Fails when the namespace is gone already.
pub fn delete(name: &str) -> Result<()> {
    let files = Path::new(FILES).join(name);
    if files.exists() {
        fs::remove_dir_all(&files).with_context(|| format!("remove {}", files.display()))?;
    }
    // Ours was the last entry more often than not; an administrator's entries keep the directory.
    let _kept = fs::remove_dir(FILES);
    run(Command::new("ip").args(["netns", "del", name])).map(drop)
}

/// The names of all network namespaces of this machine, and of leftover files of deleted ones.
#[must_use]
pub fn names() -> Vec<String> {
    [NAMESPACES, FILES]
        .iter()
        .filter_map(|dir| fs::read_dir(dir).ok())
        .flat_map(|entries| entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()))
        .collect()
}

/// Waits until a socket in the namespace listens on the port, TCP or UDP, without any traffic to it.
pub fn wait_for_listener(namespace: &Namespace, port: u16) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !namespace.enter(|| listens(port))? {
        ensure!(
            Instant::now() < deadline,
            "nothing listens on port {port} in {} after 10 s",
            namespace.name()
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Whether a socket in the calling thread's namespace listens on the port.
fn listens(port: u16) -> Result<bool> {
    for table in ["tcp", "tcp6", "udp", "udp6"] {
        let file = Path::new("/proc/thread-self/net").join(table);
        let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
        // The kernel's states: 0A is LISTEN, 07 is an unconnected UDP socket.
        let state = if table.starts_with("tcp") { "0A" } else { "07" };
        let mut sockets = text.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
        if sockets.any(|fields| fields[1].ends_with(&format!(":{port:04X}")) && fields[3] == state) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A version of the Internet Protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// The addresses of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// `10.244.0.N`
    pub v4: Ipv4Addr,
    /// `fd00:10:244::N`
    pub v6: Ipv6Addr,
}

impl Addresses {
    /// The one of that family.
    #[must_use]
    pub fn of_family(&self, family: Family) -> IpAddr {
        match family {
            Family::V4 => self.v4.into(),
            Family::V6 => self.v6.into(),
        }
    }

    /// The addresses of the lab's pod number `number`.
    #[must_use]
    pub fn of(number: u8) -> Self {
        let v6 = Ipv6Addr::new(0xfd00, 0x10, 0x244, 0, 0, 0, 0, number.into());
        Self { v4: Ipv4Addr::new(10, 244, 0, number), v6 }
    }
}

/// The node's namespace, which forwards between the pods.
pub struct Node {
    namespace: Namespace,
}

impl Node {
    /// Makes the node of the lab `lab`.
    pub fn create(lab: &str) -> Result<Self> {
        let namespace = Namespace::create(format!("{lab}.node"))?;
        namespace.enter(|| {
            for switch in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
                let file = Path::new("/proc/sys/net").join(switch);
                fs::write(&file, "1").with_context(|| format!("switch on {}", file.display()))?;
            }
            Ok(())
        })?;
        Ok(Self { namespace })
    }

    /// The node's own namespace: where a node agent runs.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Makes the namespace `name` and connects it as pod `number`.
    pub fn connect(&self, name: String, number: u8) -> Result<(Namespace, Addresses)> {
        let pod = Namespace::create(name)?;
        let Addresses { v4, v6 } = Addresses::of(number);
        self.namespace.ip(&format!("link add p{number} type veth peer name eth0 netns {}\n", pod.name()))?;
        pod.ip(&format!(
            "addr add {v4}/32 dev eth0\naddr add {v6}/128 dev eth0 nodad\nlink set eth0 up\n\
             route add 169.254.1.1 dev eth0 scope link\nroute add default via 169.254.1.1\n"
        ))?;
        self.namespace.ip(&format!(
            "addr add 169.254.1.1/32 dev p{number}\naddr add fe80::1/64 dev p{number} nodad\n\
             link set p{number} up\nroute add {v4} dev p{number}\nroute add {v6} dev p{number}\n"
        ))?;
        pod.ip("route add ::/0 via fe80::1 dev eth0\n")?;
        Ok((pod, Addresses { v4, v6 }))
    }

    /// Takes the pod's link down, and throws packets to it away instead of saying that there is no way.
    pub fn vanish(&self, number: u8) -> Result<()> {
        let address = Addresses::of(number).v4;
        self.namespace.ip(&format!("route replace blackhole {address}\nlink set p{number} down\n"))
    }

    /// The reverse of [`Node::vanish`], for IPv4.
    pub fn reappear(&self, number: u8) -> Result<()> {
        let address = Addresses::of(number).v4;
        self.namespace.ip(&format!(
            "link set p{number} up\nroute del blackhole {address}\nroute add {address} dev p{number}\n"
        ))
    }

    /// Leads what the pod `number` sends over IPv4 through a TUN device, and returns its file.
    pub fn detour(&self, number: u8) -> Result<File> {
        let (device, table) = (format!("way{number}"), 100 + u32::from(number));
        let file = self.namespace.enter(|| tun::create(&device))?;
        // Without addresses of its own, the device has nothing to say itself.
        self.namespace.ip(&format!(
            "link set {device} addrgenmode none\nlink set {device} up\nroute add default dev {device} table {table}\n\
             rule add iif p{number} lookup {table}\n"
        ))?;
        Ok(file)
    }

    /// Gives the pod `number` one more address, which all pods reach.
    pub fn add_address(&self, pod: &Namespace, number: u8, address: IpAddr) -> Result<()> {
        let alone = if address.is_ipv4() { "/32" } else { "/128" };
        let nodad = if address.is_ipv4() { "" } else { " nodad" };
        pod.ip(&format!("addr add {address}{alone} dev eth0{nodad}\n"))?;
        self.namespace.ip(&format!("route add {address} dev p{number}\n"))
    }
}
