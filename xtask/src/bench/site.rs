//! Where it is measured: a network namespace with nginx in one pod's cgroup and wrk in another's.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tracer_lab::pod::network::{Namespace, wait_for_listener};
use tracer_lab::pod::{PodCgroup, PodSpec, Qos, Tree, sweep};
use tracer_lab::process::Running;

use crate::workspace::Workspace;

/// nginx' port on the namespace's loopback.
const PORT: u16 = 8080;
/// Longer than any program here takes to start.
const PATIENCE: Duration = Duration::from_secs(20);

/// Dropping it ends the programs and removes what it made.
pub(super) struct Site {
    // Dropped in this order: processes first, then what they used.
    _nginx: Running,
    tree: Tree,
    namespace: Namespace,
    server: PodCgroup,
    client: PodCgroup,
    /// For logs.
    folder: PathBuf,
    /// The tracer program.
    pub(super) tracer: PathBuf,
}

impl Site {
    /// Makes the namespace and the cgroups, and starts nginx.
    pub(super) fn create(workspace: &Workspace, folder: &Path) -> Result<Self> {
        sweep::sweep();
        // The form of the lab's names: the lab sweeps what a killed benchmark leaves.
        let name = format!("tracer-lab-{}-bench", std::process::id());
        let tree = Tree::create(&name)?;
        let namespace = Namespace::create(name)?;
        let server = tree.pod(PodSpec { name: "nginx", qos: Qos::Guaranteed })?;
        let client = tree.pod(PodSpec { name: "wrk", qos: Qos::BestEffort })?;
        let nginx = start_nginx(&server, &namespace, folder)?;
        wait_for_listener(&namespace, PORT)?;
        let (folder, tracer) = (folder.to_path_buf(), workspace.target("release/tracer"));
        Ok(Self { _nginx: nginx, tree, namespace, server, client, folder, tracer })
    }

    /// The cgroup above both pods.
    pub(super) fn cgroup(&self) -> &Path {
        self.tree.dir()
    }

    /// The cgroup of nginx.
    pub(super) fn server_cgroup(&self) -> &Path {
        &self.server.dir
    }

    /// The namespace of all programs.
    pub(super) fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// What to request.
    pub(super) fn url() -> String {
        format!("http://127.0.0.1:{PORT}/")
    }

    /// A command in the client's pod.
    pub(super) fn client_command(&self, program: &str) -> Command {
        in_pod(&self.client, &self.namespace, program)
    }

    /// Starts a program outside the pods and waits until it says on stderr that it is ready.
    pub(super) fn start(&self, name: &str, command: &mut Command, ready: &str) -> Result<Running> {
        let log = self.folder.join(format!("{name}.log"));
        let file = File::create(&log).with_context(|| format!("creating {}", log.display()))?;
        let mut running = Running::spawn(name, command.stdout(Stdio::null()).stderr(file))?;
        let deadline = Instant::now() + PATIENCE;
        while !fs::read_to_string(&log).with_context(|| format!("reading {}", log.display()))?.contains(ready)
        {
            running.still_runs().with_context(|| format!("it said: {}", said(&log)))?;
            ensure!(
                Instant::now() < deadline,
                "{name} was not ready after {PATIENCE:?}; see {}",
                log.display()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(running)
    }

    /// Starts tcpdump as one would to see requests.
    pub(super) fn tcpdump(&self) -> Result<Running> {
        let mut command = self.namespace.command("tcpdump");
        command.args(["-i", "lo", "-w", "/dev/null", "-s", "128"]);
        self.start("tcpdump", &mut command, "listening on")
    }
}

/// What a program wrote before it ended.
fn said(log: &Path) -> String {
    fs::read_to_string(log).map_or_else(|error| error.to_string(), |text| text.trim().to_owned())
}

fn in_pod(pod: &PodCgroup, namespace: &Namespace, program: &str) -> Command {
    let mut command = pod.command("ip");
    command.args(["netns", "exec", namespace.name(), program]);
    command
}

fn start_nginx(pod: &PodCgroup, namespace: &Namespace, folder: &Path) -> Result<Running> {
    let file = folder.join("nginx.conf");
    fs::write(&file, configuration()).with_context(|| format!("writing {}", file.display()))?;
    let mut command = in_pod(pod, namespace, "nginx");
    command.arg("-c").arg(&file).arg("-p").arg(folder).args(["-e", "nginx.log"]);
    Running::spawn("nginx", &mut command)
}

/// One worker, no logs, an answer from memory: as many exchanges as a core can make. The worker is the only
/// process, so that ending it ends nginx.
fn configuration() -> String {
    format!(
        "daemon off;\nmaster_process off;\nworker_processes 1;\npid nginx.pid;\n\
         events {{ worker_connections 16384; }}\n\
         http {{\n  access_log off;\n  keepalive_requests 1000000000;\n  client_body_temp_path body;\n\
         \x20 server {{\n    listen 127.0.0.1:{PORT} backlog=16384;\n    location / {{ return 200 \"ok\\n\"; }}\n  }}\n}}\n"
    )
}
