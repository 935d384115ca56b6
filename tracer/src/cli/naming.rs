//! Flags of the commands that name pods.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::{ArgAction, Args, ValueEnum};
use kube::config::{Config, KubeConfigOptions, Kubeconfig};

use crate::pod::source::{Feed, Settings};

/// Where runtimes listen: containerd, CRI-O, the containerd of k3s.
const CRI_SOCKETS: [&str; 3] =
    ["/run/containerd/containerd.sock", "/run/crio/crio.sock", "/run/k3s/containerd/containerd.sock"];

/// Whether to ask the Kubernetes API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// In a pod, or with --kubeconfig
    Auto,
    /// Always; without access to an API server the command fails
    On,
    /// Never
    Off,
}

/// Where the names of pods come from.
#[derive(Debug, Args)]
pub(super) struct Naming {
    /// Socket of the container runtime, which names the pods, or "none"
    /// [default: that of containerd, CRI-O or k3s, whichever there is]
    #[arg(long, value_name = "PATH", env = "TRACER_CRI_SOCKET")]
    cri_socket: Option<PathBuf>,
    /// Ask the Kubernetes API for the names of pods
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = Mode::Auto, env = "TRACER_KUBERNETES")]
    kubernetes: Mode,
    /// File that says how to reach the Kubernetes API, when not running in a pod
    #[arg(long, value_name = "FILE", env = "TRACER_KUBECONFIG")]
    kubeconfig: Option<PathBuf>,
    /// Name services and pods that are called, too: the Kubernetes API is asked for all services and endpoint slices
    #[arg(
        long, value_name = "BOOL", env = "TRACER_PEER_NAMES", action = ArgAction::Set, num_args = 0..=1,
        require_equals = true, default_value_t = true, default_missing_value = "true", hide_possible_values = true
    )]
    peer_names: bool,
    /// Name of this node in Kubernetes [default: the host's name]
    #[arg(long, value_name = "NAME", env = "TRACER_NODE_NAME")]
    node_name: Option<String>,
}

impl Naming {
    /// Starts the sources of names, if there are any.
    pub(super) fn start(&self) -> anyhow::Result<Option<Feed>> {
        Feed::start(self.settings()?).context("cannot start the thread that names pods")
    }

    /// The name of this node, when it was given.
    pub(super) fn node_name(&self) -> Option<&str> {
        self.node_name.as_deref().filter(|name| !name.is_empty())
    }

    /// Which sources there are.
    pub(super) fn settings(&self) -> anyhow::Result<Settings> {
        Ok(Settings { cri: self.cri(), kubernetes: self.kubernetes()?, names_peers: self.peer_names })
    }

    fn cri(&self) -> Option<PathBuf> {
        match &self.cri_socket {
            Some(none) if none == Path::new("none") => None,
            Some(socket) => Some(socket.clone()),
            None => CRI_SOCKETS.iter().map(PathBuf::from).find(|socket| socket.exists()),
        }
    }

    fn kubernetes(&self) -> anyhow::Result<Option<(Config, String)>> {
        let in_pod = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
        let is_asked = match self.kubernetes {
            Mode::Auto => self.kubeconfig.is_some() || in_pod,
            Mode::On => true,
            Mode::Off => false,
        };
        if !is_asked {
            return Ok(None);
        }
        let access = self.access().and_then(|config| Ok((config, self.node()?)));
        match access.context("cannot find out how to reach the Kubernetes API") {
            Ok(found) => Ok(Some(found)),
            // The runtime may name pods as well, and tracing goes on without names.
            Err(error) if self.kubernetes == Mode::Auto && self.kubeconfig.is_none() => {
                tracing::warn!("{error:#}");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn access(&self) -> anyhow::Result<Config> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let Some(path) = &self.kubeconfig else { return Ok(runtime.block_on(Config::infer())?) };
        let file = Kubeconfig::read_from(path)?;
        Ok(runtime.block_on(Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()))?)
    }

    /// The kubelet's default: the host's name in small letters.
    fn node(&self) -> anyhow::Result<String> {
        if let Some(name) = self.node_name() {
            return Ok(name.to_owned());
        }
        let host = fs::read_to_string("/proc/sys/kernel/hostname");
        let host = host.context("cannot read this host's name: give the node's with --node-name")?;
        Ok(host.trim().to_ascii_lowercase())
    }
}
