//! A real containerd with a real runc and real CNI plugins, as Debian packages them.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::cri::Runtime;
use super::kubelet::Driver;
use crate::process::{Running, run};

/// Where kubelets and tracers look for it.
const SOCKET: &str = "/run/containerd/containerd.sock";
const CONFIG: &str = "/etc/containerd/config.toml";
const NETWORKS: &str = "/etc/cni/net.d";
/// What it says while it runs.
pub(super) const LOG: &str = "/var/log/containerd.log";
/// Longer than it takes to start in an emulated machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running containerd. Dropping it ends it; what it started goes on.
pub(super) struct Containerd {
    _running: Running,
}

impl Containerd {
    /// Starts it for a cgroup driver, with the image that sandboxes are made of.
    pub(super) fn start(driver: Driver, sandbox_image: &str) -> Result<(Self, Runtime)> {
        write(CONFIG, &config(driver, sandbox_image))?;
        write(&format!("{NETWORKS}/10-lab.conflist"), &network())?;
        let log = File::create(LOG).with_context(|| format!("create {LOG}"))?;
        let mut command = Command::new("containerd");
        command.arg("--config").arg(CONFIG).stdout(log.try_clone()?).stderr(log);
        let mut running = Running::spawn("containerd", &mut command)?;
        let deadline = Instant::now() + PATIENCE;
        let runtime = loop {
            running.still_runs()?;
            match Runtime::connect(Path::new(SOCKET)).and_then(|runtime| runtime.version().map(|_| runtime)) {
                Ok(runtime) => break runtime,
                Err(error) => {
                    ensure!(Instant::now() < deadline, "containerd: not after {PATIENCE:?}: {error:#}");
                }
            }
            std::thread::sleep(Duration::from_millis(100));
        };
        Ok((Self { _running: running }, runtime))
    }

    /// Makes an image known to it under a name, from an archive of an OCI layout.
    pub(super) fn import(archive: &Path, name: &str) -> Result<()> {
        let mut ctr = Command::new("ctr");
        ctr.args(["--namespace", "k8s.io", "images", "import", "--index-name", name]).arg(archive);
        run(&mut ctr).map(drop)
    }
}

fn config(driver: Driver, sandbox_image: &str) -> String {
    let cri = "plugins.\"io.containerd.grpc.v1.cri\"";
    format!(
        "version = 2\n\
         [{cri}]\nsandbox_image = \"{sandbox_image}\"\n\
         [{cri}.cni]\nbin_dir = \"/usr/lib/cni\"\nconf_dir = \"{NETWORKS}\"\n\
         [{cri}.containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\n\
         [{cri}.containerd.runtimes.runc.options]\nSystemdCgroup = {}\n",
        driver == Driver::Systemd
    )
}

/// A bridge with addresses by the node, as many clusters have it.
fn network() -> String {
    let ranges = json!([[{ "subnet": "10.88.0.0/16" }]]);
    let ipam = json!({ "type": "host-local", "ranges": ranges, "routes": [{ "dst": "0.0.0.0/0" }] });
    let bridge =
        json!({ "type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "ipam": ipam });
    json!({ "cniVersion": "1.0.0", "name": "lab", "plugins": [bridge] }).to_string()
}

fn write(path: &str, text: &str) -> Result<()> {
    let path = Path::new(path);
    let folder = path.parent().context("a file without a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    fs::write(path, text).with_context(|| format!("write {}", path.display()))
}
