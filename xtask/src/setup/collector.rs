//! A real OpenTelemetry collector: rotel, a program that comes in a package for Python.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::debian;
use crate::run;
use crate::workspace::Workspace;

/// What `tests/otlp/requirements.txt` pins.
const VERSION: &str = "0.0.1a15";

/// The program.
pub(crate) fn program(workspace: &Workspace) -> PathBuf {
    folder(workspace).join("rotel/rotel-agent")
}

/// Fetches it, unless it is there.
pub(super) fn install(workspace: &Workspace) -> Result<()> {
    let program = program(workspace);
    if program.exists() {
        return Ok(());
    }
    debian::install(workspace, debian::PYTHON)?;
    let folder = folder(workspace);
    let mut make = Command::new("/usr/bin/python3");
    make.args(["-m", "venv", "--clear"]).arg(&folder);
    run::output(&mut make, "making an environment for the OpenTelemetry collector")?;
    let what = format!("fetching the OpenTelemetry collector rotel {VERSION}");
    let log = workspace.log("collector")?;
    // It is a program: which Python the package names does not matter.
    run::retry(&what, 4, || {
        let mut pip = Command::new(folder.join("bin/pip"));
        pip.args(["download", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]);
        pip.args(["--python-version=3.11", "--platform=manylinux_2_34_x86_64", "--require-hashes"]);
        pip.arg("--dest").arg(&folder).arg("--requirement");
        run::logged(pip.arg(workspace.root.join("tests/otlp/requirements.txt")), &what, &log)
    })
    .context("the OpenTelemetry collector is fetched from PyPI")?;
    let package = folder.join(format!("rotel-{VERSION}-cp311-cp311-manylinux_2_34_x86_64.whl"));
    let mut unpack = Command::new("/usr/bin/python3");
    unpack.args(["-m", "zipfile", "-e"]).arg(&package).arg(&folder);
    run::output(&mut unpack, "unpacking the OpenTelemetry collector")?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("making {} a program", program.display()))
}

fn folder(workspace: &Workspace) -> PathBuf {
    workspace.cache.join(format!("rotel-{VERSION}"))
}
