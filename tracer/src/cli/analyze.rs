//! `tracer analyze`: the breakdown and the findings of captured packets.

use std::{
    io::{self, BufWriter, Write as _},
    net::IpAddr,
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context as _;
use clap::ValueEnum;

use super::{
    capture_file::Capture,
    collector::{Collector, Kept},
};
use crate::{clock::WallClock, export::json, offline::Offline, proto::metadata};

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

/// What to read, and from whose view.
#[derive(Debug, clap::Args)]
pub(super) struct Input {
    /// pcap or pcapng files, also compressed with gzip; `-` is standard input. Several are one timeline
    #[arg(required = true, value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
    /// Address of a pod, whose requests and calls are analysed; can be given several times [default: files by
    /// `tracer capture` say it, for others it is guessed from the first packets]
    #[arg(long = "local", value_name = "IP")]
    pub(super) locals: Vec<IpAddr>,
    /// Analyse only this pod of files by `tracer capture`
    #[arg(long, value_name = "UID_OR_NAME", conflicts_with = "locals")]
    pub(super) pod: Option<String>,
    /// Further address of a metadata service, besides those of AWS, GCP, Azure and Alibaba
    #[arg(long = "metadata-address", value_name = "IP")]
    metadata: Vec<IpAddr>,
}

impl Input {
    /// The addresses of metadata services.
    pub(super) fn metadata(&self) -> Vec<IpAddr> {
        metadata::ADDRESSES.iter().chain(&self.metadata).copied().collect()
    }
}

/// Arguments of `tracer analyze`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    input: Input,
    /// Form of the result
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    kept: Kept,
}

/// Reads, then prints.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut capture = Capture::open(&args.input)?;
    let metadata = args.input.metadata();
    let locals = capture.locals(&args.input, &metadata);
    let mut collector = Collector::new(&args.kept, WallClock::UNIX)?;
    let mut lines =
        (args.output == Output::Lines).then(|| BufWriter::with_capacity(1 << 16, io::stdout().lock()));
    let summary = {
        let lines = lines.as_mut().map(|lines| lines as &mut dyn io::Write);
        let mut offline = Offline::new(&locals, metadata, &mut collector, lines);
        capture.replay(&mut offline)?;
        offline.summary()
    };
    drop(lines);
    collector.flush()?;
    let text = match args.output {
        Output::Json => format!("{:#}\n", json::summary(&summary)),
        Output::Table => collector.table(&summary),
        Output::Lines => String::new(),
    };
    io::stdout().write_all(text.as_bytes()).context("cannot write the result to standard output")?;
    Ok(capture.exit_code())
}
