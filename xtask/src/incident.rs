//! `cargo xtask incident` and `cargo xtask incidents`: the incidents in the lab, traced, with the results in
//! `target/incidents`.

use std::process::Command;

use anyhow::{Result, ensure};
use clap::Args;

use crate::run;
use crate::setup;
use crate::test::build_release;
use crate::workspace::{Workspace, is_root};

/// Which incident to run.
#[derive(Args)]
pub(crate) struct One {
    /// Name of the incident; a wrong one lists those that there are
    name: String,
    /// Run this twin instead of the incident itself: `healthy` or `near-miss`
    #[arg(long)]
    twin: Option<String>,
}

/// Which incidents to run.
#[derive(Args)]
pub(crate) struct All {
    /// Only these incidents, with their twins
    names: Vec<String>,
}

/// Runs one incident.
pub(crate) fn one(workspace: &Workspace, options: &One) -> Result<()> {
    let mut command = lab(workspace, "incident")?;
    command.arg(&options.name);
    if let Some(twin) = &options.twin {
        command.args(["--twin", twin]);
    }
    run::on_terminal(&mut command, "running the incident")
}

/// Runs the incidents; fails when one of them is not as expected.
pub(crate) fn all(workspace: &Workspace, options: &All) -> Result<()> {
    run::on_terminal(lab(workspace, "incidents")?.args(&options.names), "running the incidents")
}

/// Brings the tools, builds tracer and the lab, and makes the lab's command line.
fn lab(workspace: &Workspace, command: &str) -> Result<Command> {
    ensure!(is_root(), "incidents attach BPF programs and make network namespaces: run this as root");
    setup::build(workspace)?;
    let aws_sdk = setup::incidents(workspace)?;
    build_release(workspace)?;
    let mut line = workspace.tool("target/release/tracer-lab");
    line.args([command, "--tracer", "target/release/tracer", "--out", "target/incidents", "--aws-sdk"]);
    line.arg(aws_sdk);
    Ok(line)
}
