//! `tracer capture`: packets for Wireshark.

mod comments;
mod held;
mod output;

use std::{path::PathBuf, time::Duration};

use self::{comments::Commenter, held::Held, output::Sink};
use super::{
    configured::Configured,
    naming::Naming,
    options::{Target, start},
    stop::{Stop, parse_seconds},
};
use crate::{
    finding::Period,
    session::{Session, TICK},
    source::live::{boot_time, wall_clock},
};

/// Packets taken per tick.
const PACKETS_PER_TICK: usize = 1 << 20;

/// Arguments of `tracer capture`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    naming: Naming,
    #[command(flatten)]
    configured: Configured,
    /// File to write, or - for standard output (as in: tracer capture -w - | wireshark -k -i -)
    #[arg(short = 'w', long = "write", value_name = "FILE")]
    file: PathBuf,
    /// Bytes to keep of each packet
    #[arg(short = 's', long = "snapshot-length", value_name = "BYTES", default_value_t = 2048,
          value_parser = clap::value_parser!(u32).range(64..=65536))]
    snap_length: u32,
    /// Stop after this many packets
    #[arg(short = 'c', long, value_name = "COUNT")]
    count: Option<u64>,
    /// Seconds to capture; until interrupted when not given
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    duration: Option<Duration>,
}

/// Captures until stopped.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let policy = args.configured.policy(Period::LastMinute)?;
    let output = Sink::open(&args.file)?;
    let options = args.target.options(args.snap_length)?;
    let mut session = start(&options, policy, &args.naming)?;
    let mut output = output.begin(args.count, options.metadata)?;
    let stop = Stop::after(args.duration)?;
    let mut commenter = Commenter::default();
    while !stop.is_now() && !output.is_full() {
        session.source().wait(TICK)?;
        // Packets first: what settles next may be about them.
        hold(&mut session, &mut commenter.held);
        session.tick(&mut commenter);
        let ripe = commenter.held.ripe(boot_time(), session.oldest_unsettled());
        output.write(&mut session, ripe)?;
    }
    hold(&mut session, &mut commenter.held);
    session.finish(&mut commenter);
    hold(&mut session, &mut commenter.held);
    let rest = commenter.held.all();
    output.write(&mut session, rest)?;
    output.finish(&session, wall_clock().unix_ns(boot_time()))
}

fn hold(session: &mut Session, held: &mut Held) {
    session.source_mut().drain_packets(PACKETS_PER_TICK, |bytes| held.push(bytes));
}
