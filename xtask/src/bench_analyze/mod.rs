//! `cargo xtask bench-analyze`: how fast tracer reads a capture, next to tshark.
//!
//! Both programs take turns on the same file, in the same run: a shared machine drifts more between two runs
//! than within one. The capture is made here, the same bytes each time, so that what it holds is known.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;

use crate::run::say;
use crate::setup::{self, debian};
use crate::test::build_release;
use crate::workspace::{Workspace, create_folder};

mod check;
mod cost;
mod grpc;
mod http2;
mod pcap;
mod programs;
mod report;
mod traffic;
mod wire;

use report::{Round, Summary};

/// What to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// Packets of the capture; tshark needs about 1.5 GB of memory per million
    #[arg(long, default_value_t = 5_000_000, value_parser = clap::value_parser!(u64).range(1..=50_000_000))]
    packets: u64,
    /// Rounds, in each of which both programs take their turn
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Measure this program instead of building tracer
    #[arg(long, value_name = "PROGRAM")]
    tracer: Option<PathBuf>,
    /// Leave the capture in `target/bench-analyze`
    #[arg(long)]
    keep: bool,
}

/// A file that is removed at the end.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // A file that is not there was not made.
        drop(fs::remove_file(&self.0));
    }
}

/// Measures, reports and judges.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    setup::tools(workspace, &[debian::LAB])?;
    let tracer = options.tracer.clone().map_or_else(|| build(workspace), Ok)?;
    let folder = workspace.target("bench-analyze");
    create_folder(&folder)?;
    let capture = folder.join("capture.pcap");
    let _removed = (!options.keep).then(|| Temporary(capture.clone()));
    say(format_args!("writing a capture of {} packets", options.packets));
    let contents = traffic::write(&capture, options.packets)
        .with_context(|| format!("writing {}", capture.display()))?;
    check::tracer(&mut programs::tracer(&tracer, &capture), &contents)?;
    let rounds = (1..=options.rounds).map(|number| {
        let round = round(&tracer, &capture, &folder)?;
        let (fast, slow) = (round.tracer.wall_seconds, round.tshark.wall_seconds);
        say(format_args!("round {number} of {}: tracer {fast:.2} s, tshark {slow:.2} s", options.rounds));
        Ok(round)
    });
    let summary = Summary::of(&contents, rounds.collect::<Result<_>>()?)?;
    summary.write(&folder.join("summary.json"))?;
    summary.print();
    summary.judge()
}

fn build(workspace: &Workspace) -> Result<PathBuf> {
    setup::build(workspace)?;
    build_release(workspace)?;
    Ok(workspace.target("release/tracer"))
}

fn round(tracer: &Path, capture: &Path, folder: &Path) -> Result<Round> {
    let tracer = cost::of(&mut programs::tracer(tracer, capture))?;
    let tshark = cost::of(&mut programs::tshark(capture, folder))?;
    Ok(Round { tracer, tshark })
}
