//! An AWS SDK for Python from before 2022, in an environment of its own.
//!
//! Later ones prolong credentials that are about to expire, so that the incident with credentials that live as
//! long as the SDK's refresh threshold does not happen with them. Debian has a later one.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::run;
use crate::workspace::Workspace;

/// What `tests/incidents/requirements.txt` pins.
const VERSION: &str = "1.24.0";
/// Debian's, for which Debian's module for environments is.
const PYTHON: &str = "/usr/bin/python3";

/// The Python that has the SDK.
pub(crate) fn python(workspace: &Workspace) -> PathBuf {
    folder(workspace).join("bin/python")
}

/// Makes the environment and fetches the SDK into it, unless it is there.
pub(super) fn install(workspace: &Workspace) -> Result<()> {
    if installed_version(workspace).as_deref() == Some(VERSION) {
        return Ok(());
    }
    let folder = folder(workspace);
    let mut make = Command::new(PYTHON);
    make.args(["-m", "venv", "--clear"]).arg(&folder);
    run::output(&mut make, "making an environment for the AWS SDK")?;
    let what = format!("fetching the AWS SDK {VERSION}");
    let log = workspace.log("aws-sdk")?;
    run::retry(&what, 4, || {
        let mut pip = Command::new(folder.join("bin/pip"));
        pip.args(["install", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]);
        pip.arg("--require-hashes").arg("--requirement");
        run::logged(pip.arg(workspace.root.join("tests/incidents/requirements.txt")), &what, &log)
    })
    .context("the AWS SDK is fetched from PyPI")
}

fn folder(workspace: &Workspace) -> PathBuf {
    workspace.cache.join(format!("aws-sdk-{VERSION}"))
}

fn installed_version(workspace: &Workspace) -> Option<String> {
    let mut command = Command::new(python(workspace));
    command.args(["-c", "import boto3, botocore; print(botocore.__version__)"]);
    let version = run::output(&mut command, "trying the AWS SDK").ok()?;
    Some(version.trim().to_owned())
}
