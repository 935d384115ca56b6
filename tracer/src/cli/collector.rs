//! What the one-shot commands keep of each request: a line in a file, the slowest as waterfalls.

use std::{
    fs::File,
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;

use super::slowest::Slowest;
use crate::{
    clock::WallClock,
    engine::{FlowEvent, Observer},
    export::{json, table, waterfall},
    pod::Pod,
    request::{Attribution, Call, Request, folded::Folded, totals::Summary},
};

/// What to keep.
#[derive(Debug, clap::Args)]
pub(super) struct Kept {
    /// Also write every request to this file, one JSON line each
    #[arg(long, value_name = "FILE")]
    pub(super) requests: Option<PathBuf>,
    /// Also print the N slowest requests as waterfalls
    #[arg(long, value_name = "N", default_value_t = 0)]
    waterfall: usize,
}

impl Kept {
    /// Whether sums of requests do not do.
    pub(super) fn needs_each(&self) -> bool {
        self.requests.is_some() || self.waterfall > 0
    }
}

/// Keeps what the outputs need of each request.
pub(super) struct Collector {
    lines: Option<(PathBuf, BufWriter<File>)>,
    failure: Option<io::Error>,
    slowest: Slowest<()>,
    clock: WallClock,
}

impl Collector {
    /// Keeps what `kept` says.
    pub(super) fn new(kept: &Kept, clock: WallClock) -> anyhow::Result<Self> {
        let create = |path: &Path| {
            let file = File::create(path)
                .with_context(|| format!("cannot create {} for the requests", path.display()));
            file.map(|file| (path.to_owned(), BufWriter::new(file)))
        };
        let lines = kept.requests.as_deref().map(create).transpose()?;
        Ok(Self { lines, failure: None, slowest: Slowest::new(kept.waterfall), clock })
    }

    /// Stops the trace when the file of requests cannot be written.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        let Some(error) = self.failure.take() else { return Ok(()) };
        let path = self.lines.as_ref().map(|(path, _)| path.display().to_string()).unwrap_or_default();
        Err(error).with_context(|| format!("cannot write requests to {path}"))
    }

    /// Everything is written.
    pub(super) fn flush(&mut self) -> anyhow::Result<()> {
        if let Some((_, lines)) = &mut self.lines
            && let Err(error) = lines.flush()
        {
            self.failure = Some(error);
        }
        self.check()
    }

    /// The breakdown, and the waterfalls below it.
    pub(super) fn table(&self, summary: &Summary) -> String {
        let mut text = table::breakdown(summary, self.clock);
        for (request, ()) in self.slowest.kept() {
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
        self.slowest.see(request, || ());
    }

    fn folded(&mut self, _: &Arc<Pod>, _: &Folded) {}

    fn call(&mut self, _: &Arc<Pod>, _: &Call, _: Attribution) {}

    fn flow(&mut self, _: &Arc<Pod>, _: FlowEvent) {}

    fn gone(&mut self, _: &Arc<Pod>) {}

    fn renamed(&mut self, _: &Arc<Pod>, _: &Arc<Pod>) {}
}
