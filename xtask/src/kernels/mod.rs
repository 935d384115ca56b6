//! `cargo xtask kernels`: boots Debian kernels in QEMU and runs the live lab in each.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;

use crate::image::{self, Architecture};
use crate::run;
use crate::setup::{self, debian};
use crate::vm::{Accelerator, Kernel, Machine, kernel};
use crate::workspace::{Workspace, create_folder};

mod initramfs;
mod report;

use initramfs::Userland;
use report::Outcome;

/// Everything QEMU can emulate.
const CPU: &str = "max";
/// The same without CMPXCHG16B, whose emulation in QEMU 7.2 now and then leaves garbage in the flags: the
/// allocator of kernels before 7 uses it without a lock, and one boot in ten or so ends in a double fault.
pub(crate) const CPU_SAFE: &str = "max,-cx16";

/// Modules the lab's networks are made of.
const MODULES: &[&str] = &["veth", "bridge", "dummy", "sch_netem"];

/// The oldest supported one, those of the current Debian releases, and the newest there is.
const KERNELS: [Kernel; 4] = [
    Kernel { name: "5.10", suite: "bullseye", cpu: CPU_SAFE, modules: MODULES },
    Kernel { name: "6.1", suite: "bookworm", cpu: CPU_SAFE, modules: MODULES },
    Kernel { name: "6.12", suite: "trixie", cpu: CPU_SAFE, modules: MODULES },
    // Without CMPXCHG16B it gives BPF programs no socket storage (`kmalloc_nolock` needs it).
    Kernel { name: "newest", suite: "sid", cpu: CPU, modules: MODULES },
];

/// Which kernels, and how.
#[derive(Args)]
pub(crate) struct Options {
    /// Kernels to boot: 5.10, 6.1, 6.12, newest [default: all]
    kernels: Vec<String>,
    /// Requests of the demo in each VM
    #[arg(long, default_value_t = 30)]
    requests: u32,
    /// Seconds after which a VM is stopped
    #[arg(long, default_value_t = 600)]
    timeout: u64,
    /// Look for newer versions of kernels that are in the cache
    #[arg(long)]
    refresh: bool,
    /// Only boot and load the modules, without tracer
    #[arg(long)]
    boot_only: bool,
}

/// Boots the kernels one after the other and reports on all.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    ensure!(cfg!(target_arch = "x86_64"), "the VMs hold programs of this machine, which must be x86_64");
    let kernels = selected(&options.kernels)?;
    setup::tools(workspace, &[debian::LAB, debian::KERNELS])?;
    let binaries = if options.boot_only { Vec::new() } else { build_static(workspace)? };
    let userland = Userland::collect(&binaries)?;
    create_folder(&workspace.target("kernels"))?;
    let mut outcomes = Vec::new();
    for kernel in kernels {
        outcomes.push(boot(workspace, options, kernel, &userland).unwrap_or_else(|error| {
            run::say(format_args!("kernel {}: {error:#}", kernel.name));
            Outcome::broken(kernel.name, &error)
        }));
    }
    report::write(&workspace.target("kernels/summary.json"), &outcomes)?;
    report::print(&outcomes);
    let wrong: Vec<_> =
        outcomes.iter().filter(|outcome| !outcome.is_ok()).map(|outcome| outcome.kernel).collect();
    ensure!(wrong.is_empty(), "failed on: {}; the consoles are in target/kernels", wrong.join(", "));
    Ok(())
}

fn selected(names: &[String]) -> Result<Vec<&'static Kernel>> {
    let known = || KERNELS.iter().map(|kernel| kernel.name).collect::<Vec<_>>().join(", ");
    if let Some(unknown) =
        names.iter().find(|name| !KERNELS.iter().any(|kernel| kernel.name == name.as_str()))
    {
        bail!("there is no kernel {unknown} here; known are {}", known());
    }
    Ok(KERNELS
        .iter()
        .filter(|kernel| names.is_empty() || names.iter().any(|name| name == kernel.name))
        .collect())
}

fn boot(workspace: &Workspace, options: &Options, kernel: &Kernel, userland: &Userland) -> Result<Outcome> {
    let image = kernel::fetch(workspace, kernel, options.refresh)?;
    let initramfs = workspace.target(&format!("kernels/{}.cpio", kernel.name));
    let archive = userland.archive(&image)?;
    fs::write(&initramfs, archive).with_context(|| format!("writing {}", initramfs.display()))?;
    let vm = Machine {
        image: &image,
        cpu: kernel.cpu,
        // The same everywhere.
        accelerator: Accelerator::Emulation,
        memory: 1024,
        initramfs: Some(initramfs),
        console: workspace.target(&format!("kernels/{}.log", kernel.name)),
        append: format!("requests={}", options.requests),
        limit: Duration::from_secs(options.timeout),
    };
    let ended = vm.run(&format!("kernel {}: running the lab in a VM", kernel.name))?;
    Ok(Outcome::new(kernel.name, ended, options.boot_only))
}

/// Programs in the VM must not need this machine's C library.
fn build_static(workspace: &Workspace) -> Result<Vec<PathBuf>> {
    setup::build(workspace)?;
    let build = |package| image::build::build(workspace, Architecture::X86, package, "");
    Ok(vec![build("tracer")?, build("tracer-lab")?])
}

#[cfg(test)]
mod tests {
    use super::selected;

    #[test]
    fn kernels_are_chosen_by_name() {
        assert_eq!(selected(&[]).unwrap().len(), 4);
        assert_eq!(selected(&["6.1".to_owned()]).unwrap()[0].suite, "bookworm");
        assert!(selected(&["2.6".to_owned()]).is_err());
    }
}
