//! `tracer analyze`: the breakdown and the findings of captured packets.

use std::{
    io::{self, BufWriter, Write as _},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::ValueEnum;

use super::{
    capture_file::Capture,
    collector::{Collector, Kept},
    configured::Configured,
    input::Input,
};
use crate::{clock::WallClock, export::json, finding::Period, offline::Offline};

/// Form of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people
    Table,
    /// For programs
    Json,
    /// One JSON object per DNS answer, exchange, connection and remarkable segment
    Lines,
}

/// Arguments of `tracer analyze`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    configured: Configured,
    /// Form of the result
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    kept: Kept,
}

/// Reads, then prints.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if let Some(requests) = &args.kept.requests {
        args.input.spare(requests)?;
    }
    let policy = args.configured.policy(Period::WholeRun)?;
    let mut capture = Capture::open(&args.input)?;
    let metadata = args.input.metadata();
    let locals = capture.locals(&args.input, &metadata);
    let mut collector = Collector::new(&args.kept, WallClock::UNIX)?;
    let mut lines =
        (args.output == Output::Lines).then(|| BufWriter::with_capacity(1 << 16, io::stdout().lock()));
    let summary = {
        let lines = lines.as_mut().map(|lines| lines as &mut dyn io::Write);
        let mut offline = Offline::new(&locals, metadata, &mut collector, lines);
        offline.judge_by(policy);
        capture.replay(&mut offline)?;
        offline.summary()
    };
    drop(lines);
    collector.flush()?;
    let text = match args.output {
        Output::Json => format!("{:#}\n", json::summary(&summary, WallClock::UNIX)),
        Output::Table => collector.table(&summary),
        Output::Lines => String::new(),
    };
    io::stdout().write_all(text.as_bytes()).context("cannot write the result to standard output")?;
    Ok(capture.exit_code())
}
