//! Whether others can read the image, and whether its program runs where nothing else is.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::Architecture;
use crate::run;
use crate::workspace::{Workspace, create_folder, is_root};

/// Lets skopeo read the image of each architecture.
pub(super) fn image(folder: &Path, architectures: &[Architecture]) -> Result<()> {
    for architecture in architectures {
        let expected = architecture.oci().to_string();
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["--override-os", "linux", "--override-arch", &expected, "inspect"]);
        let said =
            run::output(skopeo.arg(format!("oci:{}", folder.display())), "reading the image with skopeo")?;
        let said: Value = serde_json::from_str(&said).context("reading what skopeo says")?;
        ensure!(
            said["Architecture"] == expected.as_str(),
            "skopeo found {} for {expected}",
            said["Architecture"]
        );
        ensure!(
            said["Layers"].as_array().is_some_and(|layers| layers.len() == 1),
            "skopeo found {}",
            said["Layers"]
        );
    }
    Ok(())
}

/// Starts a program of another architecture, emulated. What it does to a kernel cannot be tried so.
pub(super) fn emulated(architecture: Architecture, program: &Path) -> Result<()> {
    let mut qemu = Command::new(format!("qemu-{}", architecture.name()));
    let what = format!("running `tracer --version` of the image for {}", architecture.name());
    let said = run::output(qemu.arg(program).arg("--version"), &what)?;
    ensure!(said.starts_with("tracer "), "{what}: {said}");
    Ok(())
}

/// Runs the program with nothing around it: in a folder of its own, as root; as it is otherwise.
pub(super) fn program(workspace: &Workspace, program: &Path) -> Result<()> {
    let root = workspace.target("image/root");
    create_folder(&root.join("usr/bin"))?;
    fs::copy(program, root.join("usr/bin/tracer"))
        .with_context(|| format!("copying {}", program.display()))?;
    let run = |argument: &str| {
        let mut command = if is_root() { Command::new("chroot") } else { Command::new(program) };
        if is_root() {
            command.arg(&root).arg("/usr/bin/tracer");
        }
        command.arg(argument).output().with_context(|| format!("running `tracer {argument}` of the image"))
    };
    let version = run("--version")?;
    let said = String::from_utf8_lossy(&version.stdout);
    ensure!(
        version.status.success() && said.starts_with("tracer "),
        "`tracer --version` of the image: {said}"
    );
    // Without /proc something is missing, and it must say so.
    let doctor = run("doctor")?;
    let said = String::from_utf8_lossy(&doctor.stdout);
    ensure!(
        doctor.status.code().is_some_and(|code| code <= 1) && said.contains("cgroup2"),
        "`tracer doctor` of the image ended with {}: {said}",
        doctor.status
    );
    Ok(())
}
