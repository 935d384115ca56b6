//! Captures for readers elsewhere: the agent's tracing loop feeds them, a bounded channel carries them away.
//!
//! One at a time, for a bounded time. Who reads too slowly is left behind: the loop never waits.

use std::{
    io::{self, Write},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::mpsc::{Receiver, Sender, channel, error::TrySendError};

use super::{
    asked::Asked,
    held::HeldPacket,
    masking::{Masking, Payload},
    recorder::Recorder,
};
use crate::{
    engine::{FlowEvent, Observer},
    export::pcapng::{Losses, Packet, WriteError, Writer},
    finding::Event,
    pod::Pod,
    request::{Attribution, Call, Request, folded::Folded},
    session::Session,
    source::live::{boot_time, wall_clock},
};

/// Pieces that wait for the reader: of 64 KiB at most, and one per tick at least, so that it may pause for three seconds.
const PIECES: usize = 64;
/// How long the end waits for what has not settled.
const LINGER: Duration = Duration::from_secs(3);
/// Packets that are thrown away at most when a capture begins: more than the ring holds.
const STALE: usize = 1 << 20;

/// A piece of a file.
pub(in crate::cli) type Piece = Vec<u8>;

/// Why a capture does not begin.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum Refusal {
    /// The programs were loaded without the code for it.
    #[error("captures are not allowed: start the agent with --allow-capture")]
    NotAllowed,
    /// There is one.
    #[error("another capture is running: one at a time")]
    Busy,
    /// What is asked for is wrong.
    #[error("{0}")]
    Wrong(String),
    /// The kernel, or the reader at once.
    #[error("cannot begin the capture: {0}")]
    Failed(String),
}

/// The captures of a tracing loop.
pub(in crate::cli) struct Captures {
    /// Bytes of each packet; 0 when captures are not allowed.
    snap_length: u32,
    metadata: Vec<std::net::IpAddr>,
    current: Option<Current>,
    /// Captures that ended because their reader was too slow.
    pub(in crate::cli) readers_dropped: u64,
}

/// The capture that runs.
struct Current {
    recorder: Recorder,
    writer: Writer<Pieces>,
    masking: Masking,
    until: Instant,
    /// Packets that the kernel had lost before.
    dropped: u64,
    /// To see whether somebody reads.
    sender: Sender<Piece>,
}

