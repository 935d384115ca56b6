//! Brings what the commands need: the toolchain, bpf-linker, cargo-deny, Debian packages, an older AWS SDK, kubectl.
//!
//! Each part looks first and does nothing when its tool is there, so that every command can ask
//! for what it needs each time it runs.

use std::fs::File;

use anyhow::{Context as _, Result};

use crate::run::say;
use crate::workspace::{Workspace, create_folder};

pub(crate) mod apiserver;
pub(crate) mod aws_sdk;
mod collector;
pub(crate) mod debian;
pub(crate) mod deny;
pub(crate) mod kubernetes;
pub(crate) mod linker;
mod python;
pub(crate) mod release;
mod toolchain;

/// `cargo xtask setup`: everything any command needs.
pub(crate) fn everything(workspace: &Workspace) -> Result<()> {
    build(workspace)?;
    tools(workspace, &[debian::LAB, debian::INCIDENTS, debian::KERNELS, debian::IMAGE, debian::CXX])?;
    with_lock(workspace, aws_sdk::install)?;
    with_lock(workspace, collector::install)?;
    manifests(workspace)?;
    with_lock(workspace, deny::install)?;
    say("set-up is complete");
    Ok(())
}

/// What building tracer needs: the pinned toolchain and bpf-linker.
pub(crate) fn build(workspace: &Workspace) -> Result<()> {
    with_lock(workspace, |workspace| {
        toolchain::install(workspace)?;
        linker::install(workspace)
    })
}

/// Debian packages, as groups of [`debian`].
pub(crate) fn tools(workspace: &Workspace, groups: &[&[&str]]) -> Result<()> {
    with_lock(workspace, |workspace| debian::install(workspace, &groups.concat()))
}

/// What the labs of the incidents need, and the Python with the older AWS SDK among it.
pub(crate) fn incidents(workspace: &Workspace) -> Result<std::path::PathBuf> {
    tools(workspace, &[debian::LAB, debian::INCIDENTS])?;
    with_lock(workspace, aws_sdk::install)?;
    Ok(aws_sdk::python(workspace))
}

/// The OpenTelemetry collector of the scenario tests.
pub(crate) fn collector(workspace: &Workspace) -> Result<std::path::PathBuf> {
    with_lock(workspace, collector::install)?;
    Ok(collector::program(workspace))
}

/// What checks the Kubernetes manifests: Debian packages, kubectl, the API's schemas.
pub(crate) fn manifests(workspace: &Workspace) -> Result<kubernetes::Tools> {
    tools(workspace, &[debian::MANIFESTS])?;
    with_lock(workspace, kubernetes::install)
}

/// An API server of Kubernetes, with its etcd and kubectl.
pub(crate) fn apiserver(workspace: &Workspace) -> Result<apiserver::Programs> {
    tools(workspace, &[debian::LAB, debian::APISERVER])?;
    with_lock(workspace, apiserver::install)
}

/// cargo-deny.
pub(crate) fn cargo_deny(workspace: &Workspace) -> Result<()> {
    with_lock(workspace, deny::install)
}

/// Two set-ups at the same time would build the same tool into the same place.
fn with_lock<T>(workspace: &Workspace, step: impl FnOnce(&Workspace) -> Result<T>) -> Result<T> {
    create_folder(&workspace.cache)?;
    let path = workspace.cache.join("setup.lock");
    let lock = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
    if lock.try_lock().is_err() {
        say(format_args!("waiting for another set-up to finish (lock: {})", path.display()));
        lock.lock().with_context(|| format!("locking {}", path.display()))?;
    }
    step(workspace)
}
