//! `tracer live`: trace for a while, print breakdowns.

use std::{
    io::{self, Write as _},
    time::Duration,
};

use anyhow::Context as _;

use super::{
    collector::{Collector, Kept},
    configured::Configured,
    naming::Naming,
    options::{Detail, Output, Target, start},
    stop::{Stop, parse_seconds},
};
use crate::{
    export::json,
    finding::Period,
    session::TICK,
    source::live::{Options, wall_clock},
};

/// Arguments of `tracer live`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    naming: Naming,
    #[command(flatten)]
    detail: Detail,
    #[command(flatten)]
    configured: Configured,
    /// Seconds to trace; until interrupted when not given
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    duration: Option<Duration>,
    /// Form of the result
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    kept: Kept,
}

/// Traces, then prints.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let policy = args.configured.policy(Period::WholeRun)?;
    let mut collector = Collector::new(&args.kept, wall_clock())?;
    let longest = if args.kept.needs_each() { Duration::ZERO } else { Duration::MAX };
    let options = Options { folding: args.detail.folding(longest), ..args.target.options(0)? };
    let mut session = start(&options, policy, &args.naming)?;
    let stop = Stop::after(args.duration)?;
    while !stop.is_now() {
        session.source().wait(TICK)?;
        session.tick(&mut collector);
        collector.check()?;
    }
    session.finish(&mut collector);
    collector.flush()?;
    let text = match args.output {
        Output::Json => format!("{:#}\n", json::summary(&session.summary()?, wall_clock())),
        Output::Table => collector.table(&session.summary()?),
    };
    io::stdout().write_all(text.as_bytes()).context("cannot write the result to standard output")
}
