//! `tracer top`: a live table of the pods in the terminal.

mod cursor;
mod draw;
mod input;
mod picture;
mod recorder;
mod state;
mod terminal;

#[cfg(test)]
mod fixture;

use std::time::{Duration, Instant};

use self::{
    draw::Theme,
    picture::{Meter, Picture},
    recorder::Recorder,
    state::{Next, State},
    terminal::Terminal,
};
use super::{
    configured::Configured,
    naming::Naming,
    options::{Detail, Target, start},
    stop::{Stop, parse_seconds},
};
use crate::{
    finding::Period,
    session::{Session, TICK},
    source::live::{Options, boot_time, wall_clock},
};

/// Arguments of `tracer top`.
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
    /// Seconds from one picture to the next, which rates are of
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = parse_interval)]
    interval: Duration,
}

/// The shortest interval: two turns of the loop.
const SHORTEST: Duration = Duration::from_millis(100);
/// The longest interval.
const LONGEST: Duration = Duration::from_secs(3600);

fn parse_interval(text: &str) -> Result<Duration, String> {
    let interval = parse_seconds(text)?;
    let allowed = (SHORTEST..=LONGEST).contains(&interval);
    allowed.then_some(interval).ok_or_else(|| format!("{text} seconds are not between 0.1 and 3600"))
}

/// Traces and shows until the user has seen enough.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    terminal::require()?;
    let policy = args.configured.policy(Period::LastMinute)?;
    let options = Options { folding: args.detail.folding(Duration::MAX), ..args.target.options(0)? };
    let mut session = start(&options, policy, &args.naming)?;
    let stop = Stop::restoring()?;
    let mut terminal = Terminal::take()?;
    show(&mut session, &stop, &mut terminal, args.interval)
}

fn show(
    session: &mut Session,
    stop: &Stop,
    terminal: &mut Terminal,
    interval: Duration,
) -> anyhow::Result<()> {
    let theme = Theme::new(terminal::has_colours());
    let (mut recorder, mut meter) = (Recorder::default(), Meter::new(boot_time()));
    let (mut state, mut picture) = (State::new(), Picture::empty(wall_clock()));
    let mut inputs = vec![terminal.size()?];
    let mut next = Instant::now() + interval;
    while !stop.is_now() {
        let mut is_new = !inputs.is_empty();
        for input in inputs {
            if state.input(input, &picture) == Next::Quit {
                return Ok(());
            }
        }
        if Instant::now() >= next {
            next = Instant::now() + interval;
            recorder.advance(boot_time());
            let measured = meter.measure(session.summary()?, &recorder, boot_time(), wall_clock());
            if !state.is_paused {
                picture = measured;
                is_new = true;
            }
        }
        if is_new {
            terminal.draw(|frame| draw::draw(frame, &state, &picture, theme))?;
        }
        session.source().wait(TICK)?;
        session.tick(&mut recorder);
        inputs = terminal::inputs()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_at_least_a_tenth_of_a_second() {
        assert_eq!(parse_interval("0.5"), Ok(Duration::from_millis(500)));
        for refused in ["0", "0.05", "-1", "86400", "soon"] {
            assert!(parse_interval(refused).is_err(), "{refused}");
        }
    }
}