/// The sending end of the channel.
struct Pieces(Sender<Piece>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.try_send(bytes.to_vec()) {
            Ok(()) => Ok(bytes.len()),
            Err(TrySendError::Full(_)) => Err(io::ErrorKind::TimedOut.into()),
            Err(TrySendError::Closed(_)) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Captures {
    /// Captures of at most `snap_length` bytes of each packet; 0 allows none.
    pub(in crate::cli) fn new(snap_length: u32, metadata: Vec<std::net::IpAddr>) -> Self {
        Self { snap_length, metadata, current: None, readers_dropped: 0 }
    }

    /// Begins a capture; its pieces come out of the receiver.
    pub(in crate::cli) fn begin(
        &mut self,
        session: &mut Session,
        asked: &Asked,
    ) -> Result<Receiver<Piece>, Refusal> {
        if self.snap_length == 0 {
            return Err(Refusal::NotAllowed);
        }
        if self.current.as_ref().is_some_and(|current| !current.is_left()) {
            return Err(Refusal::Busy);
        }
        let order = asked.order().map_err(Refusal::Wrong)?;
        let failed = |error: &dyn std::fmt::Display| Refusal::Failed(error.to_string());
        // What the last one left is not for this one.
        session.drain_packets(STALE, |_, _| {});
        let dropped = session.packets().map_err(|error| failed(&error))?.dropped;
        let (sender, receiver) = channel(PIECES);
        let start = wall_clock().unix_ns(boot_time());
        let writer = Writer::new(Pieces(sender.clone()), start).map_err(|error| failed(&error))?;
        session.capture(self.snap_length).map_err(|error| failed(&error))?;
        session.hold_folding(true);
        self.current = Some(Current {
            recorder: order.recorder,
            writer,
            masking: Masking::new(Payload::Headers, self.metadata.clone()),
            until: Instant::now() + order.duration,
            dropped,
            sender,
        });
        Ok(receiver)
    }

    /// As [`Session::tick`]; the capture that runs takes its packets and hears what settles.
    pub(in crate::cli) fn tick(&mut self, session: &mut Session, observer: &mut dyn Observer) {
        let Some(mut current) = self.current.take() else {
            session.tick(observer);
            return;
        };
        // Packets first: what settles next may be about them.
        current.recorder.take(session);
        session.tick(&mut Both(observer, current.recorder.observer()));
        let over = Instant::now();
        if over >= current.until {
            stop(session);
            // What passed before.
            current.recorder.take(session);
        }
        let ended = current.is_left()
            || (over >= current.until && current.recorder.is_empty())
            || over >= current.until + LINGER;
        let packets = if ended { current.recorder.rest() } else { current.recorder.ripe(session) };
        match current.write(session, packets) {
            Err(error) => self.failed(session, &error),
            Ok(()) if ended => {
                end(session);
                if let Err(error) = current.finish(session) {
                    self.failed(session, &error);
                }
            }
            Ok(()) => self.current = Some(current),
        }
    }

    fn failed(&mut self, session: &mut Session, error: &WriteError) {
        end(session);
        if error.source.kind() == io::ErrorKind::TimedOut {
            self.readers_dropped += 1;
            tracing::warn!(
                "ended a capture: its reader was too slow, after {} packets",
                error.written.packets
            );
        }
    }
}

/// Ends the kernel's part.
fn stop(session: &mut Session) {
    if let Err(error) = session.capture(0) {
        tracing::warn!("cannot stop the kernel's part of a capture: {error}");
    }
}

/// Ends it, also for what has settled late: until then, requests whose packets are held must be told of.
fn end(session: &mut Session) {
    stop(session);
    // What a program was about to hand over is nobody's, and no loss.
    session.drain_packets(STALE, |_, _| {});
    session.hold_folding(false);
}

impl Current {
    /// Whether nobody reads any more.
    fn is_left(&self) -> bool {
        self.sender.is_closed()
    }

    fn write(&mut self, session: &mut Session, packets: Vec<HeldPacket>) -> Result<(), WriteError> {
        let clock = wall_clock();
        for mut packet in packets {
            self.masking.mask(&packet.head, &mut packet.bytes);
            self.writer.packet(&Packet {
                pod: &session.pod(packet.head.cgroup),
                head: &packet.head,
                bytes: &packet.bytes,
                unix_ns: clock.unix_ns(packet.head.time),
                comments: &packet.comments,
            })?;
        }
        self.writer.flush()
    }

    fn finish(self, session: &Session) -> Result<(), WriteError> {
        let dropped = session.packets().map_or(self.dropped, |packets| packets.dropped);
        let losses = Losses { kernel: dropped.saturating_sub(self.dropped), early: self.recorder.early() };
        self.writer.finish(wall_clock().unix_ns(boot_time()), losses).map(drop)
    }
}

/// Two that hear the same.
struct Both<'a>(&'a mut dyn Observer, &'a mut dyn Observer);

impl Observer for Both<'_> {
    fn request(&mut self, request: &Request) {
        self.0.request(request);
        self.1.request(request);
    }

    fn folded(&mut self, pod: &Arc<Pod>, folded: &Folded) {
        self.0.folded(pod, folded);
        self.1.folded(pod, folded);
    }

    fn call(&mut self, pod: &Arc<Pod>, call: &Call, attribution: Attribution) {
        self.0.call(pod, call, attribution);
        self.1.call(pod, call, attribution);
    }

    fn flow(&mut self, pod: &Arc<Pod>, event: FlowEvent) {
        self.0.flow(pod, event);
        self.1.flow(pod, event);
    }

    fn finding(&mut self, event: &Event<'_>) {
        self.0.finding(event);
        self.1.finding(event);
    }

    fn gone(&mut self, pod: &Arc<Pod>) {
        self.0.gone(pod);
        self.1.gone(pod);
    }

    fn renamed(&mut self, from: &Arc<Pod>, to: &Arc<Pod>) {
        self.0.renamed(from, to);
        self.1.renamed(from, to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_is_slow_or_gone_is_told_apart() {
        let (sender, mut receiver) = channel(1);
        let mut pieces = Pieces(sender);
        assert_eq!(pieces.write(b"one").unwrap(), 3);
        assert_eq!(pieces.write(b"two").unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(receiver.try_recv().unwrap(), b"one");
        drop(receiver);
        assert_eq!(pieces.write(b"two").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
