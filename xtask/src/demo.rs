//! `cargo xtask demo`: the metadata incident in the lab, traced, with the results in `target/demo`.

use anyhow::{Result, ensure};
use clap::Args;

use crate::run;
use crate::setup::{self, debian};
use crate::test::build_release;
use crate::workspace::{Workspace, is_root};

/// How to run the demo.
#[derive(Args)]
pub(crate) struct Options {
    /// Run only this twin: `sick` or `healthy` [default: both]
    #[arg(long)]
    twin: Option<String>,
    /// Requests of each twin [default: the lab's]
    #[arg(long)]
    requests: Option<u32>,
}

/// Brings the tools, builds tracer and the lab, and runs the incident.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    ensure!(is_root(), "the demo attaches BPF programs and makes network namespaces: run it as root");
    setup::build(workspace)?;
    setup::tools(workspace, &[debian::LAB])?;
    build_release(workspace)?;
    let mut command = workspace.tool("target/release/tracer-lab");
    command.args(["demo", "--tracer", "target/release/tracer", "--out", "target/demo"]);
    if let Some(twin) = &options.twin {
        command.args(["--twin", twin]);
    }
    if let Some(requests) = options.requests {
        command.args(["--requests", &requests.to_string()]);
    }
    run::on_terminal(&mut command, "running the demo")
}
