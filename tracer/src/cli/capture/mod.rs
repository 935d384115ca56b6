//! `tracer capture`: packets for Wireshark.

mod asked;
mod comments;
mod held;
mod http;
mod masking;
mod names;
mod output;
mod recorder;
mod remote;
mod selection;
mod stream;
mod wanted;

use std::{path::PathBuf, time::Duration};

pub(super) use self::{
    asked::Asked,
    stream::{Captures, Piece, Refusal},
};
use self::{
    masking::{Masking, Payload},
    names::Rotation,
    output::Sink,
    recorder::{Recorder, Ring},
    remote::Remote,
    selection::Wish,
};
use super::{
    configured::Configured,
    options::{Target, start},
    stop::{Stop, parse_seconds},
};
use crate::{finding::Period, session::TICK};

/// Arguments of `tracer capture`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    configured: Configured,
    #[command(flatten)]
    remote: Remote,
    /// File to write, or - for standard output (as in: tracer capture -w - | wireshark -k -i -)
    #[arg(short = 'w', long = "write", short_alias = 'o', alias = "output", value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    rotation: Rotation,
    #[command(flatten)]
    wish: Wish,
    #[command(flatten)]
    ring: Ring,
    /// Payload to write: secrets are masked whatever is asked for
    #[arg(long, value_enum, default_value_t)]
    payload: Payload,
    /// Bytes to keep of each packet [default: 2048; 65536 with --payload full]
    #[arg(short = 's', long = "snapshot-length", value_name = "BYTES",
          value_parser = clap::value_parser!(u32).range(64..=65536))]
    snap_length: Option<u32>,
    /// Stop after this many packets
    #[arg(short = 'c', long, value_name = "COUNT")]
    count: Option<u64>,
    /// Seconds to capture; until interrupted when not given
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    duration: Option<Duration>,
}

impl Args {
    fn snap_length(&self) -> u32 {
        self.snap_length.unwrap_or(if self.payload == Payload::Full { 65_536 } else { 2_048 })
    }
}

/// Captures until stopped.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    if let Some(url) = &args.remote.agent {
        // What is wrong with the expression is known here, too.
        args.wish.selection()?;
        let query = Asked::query(&args.wish, args.ring.slower_than(), args.duration);
        return remote::run(&args.remote, url, &query, &args.file);
    }
    let policy = args.configured.policy(Period::LastMinute)?;
    let mut recorder = Recorder::new(args.wish.selection()?, &args.ring);
    let sink = Sink::open(&args.file, args.rotation)?;
    let options = args.target.options(args.snap_length())?;
    let mut session = start(&options, policy)?;
    let mut output = sink.begin(args.count, Masking::new(args.payload, options.metadata))?;
    let stop = Stop::after(args.duration)?;
    while !stop.is_now() && !output.is_full() {
        session.source().wait(TICK)?;
        // Packets first: what settles next may be about them.
        recorder.take(&mut session);
        session.tick(recorder.observer());
        let ripe = recorder.ripe(&session);
        output.write(&mut session, ripe)?;
    }
    recorder.take(&mut session);
    session.finish(recorder.observer());
    recorder.take(&mut session);
    let rest = recorder.rest();
    output.write(&mut session, rest)?;
    output.finish(&session, recorder.early())?;
    recorder.report();
    Ok(())
}
