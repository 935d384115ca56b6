//! One VM: QEMU with a time limit.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::console::{self, Step};
use super::kernel::Image;
use crate::run::{self, say};

/// How long a kernel may take to start with the CPU's help, when that is tried.
const TRIAL: Duration = Duration::from_secs(15);

/// What runs the VM's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accelerator {
    /// The CPU.
    Kvm,
    /// QEMU, which runs anywhere, some ten times slower.
    Emulation,
}

/// How to run it.
pub(crate) struct Machine<'a> {
    /// What it boots.
    pub(crate) image: &'a Image,
    /// QEMU's model of the CPU, when it emulates one.
    pub(crate) cpu: &'static str,
    /// What runs it.
    pub(crate) accelerator: Accelerator,
    /// Its memory in MiB.
    pub(crate) memory: u32,
    /// Its first file system.
    pub(crate) initramfs: Option<PathBuf>,
    /// File for what the VM prints.
    pub(crate) console: PathBuf,
    /// What the kernel's command line says besides; what the kernel does not know, its init gets as environment.
    pub(crate) append: String,
    /// When it is stopped.
    pub(crate) limit: Duration,
}

/// What came of it.
pub(crate) struct Ended {
    /// What its init ran.
    pub(crate) steps: Vec<Step>,
    /// How long it took.
    pub(crate) took: Duration,
    /// Why the VM itself failed, if it did.
    pub(crate) error: Option<String>,
}

impl Machine<'_> {
    /// Boots, waits for the VM to power off, and reads its console.
    pub(crate) fn run(&self, what: &str) -> Result<Ended> {
        let started = Instant::now();
        let error = run::logged_within(&mut self.command(), what, &self.console, self.limit).err();
        let text = read_lossy(&self.console)?;
        let error = error.map(|error| format!("{error:#}"));
        Ok(Ended { steps: console::parse(&text), took: started.elapsed(), error })
    }

    fn command(&self) -> Command {
        let (accelerator, cpu) = match self.accelerator {
            Accelerator::Kvm => ("kvm", "host"),
            Accelerator::Emulation => ("tcg", self.cpu),
        };
        let mut command = Command::new("qemu-system-x86_64");
        command
            .args(["-accel", accelerator, "-cpu", cpu, "-m", &self.memory.to_string(), "-smp", "2"])
            .args(["-no-reboot", "-nodefaults", "-display", "none", "-monitor", "none", "-serial", "stdio"])
            .arg("-kernel")
            .arg(&self.image.kernel);
        if let Some(initramfs) = &self.initramfs {
            command.arg("-initrd").arg(initramfs);
        }
        command.arg("-append").arg(format!("console=ttyS0 quiet panic=-1 {}", self.append));
        command
    }
}

impl Accelerator {
    /// The CPU where it can run this kernel. That `/dev/kvm` exists says little in a machine that is itself virtual, so
    /// the kernel is tried: without a file system it panics, and QEMU ends.
    pub(crate) fn best(image: &Image, console: PathBuf) -> Self {
        let trial = Machine {
            image,
            cpu: "host",
            accelerator: Self::Kvm,
            memory: 512,
            initramfs: None,
            console,
            append: "loglevel=4".to_owned(),
            limit: TRIAL,
        };
        if !Path::new("/dev/kvm").exists() {
            return Self::Emulation;
        }
        match run::within(&mut trial.command(), &trial.console, trial.limit) {
            Ok(true) if read_lossy(&trial.console).is_ok_and(|said| said.contains("Kernel panic")) => {
                Self::Kvm
            }
            _ => {
                say("/dev/kvm does not start this kernel here: it is emulated");
                Self::Emulation
            }
        }
    }
}

fn read_lossy(path: &Path) -> Result<String> {
    let bytes = fs::read(path).with_context(|| format!("reading the console log {}", path.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
