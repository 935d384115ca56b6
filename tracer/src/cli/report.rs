//! `tracer report`: captured packets as one HTML page, to attach to a ticket.

use std::{
    fs::File,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context as _;

use super::{capture_file::Capture, configured::Configured, input::Input, slowest::Slowest};
use crate::{
    engine::{FlowEvent, Observer},
    export::html::{self, PacketNumbers, Report},
    finding::Period,
    offline::{Frames, Offline},
    pod::Pod,
    request::{Attribution, Call, Request, folded::Folded},
};

/// Arguments of `tracer report`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    configured: Configured,
    /// Where to write the page; `-` is standard output
    #[arg(short, long, value_name = "FILE", default_value = "report.html")]
    output: PathBuf,
    /// Show the N slowest requests
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(0..=1000))]
    requests: u16,
}

/// Reads, then writes the page.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    args.input.spare(&args.output)?;
    let policy = args.configured.policy(Period::WholeRun)?;
    let mut capture = Capture::open(&args.input)?;
    let metadata = args.input.metadata();
    let locals = capture.locals(&args.input, &metadata);
    let frames = Frames::default();
    let mut seen = Numbered { slowest: Slowest::new(args.requests.into()), frames: frames.clone() };
    let summary = {
        let mut offline = Offline::new(&locals, metadata, &mut seen, None);
        offline.judge_by(policy);
        offline.remember(frames);
        capture.replay(&mut offline)?;
        offline.summary()
    };
    let files: Vec<String> = args.input.files.iter().map(|file| file.display().to_string()).collect();
    let page = html::report(&Report {
        title: files.join(", "),
        summary: &summary,
        requests: seen.slowest.kept(),
        damage: capture.damage(),
    });
    write(&args.output, &page)?;
    Ok(capture.exit_code())
}

fn write(path: &Path, page: &str) -> anyhow::Result<()> {
    if path.as_os_str() == "-" {
        return io::stdout().write_all(page.as_bytes()).context("cannot write the report to standard output");
    }
    let written = File::create(path).and_then(|mut file| file.write_all(page.as_bytes()));
    written.with_context(|| format!("cannot write the report to {}", path.display()))?;
    eprintln!("tracer: wrote {}", path.display());
    Ok(())
}

/// Keeps the slowest requests with the numbers of their packets.
struct Numbered {
    slowest: Slowest<PacketNumbers>,
    frames: Frames,
}

impl Observer for Numbered {
    fn request(&mut self, request: &Request) {
        self.slowest.see(request, || numbers(&self.frames, request));
    }

    fn folded(&mut self, _: &Arc<Pod>, _: &Folded) {}

    fn call(&mut self, _: &Arc<Pod>, _: &Call, _: Attribution) {}

    fn flow(&mut self, _: &Arc<Pod>, _: FlowEvent) {}

    fn gone(&mut self, _: &Arc<Pod>) {}

    fn renamed(&mut self, _: &Arc<Pod>, _: &Arc<Pod>) {}
}

/// Times name packets: none is rarer than a nanosecond, and of two at the same time the first counts.
fn numbers(frames: &Frames, request: &Request) -> PacketNumbers {
    let messages = &request.messages;
    let pair = |first, last| (frames.at(first), frames.at(last));
    PacketNumbers {
        request: pair(messages.request_first, messages.request_last),
        response: pair(messages.response_first, messages.response_last),
        calls: request.calls.iter().map(|call| pair(call.call.start, call.call.end)).collect(),
    }
}
