//! The toolchain of `rust-toolchain.toml`, with its components and targets.

use std::process::Command;

use anyhow::{Context as _, Result};

use crate::run;
use crate::workspace::{Toolchain, Workspace};

/// Installs the pinned toolchain and what of it is missing.
pub(super) fn install(workspace: &Workspace) -> Result<()> {
    let pins = &workspace.toolchain;
    if is_complete(pins) {
        return Ok(());
    }
    let what = format!("installing Rust {} with {}", pins.channel, needs(pins).join(", "));
    let log = workspace.log("rustup")?;
    run::retry(&what, 5, || run::logged(&mut rustup_install(pins), &what, &log))
        .context("rustup (https://rustup.rs) must be installed and reach its server")
}

fn rustup_install(pins: &Toolchain) -> Command {
    let mut command = Command::new("rustup");
    command.args(["toolchain", "install", &pins.channel, "--profile", "minimal", "--no-self-update"]);
    for component in &pins.components {
        command.args(["--component", component]);
    }
    for target in &pins.targets {
        command.args(["--target", target]);
    }
    command
}

fn is_complete(pins: &Toolchain) -> bool {
    let mut list = Command::new("rustup");
    list.args(["component", "list", "--installed", "--toolchain", &pins.channel]);
    let Ok(installed) = run::output(&mut list, "listing the toolchain's components") else {
        return false;
    };
    needs(pins).iter().all(|need| installed.lines().any(|line| is_component(line, need)))
}

/// Everything beyond the compiler, as rustup's list of components names it.
fn needs(pins: &Toolchain) -> Vec<String> {
    let targets = pins.targets.iter().map(|target| format!("rust-std-{target}"));
    pins.components.iter().cloned().chain(targets).collect()
}

/// rustup lists a component with the host's triple at its end when it depends on the host.
fn is_component(listed: &str, need: &str) -> bool {
    listed.strip_prefix(need).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use super::is_component;

    #[test]
    fn components_are_listed_with_or_without_the_host() {
        assert!(is_component("rust-src", "rust-src"));
        assert!(is_component("clippy-x86_64-unknown-linux-gnu", "clippy"));
        assert!(!is_component("rust-std-x86_64-unknown-linux-gnu", "rust-std-x86_64-unknown-linux-musl"));
    }
}
