//! kubectl, for its `kustomize`, and the schemas of the Kubernetes API.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::release::Suite;
use crate::run;
use crate::workspace::Workspace;

/// The release whose kubectl is taken. That of Debian 12 has a kustomize from 2019, which knows no components.
const SUITE: &str = "trixie";
/// What `xtask/src/manifests/requirements.txt` pins.
const SCHEMAS: &str = "1.37.0";
/// Debian's, for which Debian's module for environments is.
const PYTHON: &str = "/usr/bin/python3";

/// Programs for the manifests.
pub(crate) struct Tools {
    /// kubectl, of one release whatever the machine has.
    pub(crate) kubectl: PathBuf,
    /// A Python with the packages kubernetes-validate, jsonschema and yaml.
    pub(crate) python: PathBuf,
}

/// Fetches both into the cache, unless they are there.
pub(super) fn install(workspace: &Workspace) -> Result<Tools> {
    let kubectl = workspace.cache.join(format!("kubectl-{SUITE}"));
    let python = workspace.cache.join(format!("kubernetes-validate-{SCHEMAS}"));
    let tools = Tools { kubectl: kubectl.join("usr/bin/kubectl"), python: python.join("bin/python") };
    if !works(&tools.kubectl) {
        Suite::fetch(workspace, SUITE)?.unpack(&["kubectl".to_owned()], &kubectl)?;
        ensure!(works(&tools.kubectl), "{} does not run on this machine", tools.kubectl.display());
    }
    if installed_schemas(&tools.python).as_deref() != Some(SCHEMAS) {
        make_environment(workspace, &python)?;
    }
    Ok(tools)
}

fn works(kubectl: &Path) -> bool {
    run::output(Command::new(kubectl).args(["version", "--client"]), "trying kubectl").is_ok()
}

fn installed_schemas(python: &Path) -> Option<String> {
    let mut command = Command::new(python);
    command.args(["-c", "import kubernetes_validate as k; print(k.__version__)"]);
    let version = run::output(&mut command, "trying kubernetes-validate").ok()?;
    Some(version.trim().to_owned())
}

fn make_environment(workspace: &Workspace, folder: &Path) -> Result<()> {
    let mut make = Command::new(PYTHON);
    make.args(["-m", "venv", "--clear"]).arg(folder);
    run::output(&mut make, "making an environment for kubernetes-validate")?;
    let what = format!("fetching kubernetes-validate {SCHEMAS}");
    let log = workspace.log("kubernetes-validate")?;
    run::retry(&what, 4, || {
        let mut pip = Command::new(folder.join("bin/pip"));
        pip.args(["install", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]);
        pip.arg("--require-hashes").arg("--requirement");
        run::logged(pip.arg(workspace.root.join("xtask/src/manifests/requirements.txt")), &what, &log)
    })
    .context("kubernetes-validate is fetched from PyPI")
}
