//! bpf-linker, built against the LLVM of the pinned toolchain.
//!
//! It reads the bitcode that this rustc writes, so it must use the same LLVM. The toolchain ships
//! that library; linking against it spares every machine an LLVM of its own.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::debian;
use crate::run;
use crate::workspace::{Workspace, create_folder};

const VERSION: &str = "0.13.0";
/// The feature of bpf-linker that names the toolchain's LLVM version.
const LLVM_FEATURE: &str = "llvm-22";

/// Where the bpf-linker of this toolchain lives: a new pin of either makes a new folder.
pub(crate) fn folder(workspace: &Workspace) -> PathBuf {
    workspace.cache.join(format!("bpf-linker-{VERSION}-rust-{}", workspace.toolchain.channel))
}

/// Builds bpf-linker unless a working one is in the cache.
pub(super) fn install(workspace: &Workspace) -> Result<()> {
    let folder = folder(workspace);
    if works(&folder.join("bin/bpf-linker")) {
        return Ok(());
    }
    if !works(Path::new("c++")) {
        debian::install(workspace, debian::CXX).context("bpf-linker needs a C++ compiler to be built")?;
    }
    let libraries = sysroot(workspace)?.join("lib");
    let llvm = prepare_llvm(&folder.join("llvm"), &libraries)?;
    let what = format!("building bpf-linker {VERSION} (once, 2 to 3 minutes)");
    let log = workspace.log("bpf-linker")?;
    run::retry(&what, 3, || {
        run::logged(&mut cargo_install(workspace, &folder, &llvm, &libraries), &what, &log)
    })
    .context("bpf-linker links the BPF programs; it is fetched from crates.io")
}

fn works(binary: &Path) -> bool {
    run::output(Command::new(binary).arg("--version"), "asking for its version").is_ok()
}

fn sysroot(workspace: &Workspace) -> Result<PathBuf> {
    let mut command = workspace.tool("rustc");
    let path = run::output(command.args(["--print", "sysroot"]), "asking rustc for its folder")?;
    Ok(PathBuf::from(path.trim()))
}

/// An LLVM prefix as bpf-linker's build looks for it, whose library is the toolchain's own.
fn prepare_llvm(prefix: &Path, libraries: &Path) -> Result<PathBuf> {
    let library = fs::read_dir(libraries)
        .with_context(|| format!("listing {}", libraries.display()))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libLLVM.so.")))
        .with_context(|| format!("the toolchain has no libLLVM.so.* in {}", libraries.display()))?;
    let link = prefix.join("lib/libLLVM.so");
    create_folder(&prefix.join("lib"))?;
    if link.symlink_metadata().is_ok() {
        fs::remove_file(&link).with_context(|| format!("replacing {}", link.display()))?;
    }
    symlink(&library, &link).with_context(|| format!("linking {}", link.display()))?;
    Ok(prefix.to_path_buf())
}

fn cargo_install(workspace: &Workspace, folder: &Path, llvm: &Path, libraries: &Path) -> Command {
    let mut command =
        workspace.cargo(&["install", "bpf-linker", "--version", VERSION, "--locked", "--force"]);
    command
        .args(["--no-default-features", "--features", LLVM_FEATURE, "--root"])
        .arg(folder)
        .env("LLVM_PREFIX", llvm)
        .env("RUSTFLAGS", format!("-C link-arg=-Wl,-rpath,{}", libraries.display()))
        .env("CARGO_TARGET_DIR", folder.join("build"));
    command
}
