//! stub
use anyhow::Result;
use clap::Args;
/// x
#[derive(Args)]
pub(crate) struct Options {}
pub(crate) fn run(_: &crate::workspace::Workspace, _: &Options) -> Result<()> {
    Ok(())
}
