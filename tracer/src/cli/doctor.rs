//! Placeholder.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}
pub(super) fn run(_args: &Args) -> std::process::ExitCode { std::process::ExitCode::SUCCESS }
