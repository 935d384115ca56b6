//! Static programs.

use std::path::PathBuf;

use anyhow::Result;

use super::Architecture;
use crate::run;
use crate::workspace::Workspace;

/// Builds a program of the workspace for an architecture, below `folder` of the target folder; where it is.
pub(crate) fn build(
    workspace: &Workspace,
    architecture: Architecture,
    package: &str,
    folder: &str,
) -> Result<PathBuf> {
    let what = format!("building {package} for {}", architecture.target());
    let log = workspace.log(&format!("image-{package}-{}", architecture.name()))?;
    let target = architecture.target();
    let arguments = ["build", "--release", "--locked", "-p", package, "--target", &target];
    let mut command = workspace.cargo(&arguments);
    command
        .env("CARGO_TARGET_DIR", workspace.target(folder))
        .env("CARGO_ENCODED_RUSTFLAGS", flags(workspace, architecture).join("\x1f"))
        // Some crates have C: on x86-64 Debian's musl-gcc is found without being told.
        .env("CC_aarch64_unknown_linux_musl", "aarch64-linux-gnu-gcc")
        .env("AR_aarch64_unknown_linux_musl", "aarch64-linux-gnu-ar");
    run::logged(&mut command, &what, &log)?;
    Ok(workspace.target(folder).join(target).join("release").join(package))
}

/// Without the folders of this machine, which would make the program differ from one built elsewhere.
fn flags(workspace: &Workspace, architecture: Architecture) -> Vec<String> {
    let mut flags = vec![format!("--remap-path-prefix={}=/tracer", workspace.root.display())];
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")));
    flags.extend(home.map(|home| format!("--remap-path-prefix={}=/cargo", home.display())));
    if architecture == Architecture::Arm {
        // The target brings its own start files and libraries, so the toolchain's linker is enough.
        flags.push("-Clinker=rust-lld".to_owned());
    }
    flags
}
