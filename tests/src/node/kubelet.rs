//! What the kubelet does for a pod, by the container runtime interface.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;

use super::config::{Identity, container_config, sandbox_config};
use super::cri::{ContainerStatus, Runtime};
use super::manifest::{Class, Manifest, PodSpec, Volume};
use crate::process::run;

/// Where the kubelet keeps volumes.
const VOLUMES: &str = "/var/lib/kubelet/pods";
/// Where the whole cgroup tree is.
const CGROUPS: &str = "/sys/fs/cgroup";

/// Who makes the cgroups of containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Driver {
    /// The runtime itself
    Cgroupfs,
    /// systemd, asked by the runtime
    Systemd,
}

/// The kubelet of this node.
pub(super) struct Kubelet {
    pub(super) runtime: Runtime,
    pub(super) driver: Driver,
    pub(super) manifest: Manifest,
}

/// A pod that runs.
pub(super) struct Pod {
    pub(super) identity: Identity,
    pub(super) address: IpAddr,
    /// The first container's id.
    pub(super) container: String,
    sandbox: String,
    cgroup: String,
    grace: u64,
}

impl Kubelet {
    /// Starts a pod and its containers.
    pub(super) fn run(&self, identity: Identity, spec: &PodSpec) -> Result<Pod> {
        let started = self.start(&identity, spec);
        let (sandbox, container, address, cgroup) = started.with_context(|| identity.to_string())?;
        let grace = spec.termination_grace_period_seconds.unwrap_or(0);
        Ok(Pod { identity, address, container, sandbox, cgroup, grace })
    }

    fn start(&self, identity: &Identity, spec: &PodSpec) -> Result<(String, String, IpAddr, String)> {
        let cgroup = self.driver.parent(spec.class(), &identity.uid);
        if self.driver == Driver::Cgroupfs {
            let path = format!("{CGROUPS}{cgroup}");
            fs::create_dir_all(&path).with_context(|| format!("make {path}"))?;
        }
        let config = sandbox_config(identity, &cgroup);
        let sandbox = self.runtime.run_sandbox(&config)?;
        let mut first = None;
        for container in &spec.containers {
            let sources = self.sources(identity, spec)?;
            let container_config = container_config(identity, container, &sources)?;
            let id = self.runtime.start_container(&sandbox, &container_config, &config)?;
            first.get_or_insert(id);
        }
        let address = self.runtime.address(&sandbox)?;
        let address = address.parse().with_context(|| format!("not an address: {address:?}"))?;
        Ok((sandbox, first.context("a pod without containers")?, address, cgroup))
    }

    /// The folder of the node behind each volume.
    fn sources(&self, identity: &Identity, spec: &PodSpec) -> Result<Vec<(String, PathBuf)>> {
        let source = |volume: &Volume| Ok((volume.name.clone(), self.source(identity, volume)?));
        spec.volumes.iter().map(source).collect()
    }

    fn source(&self, identity: &Identity, volume: &Volume) -> Result<PathBuf> {
        if let Some(host) = &volume.host_path {
            let path = Path::new(&host.path);
            ensure!(host.kind.as_deref() == Some("Directory"), "a hostPath of type {:?}", host.kind);
            ensure!(path.is_dir(), "{} is not a folder of the node", host.path);
            return Ok(path.to_owned());
        }
        let Some(config) = &volume.config_map else { bail!("a volume of unknown kind: {volume:?}") };
        let folder = Path::new(VOLUMES).join(&identity.uid).join(&volume.name);
        fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
        for (name, content) in self.manifest.config(&config.name)? {
            fs::write(folder.join(&name), content).with_context(|| format!("write {name}"))?;
        }
        Ok(folder)
    }

    /// What became of a pod's first container.
    pub(super) fn status(&self, pod: &Pod) -> Result<ContainerStatus> {
        self.runtime.container(&pod.container).with_context(|| pod.identity.to_string())
    }

    /// Ends a pod and removes it with its cgroup.
    pub(super) fn remove(&self, pod: &Pod) -> Result<()> {
        self.end(pod).with_context(|| format!("remove {}", pod.identity))
    }

    fn end(&self, pod: &Pod) -> Result<()> {
        if pod.grace > 0 {
            self.runtime.stop_container(&pod.container, pod.grace)?;
        }
        self.runtime.remove_sandbox(&pod.sandbox)?;
        let path = format!("{CGROUPS}{}", pod.cgroup);
        match self.driver {
            Driver::Cgroupfs => fs::remove_dir(&path).with_context(|| format!("remove {path}")),
            Driver::Systemd => {
                let slice = pod.cgroup.rsplit('/').next().unwrap_or_default();
                run(Command::new("systemctl").args(["stop", slice])).map(drop)
            }
        }
    }
}

impl Driver {
    /// The parent of the cgroups of a pod's containers, as the kubelet writes it.
    fn parent(self, class: Class, uid: &str) -> String {
        match (self, class.level()) {
            (Self::Cgroupfs, None) => format!("/kubepods/pod{uid}"),
            (Self::Cgroupfs, Some(level)) => format!("/kubepods/{level}/pod{uid}"),
            (Self::Systemd, None) => {
                format!("/kubepods.slice/kubepods-pod{}.slice", uid.replace('-', "_"))
            }
            (Self::Systemd, Some(level)) => {
                let uid = uid.replace('-', "_");
                format!("/kubepods.slice/kubepods-{level}.slice/kubepods-{level}-pod{uid}.slice")
            }
        }
    }
}

impl Class {
    /// Its level of the path: guaranteed pods have none.
    fn level(self) -> Option<&'static str> {
        match self {
            Self::Guaranteed => None,
            Self::Burstable => Some("burstable"),
            Self::BestEffort => Some("besteffort"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Class, Driver};

    #[test]
    fn parents_are_those_of_kubelets() {
        let of = |driver: Driver, class| driver.parent(class, "aa-bb");
        assert_eq!(of(Driver::Cgroupfs, Class::Guaranteed), "/kubepods/podaa-bb");
        assert_eq!(of(Driver::Cgroupfs, Class::BestEffort), "/kubepods/besteffort/podaa-bb");
        assert_eq!(
            of(Driver::Systemd, Class::Burstable),
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podaa_bb.slice"
        );
    }
}
