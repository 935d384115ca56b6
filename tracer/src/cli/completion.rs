//! `tracer completion`: a script that completes commands and flags in a shell.

use std::io::{self, Write as _};

use anyhow::Context as _;
use clap::{Command, CommandFactory as _};
use clap_complete::Shell;

/// Arguments of `tracer completion`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell, as in: source <(tracer completion bash)
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let script = script(args.shell, super::Cli::command());
    io::stdout().write_all(&script).context("cannot print the completion script")
}

fn script(shell: Shell, mut command: Command) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "tracer", &mut script);
    script
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn every_shell_knows_every_command() {
        for shell in Shell::value_variants() {
            let script = String::from_utf8(script(*shell, super::super::Cli::command())).unwrap();
            for command in super::super::Cli::command().get_subcommands() {
                assert!(script.contains(command.get_name()), "{shell}: {}", command.get_name());
            }
            assert!(script.contains("fold-above"), "{shell}");
        }
    }
}
