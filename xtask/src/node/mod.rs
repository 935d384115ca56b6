//! `cargo xtask node`: the image and the manifests on a node with a real container runtime, in a VM.
//!
//! containerd, runc, the CNI plugins and systemd are Debian's. `tracer-lab node` is the kubelet: it starts the agent by
//! the container runtime interface as `manifests` says, and pods beside it. Emulated on two busy cores, 200 pods take a quarter
//! of an hour for each driver.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::{Args, ValueEnum};

use crate::kernels::CPU_SAFE;
use crate::run;
use crate::setup::{self, debian};
use crate::vm::{Accelerator, Image, Kernel, Machine, STEP, cpio::Archive, kernel};
use crate::workspace::{Workspace, create_folder};
use crate::{image, manifests};

mod report;
mod root;

use report::Outcome;

/// The release whose kernel, systemd and container runtime are taken.
const SUITE: &str = "trixie";
const KERNEL: Kernel =
    Kernel { name: "node-6.12", suite: SUITE, cpu: CPU_SAFE, modules: &["veth", "bridge", "overlay"] };
/// In MiB: the root file system and the images are in it.
const MEMORY: u32 = 4096;
/// Besides the minutes of churn, what a node takes at most in an emulated machine, and a pod.
const LIMIT: Duration = Duration::from_mins(15);
const POD: Duration = Duration::from_secs(10);
/// Programs at the same addresses each time they start: QEMU, when it emulates, keeps what it has translated of them.
const QUICK: &str = "norandmaps mitigations=off";
const INIT: &str = include_str!("init.sh");
const SCRIPT: &str = include_str!("node.sh");
const SERVICE: &str = include_str!("node.service");

/// Which nodes, and for how long.
#[derive(Args)]
pub(crate) struct Options {
    /// Who makes the cgroups of containers, each on a node of its own
    #[arg(long, value_enum, value_delimiter = ',', value_name = "DRIVER,…", default_values_t = Driver::ALL)]
    drivers: Vec<Driver>,
    /// Minutes for which pods come and go
    #[arg(long, default_value_t = 5)]
    minutes: u64,
    /// How many do
    #[arg(long, default_value_t = 200)]
    pods: u64,
    /// Look for newer versions of what is in the cache
    #[arg(long)]
    refresh: bool,
}

/// Who makes the cgroups of containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Driver {
    /// The runtime itself
    Cgroupfs,
    /// systemd, asked by the runtime
    Systemd,
}

impl Driver {
    const ALL: [Self; 2] = [Self::Cgroupfs, Self::Systemd];

    fn name(self) -> &'static str {
        match self {
            Self::Cgroupfs => "cgroupfs",
            Self::Systemd => "systemd",
        }
    }

    /// The kustomization for such nodes.
    fn kustomization(self) -> &'static str {
        match self {
            Self::Cgroupfs => "overlays/containerd-cgroupfs",
            Self::Systemd => "base",
        }
    }
}

/// What every node has.
struct Node<'a> {
    workspace: &'a Workspace,
    options: &'a Options,
    image: Image,
    accelerator: Accelerator,
    /// Files, by their path in the first file system.
    files: Vec<(&'static str, PathBuf)>,
}

/// Runs a node for each driver and reports on all.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    ensure!(cfg!(target_arch = "x86_64"), "the VM holds programs of this machine, which must be x86_64");
    setup::build(workspace)?;
    setup::tools(workspace, &[debian::KERNELS, debian::IMAGE])?;
    let node = Node::prepare(workspace, options)?;
    let outcomes: Result<Vec<Outcome>> = options.drivers.iter().map(|driver| node.boot(*driver)).collect();
    let outcomes = outcomes?;
    report::write(&workspace.target("node/summary.json"), node.accelerator, &outcomes)?;
    report::print(&outcomes);
    let wrong: Vec<_> = outcomes.iter().filter(|outcome| !outcome.is_ok()).map(Outcome::driver).collect();
    ensure!(wrong.is_empty(), "failed with: {}; the consoles are in target/node", wrong.join(", "));
    Ok(())
}

impl<'a> Node<'a> {
    fn prepare(workspace: &'a Workspace, options: &'a Options) -> Result<Self> {
        let folder = workspace.target("node");
        create_folder(&folder)?;
        image::tracer(workspace, &folder.join("agent"))?;
        let lab = image::lab(workspace, &folder.join("pods"))?;
        let image = kernel::fetch(workspace, &KERNEL, options.refresh)?;
        let files = vec![
            ("/bin/busybox", image.busybox.clone()),
            ("/root.tar", root::fetch(workspace, options.refresh)?),
            ("/lab/agent.tar", archived(&folder.join("agent"))?),
            ("/lab/pods.tar", archived(&folder.join("pods"))?),
            ("/lab/tracer-lab", lab),
        ];
        let accelerator = Accelerator::best(&image, folder.join("kvm.log"));
        Ok(Self { workspace, options, image, accelerator, files })
    }

    /// Boots a node and waits for its end.
    fn boot(&self, driver: Driver) -> Result<Outcome> {
        let name = driver.name();
        let objects = manifests::objects(self.workspace, driver.kustomization())?;
        let initramfs = self.workspace.target(&format!("node/{name}.cpio"));
        fs::write(&initramfs, self.archive(&serde_json::to_vec(&objects)?)?)
            .with_context(|| format!("writing {}", initramfs.display()))?;
        let Options { pods, minutes, .. } = self.options;
        let quick = if self.accelerator == Accelerator::Emulation { QUICK } else { "" };
        let machine = Machine {
            image: &self.image,
            cpu: KERNEL.cpu,
            accelerator: self.accelerator,
            memory: MEMORY,
            initramfs: Some(initramfs.clone()),
            console: self.workspace.target(&format!("node/{name}.log")),
            append: format!("{quick} systemd.unit=node.service driver={name} pods={pods} minutes={minutes}"),
            limit: LIMIT + Duration::from_mins(*minutes) + POD * u32::try_from(*pods)?,
        };
        let ended = machine.run(&format!("node with the {name} driver: running the manifests in a VM"))?;
        fs::remove_file(&initramfs).with_context(|| format!("removing {}", initramfs.display()))?;
        Ok(Outcome::new(name, ended))
    }

    fn archive(&self, objects: &[u8]) -> Result<Vec<u8>> {
        let mut archive = Archive::default();
        for folder in ["/bin", "/dev", "/lab", "/modules", "/new", "/proc"] {
            archive.folder(folder);
        }
        archive.program("/init", INIT.as_bytes());
        archive.file("/lab/node.sh", SCRIPT.as_bytes());
        archive.file("/lab/step.sh", STEP.as_bytes());
        archive.file("/lab/node.service", SERVICE.as_bytes());
        archive.file("/lab/objects.json", objects);
        let files = self.files.iter().map(|(path, source)| ((*path).to_owned(), source.clone()));
        for (path, source) in files.chain(self.image.module_files()) {
            let content = fs::read(&source).with_context(|| format!("reading {}", source.display()))?;
            archive.program(&path, &content);
        }
        Ok(archive.finish())
    }
}

/// A folder as an archive beside it.
fn archived(folder: &Path) -> Result<PathBuf> {
    let archive = folder.with_extension("tar");
    let mut tar = Command::new("tar");
    tar.arg("--create").arg("--file").arg(&archive).arg("--directory").arg(folder).arg(".");
    run::output(&mut tar, &format!("packing {}", folder.display()))?;
    Ok(archive)
}
