//! `cargo xtask soak`: healthy mixed traffic in the lab with the agent on it, for an hour.

use anyhow::{Result, ensure};
use clap::Args;
use tracer_lab::pod::sweep;

use crate::run;
use crate::setup::{self, debian};
use crate::test::build_release;
use crate::workspace::{Workspace, is_root};

/// How long, and how much.
#[derive(Args)]
pub(crate) struct Options {
    /// How long
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=1440))]
    minutes: u32,
    /// Requests per second that all clients make
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(10..=5000))]
    rate: u32,
    /// What varies between runs
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Runs it; fails when a finding opened that is not justified, when records were lost or when memory grew.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    ensure!(is_root(), "the soak attaches BPF programs and makes network namespaces: run it as root");
    setup::build(workspace)?;
    setup::tools(workspace, &[debian::LAB, debian::INCIDENTS])?;
    build_release(workspace)?;
    let mut lab = workspace.tool("target/release/tracer-lab");
    lab.args(["soak", "--tracer", "target/release/tracer", "--out", "target/soak"]);
    for (flag, value) in
        [("--minutes", u64::from(options.minutes)), ("--rate", options.rate.into()), ("--seed", options.seed)]
    {
        lab.args([flag, &value.to_string()]);
    }
    let outcome = run::on_terminal(&mut lab, "the soak");
    // A killed lab cannot clean up after itself.
    sweep::sweep();
    outcome
}
