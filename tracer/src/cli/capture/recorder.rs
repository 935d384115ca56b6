//! Takes packets out of the kernel's ring, and hands them out once it is known what to say about them.

use std::time::Duration;

use super::{
    comments::Commenter,
    held::{HeldPacket, Limits},
    selection::Selection,
};
use crate::{engine::Observer, session::Session, source::live::boot_time};

/// Packets taken per tick.
const PACKETS_PER_TICK: usize = 1 << 20;

/// Which requests' packets are wanted, and how long packets wait to be known as theirs.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Ring {
    /// Only packets of requests that took this long or longer (500ms, 2s), with their calls and lookups
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    slower_than: Option<Duration>,
    /// Seconds for which packets are kept until it is known whether their request is slow
    #[arg(long = "ring-seconds", value_name = "SECONDS", default_value_t = 10, requires = "slower_than",
          value_parser = clap::value_parser!(u64).range(1..=600))]
    hold_seconds: u64,
    /// MiB of memory for packets that wait until it is known what to say about them
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=4096))]
    hold_mib: u32,
}

impl Ring {
    /// As the flags by default, with a threshold and less memory.
    pub(super) fn within(slower_than: Option<Duration>, hold_mib: u32) -> Self {
        Self { slower_than, hold_seconds: 10, hold_mib }
    }

    /// From which duration on a request is slow.
    pub(super) fn slower_than(&self) -> Option<Duration> {
        self.slower_than
    }

    fn limits(&self) -> Limits {
        let age = self.slower_than.map(|_| self.hold_seconds * 1_000_000_000);
        Limits { bytes: self.hold_mib as usize * (1 << 20), age, ..Limits::default() }
    }

    fn nanoseconds(&self) -> Option<u64> {
        self.slower_than.map(|limit| u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX))
    }
}

/// Reads `500ms`, `2s`, `1.5s`.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let (number, scale) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(number), _) => (number, 0.001),
        (None, Some(number)) => (number, 1.0),
        _ => return Err(format!("{text} is not a duration, such as 500ms or 2s")),
    };
    let number: f64 =
        number.trim().parse().map_err(|_| format!("{text} is not a duration, such as 500ms or 2s"))?;
    Duration::try_from_secs_f64(number * scale).map_err(|error| format!("{text}: {error}"))
}

/// A capture between the kernel's ring and its output.
pub(super) struct Recorder {
    selection: Selection,
    commenter: Commenter,
    chooses_slow: bool,
}

impl Recorder {
    /// Takes what is selected; of that, with a threshold, what belongs to slow requests.
    pub(super) fn new(selection: Selection, ring: &Ring) -> Self {
        let commenter = Commenter::new(ring.limits(), ring.nanoseconds());
        Self { selection, commenter, chooses_slow: ring.slower_than.is_some() }
    }

    /// Takes what is in the ring.
    pub(super) fn take(&mut self, session: &mut Session) {
        let (selection, held) = (&self.selection, &mut self.commenter.held);
        session.drain_packets(PACKETS_PER_TICK, |record, pod| {
            held.push(record, |head, bytes| selection.wants(head, bytes, pod));
        });
    }

    /// What must hear of all that settles.
    pub(super) fn observer(&mut self) -> &mut dyn Observer {
        &mut self.commenter
    }

    /// The packets about which all is known.
    pub(super) fn ripe(&mut self, session: &Session) -> Vec<HeldPacket> {
        self.commenter.held.ripe(boot_time(), session.oldest_unsettled())
    }

    /// Whether all packets have been handed out.
    pub(super) fn is_empty(&self) -> bool {
        self.commenter.held.is_empty()
    }

    /// What is left, at the end.
    pub(super) fn rest(&mut self) -> Vec<HeldPacket> {
        self.commenter.held.all()
    }

    /// Packets that had to go before it was known whether a slow request owns them.
    pub(super) fn early(&self) -> u64 {
        self.commenter.held.early
    }

    /// Says how many slow requests there were.
    pub(super) fn report(&self) {
        let Commenter { slow, cut, .. } = self.commenter;
        if self.chooses_slow {
            eprintln!(
                "tracer: {slow} slow requests; of {cut} the beginning was gone (--ring-seconds, --hold-mib)"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("1.5s"), Ok(Duration::from_millis(1500)));
        for text in ["500", "ms", "-1s", "1e30s", "x s"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
