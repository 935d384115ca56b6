//! The commands, one file each. Data goes to standard output, messages to standard error.

mod agent;
mod analyze;
mod capture;
mod capture_file;
mod collector;
mod completion;
mod configured;
mod doctor;
mod file;
mod input;
mod live;
mod logging;
mod naming;
mod options;
mod pods;
mod report;
mod slowest;
mod stop;
mod top;

use std::{io, process::ExitCode};

use clap::{Parser, Subcommand};

/// Exit code of a failure.
const FAILURE: u8 = 1;

/// Network latency breakdowns per pod, from the kernel's socket hooks.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Trace for a while and print where the time of each pod's requests went
    Live(live::Args),
    /// Watch the pods in a live table: where their time goes now, findings, slow requests
    Top(top::Args),
    /// Read captured packets and print where the time of each pod's requests went
    Analyze(analyze::Args),
    /// Read captured packets and write a page with the slowest requests as waterfalls
    Report(report::Args),
    /// Trace until stopped, and serve metrics and summaries over HTTP
    Agent(agent::Args),
    /// Write the pods' packets to a pcapng file for Wireshark, with comments and without secrets
    Capture(capture::Args),
    /// Say what this node supports and what is missing
    Doctor(doctor::Args),
    /// Print a script that completes commands and flags in a shell
    Completion(completion::Args),
}

/// Runs the command of this process' arguments. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a damaged capture (what came
/// before the damage is reported).
#[must_use]
pub fn run() -> ExitCode {
    let command = Cli::parse().command;
    if !matches!(command, Command::Agent(_)) {
        logging::begin();
    }
    let result = match command {
        Command::Live(args) => live::run(&args),
        Command::Top(args) => top::run(&args),
        Command::Analyze(args) => match analyze::run(&args) {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
        Command::Report(args) => match report::run(&args) {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
        Command::Agent(args) => return agent::run(&args),
        Command::Capture(args) => capture::run(&args),
        Command::Doctor(args) => return doctor::run(&args),
        Command::Completion(args) => completion::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Who reads the output has seen enough (`| head`).
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tracer: {error:#}");
            ExitCode::from(FAILURE)
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let broken = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    };
    error.chain().any(broken)
}

#[cfg(test)]
mod docs_tests;

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    /// Flags that commands share must not be named like their own.
    #[test]
    fn no_two_arguments_of_a_command_have_one_name() {
        Cli::command().debug_assert();
    }
}
