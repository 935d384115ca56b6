//! kubectl, for its `kustomize`, and the schemas of the Kubernetes API.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};

use super::python::{Packages, says};
use super::release::Suite;
use crate::run;
use crate::workspace::Workspace;

/// The release whose kubectl is taken. That of Debian 12 has a kustomize from 2019, which knows no components.
const SUITE: &str = "trixie";
/// What `xtask/src/manifests/requirements.txt` pins.
const SCHEMAS: &str = "1.37.0";

/// Programs for the manifests.
pub(crate) struct Tools {
    /// kubectl, of one release whatever the machine has.
    pub(crate) kubectl: PathBuf,
    /// A Python with the packages kubernetes-validate, jsonschema and yaml.
    pub(crate) python: PathBuf,
}

/// Fetches both into the cache, unless they are there.
pub(super) fn install(workspace: &Workspace) -> Result<Tools> {
    let python = workspace.cache.join(format!("kubernetes-validate-{SCHEMAS}"));
    let tools = Tools { kubectl: kubectl(workspace)?, python: python.join("bin/python") };
    let version = "import kubernetes_validate as k; print(k.__version__)";
    if says(&tools.python, version).as_deref() != Some(SCHEMAS) {
        let packages = Packages {
            name: &format!("kubernetes-validate {SCHEMAS}"),
            log: "kubernetes-validate",
            requirements: "xtask/src/manifests/requirements.txt",
            pip: &["install"],
        };
        packages.fetch(workspace, &python)?;
    }
    Ok(tools)
}

/// Fetches kubectl into the cache, unless it is there.
pub(super) fn kubectl(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.cache.join(format!("kubectl-{SUITE}"));
    let program = folder.join("usr/bin/kubectl");
    if !works(&program) {
        Suite::fetch(workspace, SUITE)?.unpack(&["kubectl".to_owned()], &folder)?;
        ensure!(works(&program), "{} does not run on this machine", program.display());
    }
    Ok(program)
}

fn works(kubectl: &Path) -> bool {
    run::output(Command::new(kubectl).args(["version", "--client"]), "trying kubectl").is_ok()
}
