//! Set-up, demo, tests, kernels and benchmarks of tracer, as `cargo xtask <command>`.
//!
//! Every command first brings the tools it needs (see [`setup`]), so each works on a clean clone.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

mod apiserver;
mod bench;
mod bench_analyze;
mod demo;
mod fuzz;
mod image;
mod incident;
mod kernels;
mod manifests;
mod node;
mod oracle;
mod run;
mod setup;
mod soak;
mod test;
mod tidy;
mod vm;
mod workspace;

/// Builds, tests and measures tracer; each command brings what it needs.
#[derive(Parser)]
#[command(name = "cargo xtask", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Bring every tool the other commands need; a second run finds them and does nothing
    Setup,
    /// Run every check and test; with --only, some of them
    Test(test::Options),
    /// Check the house rules: file lengths, lints, named dependencies
    Tidy,
    /// Trace the metadata incident in the lab and leave the results in target/demo
    Demo(demo::Options),
    /// Run one incident in the lab with tracer on it, and print what a user would read
    Incident(incident::One),
    /// Run all incidents and their twins; leave target/incidents/summary.json and print the matrix
    Incidents(incident::All),
    /// Check the Kubernetes manifests, the Helm chart, the alert rules and the dashboards
    Manifests,
    /// Build an API server of Kubernetes and test with it how pods get their names
    Apiserver(apiserver::Options),
    /// Make healthy mixed traffic with the agent on it; leave target/soak/summary.json
    Soak(soak::Options),
    /// Build the container image for both architectures, as an OCI layout in target/image
    Image(image::Options),
    /// Run the manifests under containerd in a VM of 4 GiB, beside pods that come and go; leave target/node/summary.json
    Node(node::Options),
    /// Boot Debian kernels in QEMU and run the lab in each
    Kernels(kernels::Options),
    /// Measure what tracing costs, against an untraced server and tcpdump
    Bench(bench::Options),
    /// Measure how fast tracer reads a capture, against tshark
    BenchAnalyze(bench_analyze::Options),
    /// Fuzz the decoders; without a target, list them
    Fuzz(fuzz::Options),
    /// Compare tracer with tshark on captures, value by value
    Oracle(oracle::Options),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = Workspace::locate().and_then(|workspace| match cli.command {
        Command::Setup => setup::everything(&workspace),
        Command::Test(options) => test::run(&workspace, &options),
        Command::Tidy => tidy::run(&workspace),
        Command::Demo(options) => demo::run(&workspace, &options),
        Command::Incident(options) => incident::one(&workspace, &options),
        Command::Incidents(options) => incident::all(&workspace, &options),
        Command::Manifests => manifests::run(&workspace),
        Command::Apiserver(options) => apiserver::run(&workspace, &options),
        Command::Soak(options) => soak::run(&workspace, &options),
        Command::Image(options) => image::run(&workspace, &options),
        Command::Node(options) => node::run(&workspace, &options),
        Command::Kernels(options) => kernels::run(&workspace, &options),
        Command::Bench(options) => bench::run(&workspace, &options),
        Command::BenchAnalyze(options) => bench_analyze::run(&workspace, &options),
        Command::Fuzz(options) => fuzz::run(&workspace, &options),
        Command::Oracle(options) => oracle::run(&workspace, &options),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
