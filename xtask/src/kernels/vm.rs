//! One VM: QEMU without acceleration, so that it runs anywhere, with a time limit.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::console::{self, Step};
use super::image::Image;
use crate::run;

/// How to run it.
pub(super) struct Vm<'a> {
    pub(super) image: &'a Image,
    /// QEMU's model of the CPU.
    pub(super) cpu: &'static str,
    pub(super) initramfs: PathBuf,
    /// File for what the VM prints.
    pub(super) console: PathBuf,
    pub(super) requests: u32,
    pub(super) limit: Duration,
}

/// What came of it.
pub(super) struct Ended {
    pub(super) steps: Vec<Step>,
    pub(super) took: Duration,
    /// Why the VM itself failed, if it did.
    pub(super) error: Option<String>,
}

impl Vm<'_> {
    /// Boots, waits for the VM to power off, and reads its console.
    pub(super) fn run(&self, what: &str) -> Result<Ended> {
        let started = Instant::now();
        let error = run::logged_within(&mut self.command(), what, &self.console, self.limit).err();
        let text = read_lossy(&self.console)?;
        let error = error.map(|error| format!("{error:#}"));
        Ok(Ended { steps: console::parse(&text), took: started.elapsed(), error })
    }

    fn command(&self) -> Command {
        let mut command = Command::new("qemu-system-x86_64");
        command
            .args(["-accel", "tcg", "-cpu", self.cpu, "-m", "1024", "-smp", "2", "-no-reboot", "-nodefaults"])
            .args(["-display", "none", "-monitor", "none", "-serial", "stdio"])
            .arg("-kernel")
            .arg(&self.image.kernel)
            .arg("-initrd")
            .arg(&self.initramfs)
            // The kernel hands `requests=` to its init as an environment variable.
            .arg("-append")
            .arg(format!("console=ttyS0 quiet panic=-1 requests={}", self.requests));
        command
    }
}

fn read_lossy(path: &Path) -> Result<String> {
    let bytes = fs::read(path).with_context(|| format!("reading the console log {}", path.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
