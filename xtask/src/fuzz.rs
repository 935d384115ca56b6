//! `cargo xtask fuzz`: random bytes for the decoders, guided by coverage.
//!
//! What cargo-fuzz does, without it: it wants a nightly toolchain, and the pinned stable one has all that is
//! needed once it is told to act like one.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::run::{self, say};
use crate::setup::{self, debian};
use crate::workspace::{Workspace, create_folder};

/// An explicit target keeps the flags away from build scripts, and so from the BPF programs.
const TARGET: &str =
    if cfg!(target_arch = "aarch64") { "aarch64-unknown-linux-gnu" } else { "x86_64-unknown-linux-gnu" };
/// Coverage for libFuzzer, and a sanitizer that turns bad reads into crashes.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Zsanitizer=address --cfg=fuzzing -Cdebug-assertions \
    -Coverflow-checks -Ccodegen-units=1";

/// What to fuzz, and for how long.
#[derive(Args)]
pub(crate) struct Options {
    /// A decoder, or `all`; without it, the decoders are listed
    target: Option<String>,
    /// Seconds per decoder
    #[arg(default_value_t = 60)]
    seconds: u32,
}

/// Builds the targets and runs those wanted.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let known = targets(workspace)?;
    let Some(wanted) = &options.target else {
        println!("{}", known.join("\n"));
        return Ok(());
    };
    let chosen: Vec<_> = known.iter().filter(|name| wanted == "all" || *name == wanted).collect();
    if chosen.is_empty() {
        bail!("there is no fuzz target {wanted}; known are {}, or `all`", known.join(", "));
    }
    setup::build(workspace)?;
    setup::tools(workspace, &[debian::CXX])?;
    build(workspace)?;
    for target in chosen {
        fuzz(workspace, target, options.seconds)?;
    }
    Ok(())
}

/// Each file of the folder is a target.
fn targets(workspace: &Workspace) -> Result<Vec<String>> {
    let folder = workspace.root.join("tests/fuzz/fuzz_targets");
    let entries = fs::read_dir(&folder).with_context(|| format!("listing {}", folder.display()))?;
    let names =
        entries.flatten().filter_map(|entry| Some(entry.path().file_stem()?.to_string_lossy().into_owned()));
    let mut names: Vec<String> = names.collect();
    names.sort();
    Ok(names)
}

fn build(workspace: &Workspace) -> Result<()> {
    let manifest = "tests/fuzz/Cargo.toml";
    let mut command =
        workspace.cargo(&["build", "--release", "--bins", "--manifest-path", manifest, "--target", TARGET]);
    command
        .env("CARGO_TARGET_DIR", workspace.target("fuzz"))
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTFLAGS", FLAGS);
    run::on_terminal(&mut command, "building the fuzz targets")
}

/// What libFuzzer found interesting is kept, so that the next run goes on from there.
fn fuzz(workspace: &Workspace, target: &str, seconds: u32) -> Result<()> {
    let corpus = workspace.cache.join("corpus").join(target);
    let crashes = workspace.target("fuzz/crashes");
    create_folder(&corpus)?;
    create_folder(&crashes)?;
    let binary = workspace.target(&format!("fuzz/{TARGET}/release/{target}"));
    let mut command = Command::new(binary);
    command
        .arg(&corpus)
        .args(seeds(workspace, target))
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/{target}-", crashes.display()))
        .args(["-timeout=5", "-rss_limit_mb=2048", "-print_final_stats=1"]);
    let log = workspace.log(&format!("fuzz-{target}"))?;
    let limit = Duration::from_secs(u64::from(seconds) + 120);
    let what = format!("fuzzing {target} for {seconds} s");
    run::logged_within(&mut command, &what, &log, limit)
        .with_context(|| format!("the input that does it is in {}", crashes.display()))?;
    let report = fs::read_to_string(&log).unwrap_or_default();
    let runs = report.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    say(format_args!("{target}: {} inputs, no crash", runs.map_or("?", str::trim)));
    Ok(())
}

/// Inputs to start from, which are part of the repository.
fn seeds(workspace: &Workspace, target: &str) -> Option<PathBuf> {
    let folder = workspace.root.join("tests/fuzz/seeds").join(target);
    folder.is_dir().then_some(folder)
}
