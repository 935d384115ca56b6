//! A real OpenTelemetry collector: rotel, a program that comes in a package for Python.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::debian;
use super::python::{PYTHON, Packages};
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
    let packages = Packages {
        name: &format!("the OpenTelemetry collector rotel {VERSION}"),
        log: "collector",
        requirements: "tests/otlp/requirements.txt",
        // It is a program: which Python the package names does not matter.
        pip: &[
            "download",
            "--python-version=3.11",
            "--platform=manylinux_2_34_x86_64",
            "--dest",
            &folder.to_string_lossy(),
        ],
    };
    packages.fetch(workspace, &folder)?;
    let package = folder.join(format!("rotel-{VERSION}-cp311-cp311-manylinux_2_34_x86_64.whl"));
    let mut unpack = Command::new(PYTHON);
    unpack.args(["-m", "zipfile", "-e"]).arg(&package).arg(&folder);
    run::output(&mut unpack, "unpacking the OpenTelemetry collector")?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("making {} a program", program.display()))
}

fn folder(workspace: &Workspace) -> PathBuf {
    workspace.cache.join(format!("rotel-{VERSION}"))
}
