//! `tracer live`: trace for a while, print breakdowns.

use std::{
    fs::File,
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;

use super::{
    options::{Output, Target, start},
    stop::{Stop, parse_seconds},
};
use crate::{
    clock::WallClock,
    engine::{FlowEvent, Observer},
    export::{json, table, waterfall},
    finding::Period,
    pod::Pod,
    request::{Attribution, Call, Marks, Request, totals::Summary},
    session::TICK,
    source::live::wall_clock,
};

/// Arguments of `tracer live`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    target: Target,
    /// Seconds to trace; until interrupted when not given
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    duration: Option<Duration>,
    /// Form of the result
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
    /// Also write every request to this file, one JSON line each
    #[arg(long, value_name = "FILE")]
    requests: Option<PathBuf>,
    /// Also print the N slowest requests as waterfalls
    #[arg(long, value_name = "N", default_value_t = 0)]
    waterfall: usize,
}

/// Traces, then prints.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let mut collector = Collector::new(args)?;
    let mut session = start(&args.target.options(0)?, Period::WholeRun)?;
    let stop = Stop::after(args.duration)?;
    while !stop.is_now() {
        session.source().wait(TICK)?;
        session.tick(&mut collector);
        collector.check()?;
    }
    session.finish(&mut collector);
    collector.flush()?;
    let text = match args.output {
        Output::Json => format!("{:#}\n", json::summary(&session.summary()?)),
        Output::Table => collector.table(&session.summary()?),
    };
    io::stdout().write_all(text.as_bytes()).context("cannot write the result to standard output")
}

/// Keeps what the outputs need of each request.
struct Collector {
    lines: Option<(PathBuf, BufWriter<File>)>,
    failure: Option<io::Error>,
    slowest: Vec<Request>,
    keep: usize,
    clock: WallClock,
}

impl Collector {
    fn new(args: &Args) -> anyhow::Result<Self> {
        let create = |path: &Path| {
            let file = File::create(path)
                .with_context(|| format!("cannot create {} for the requests", path.display()));
            file.map(|file| (path.to_owned(), BufWriter::new(file)))
        };
        let lines = args.requests.as_deref().map(create).transpose()?;
        Ok(Self { lines, failure: None, slowest: Vec::new(), keep: args.waterfall, clock: wall_clock() })
    }

    fn keep_if_slow(&mut self, request: &Request) {
        if request.marks.has(Marks::UNANSWERED) {
            return;
        }
        let full = self.slowest.len() >= self.keep;
        if self.keep == 0 || full && self.slowest.last().is_some_and(|last| last.total() >= request.total()) {
            return;
        }
        let at = self.slowest.partition_point(|kept| kept.total() >= request.total());
        self.slowest.insert(at, request.clone());
        self.slowest.truncate(self.keep);
    }

    /// Stops the trace when the file of requests cannot be written.
    fn check(&mut self) -> anyhow::Result<()> {
        let Some(error) = self.failure.take() else { return Ok(()) };
        let path = self.lines.as_ref().map(|(path, _)| path.display().to_string()).unwrap_or_default();
        Err(error).with_context(|| format!("cannot write requests to {path}"))
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        if let Some((_, lines)) = &mut self.lines
            && let Err(error) = lines.flush()
        {
            self.failure = Some(error);
        }
        self.check()
    }

    fn table(&self, summary: &Summary) -> String {
        let mut text = table::breakdown(summary);
        for request in &self.slowest {
            text.push('\n');
            text.push_str(&waterfall::waterfall(request, &self.clock));
        }
        text
    }
}

impl Observer for Collector {
    fn request(&mut self, request: &Request) {
        if let Some((_, lines)) = &mut self.lines {
            let line = json::request_line(request, &self.clock);
            if let Err(error) = writeln!(lines, "{line}") {
                self.failure = Some(error);
            }
        }
        self.keep_if_slow(request);
    }

    fn call(&mut self, _: &Arc<Pod>, _: &Call, _: Attribution) {}

    fn flow(&mut self, _: &Arc<Pod>, _: FlowEvent) {}
}
