//! `cargo xtask apiserver`: how pods get their names, tested with an API server of Kubernetes.

use anyhow::{Result, ensure};
use clap::Args;

use crate::run;
use crate::setup;
use crate::test::build_release;
use crate::workspace::{Workspace, is_root};

/// Which tests to run.
#[derive(Args)]
pub(crate) struct Options {
    /// Run only tests whose name contains this
    filter: Option<String>,
}

/// Builds the server, tracer and the lab, and runs the tests.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    ensure!(is_root(), "the tests attach BPF programs and make network namespaces: run this as root");
    setup::build(workspace)?;
    let programs = setup::apiserver(workspace)?;
    build_release(workspace)?;
    let arguments =
        ["test", "-p", "tracer-lab", "--release", "--test", "apiserver", "--", "--test-threads=1"];
    let mut tests = workspace.cargo(&arguments);
    tests.args(&options.filter).env("TRACER_BIN", workspace.target("release/tracer"));
    tests.env("TRACER_APISERVER", programs.server).env("TRACER_KUBECTL", programs.kubectl);
    run::on_terminal(&mut tests, "testing with an API server")
}
