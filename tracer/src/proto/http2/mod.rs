//! HTTP/2 (RFC 9113) with HPACK (RFC 7541), and gRPC over it: both directions of a connection, as an observer.
//!
//! Frames of the two directions become header blocks and counted bytes (`reader`), these become streams
//! (`streams`). DATA is counted, never held. Nothing is guessed: what depends on bytes that were not seen is
//! unknown.
//!
//! - Missing bytes inside a frame whose header was seen do not lose the place. Missing DATA is only counted; of a
//!   header block that is not all there the fields are unknown, and so are the HPACK entries from before.
//! - Missing bytes anywhere else lose the place of that direction: streams that need it end as cut. The place is
//!   found again as in a connection that was joined in the middle, by a chain of plausible frames (`search`).
//! - A direction that no endpoint would go on reading makes the connection broken: all streams end as cut, and
//!   nothing more is read.
//!
//! An exchange is [`Outcome::Complete`] with the last byte of its response; it is told when the request is over
//! as well. Interim responses (1xx) are no part of it.

mod block;
mod counters;
mod frame;
mod hpack;
mod message;
mod pair;
mod reader;
mod search;
mod streams;
mod window;

pub use counters::{Counters, ERROR_CODES, Goaway, Sent};
pub use reader::PREFACE;
pub use search::is_made_of_frames;
pub use streams::STREAM_LIMIT;

use super::stream::{End, Event, Head, Outcome, Part, Seen, Side, Stream};
use block::{Block, Unread};
use pair::Pair;
use reader::{DataEnd, Reader, Step};
use streams::{Scene, Streams};
use window::Window;

/// Settings that matter to an observer (RFC 9113, section 6.5.2).
mod setting {
    pub(super) const HEADER_TABLE_SIZE: u16 = 1;
    pub(super) const INITIAL_WINDOW_SIZE: u16 = 4;
    pub(super) const MAX_FRAME_SIZE: u16 = 5;
}

/// A connection.
///
/// Holds at most, for each direction, 256 KiB of an unfinished header block and a header table of 64 KiB, and
/// [`STREAM_LIMIT`] streams; less where a [`Memory`](super::memory::Memory) bounds many connections.
#[derive(Debug)]
pub struct Connection {
    readers: Pair<Reader>,
    streams: Streams,
    counters: Counters,
    flow: Flow,
    /// Every frame of the client was seen.
    all_of_client: bool,
    /// Who ended its bytes first.
    ended: Option<Side>,
}

/// The flow control of both senders.
#[derive(Debug)]
struct Flow {
    windows: Pair<Window>,
    /// Of new streams.
    initial: Pair<i64>,
    /// All that changes windows was seen.
    known: bool,
}

impl Connection {
    /// From the client's preface on: prior knowledge, or agreed on in TLS.
    #[must_use]
    pub fn new() -> Self {
        let initial = Pair { client: window::DEFAULT, server: window::DEFAULT };
        Self {
            readers: Pair { client: Reader::new(Side::Client), server: Reader::new(Side::Server) },
            streams: Streams::default(),
            counters: Counters::default(),
            flow: Flow { windows: Pair::default(), initial, known: true },
            all_of_client: true,
            ended: None,
        }
    }

    /// From the byte after `101 Switching Protocols` on, and from the client's preface on. `request` and `head`
    /// are those of the HTTP/1 request that asked for it: it becomes stream 1 (RFC 7540, section 3.2), which is
    /// not told as begun again.
    #[must_use]
    pub fn upgraded(request: Part, head: Head) -> Self {
        let mut connection = Self { streams: Streams::upgraded(request, head), ..Self::new() };
        // The settings in the request are not known.
        connection.settings_unseen(Side::Client);
        connection
    }

    /// From anywhere on. Until its frames are found a direction says nothing; what it said before stays unknown.
    #[must_use]
    pub fn joined() -> Self {
        let mut connection = Self { all_of_client: false, ..Self::new() };
        for side in [Side::Client, Side::Server] {
            connection.readers.of_mut(side).lose();
            connection.settings_unseen(side);
        }
        connection
    }

    /// What happened besides the exchanges. Waiting for a window counts when it is over.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The place in a direction's frames is lost, or found again only now.
    fn lose(&mut self, from: Side, seen: Seen, tell: &mut dyn FnMut(Event)) {
        self.all_of_client &= from == Side::Server;
        self.settings_unseen(from);
        let mut scene = Scene { seen, counters: &mut self.counters, tell };
        self.streams.without(from, Outcome::Cut, &mut scene);
    }

    /// SETTINGS and `WINDOW_UPDATE` of a side may have gone unseen.
    fn settings_unseen(&mut self, from: Side) {
        self.flow.known = false;
        self.readers.of_mut(from.opposite()).allow_all();
    }

    fn step(&mut self, from: Side, seen: Seen, step: Step, tell: &mut dyn FnMut(Event)) {
        let sent = self.counters.of_mut(from);
        match step {
            Step::Setting { id, value } => return self.set(from, id, value),
            Step::Settings { ack: false } => {
                sent.settings += 1;
                return self.readers.of_mut(from.opposite()).decoder.settings();
            }
            Step::Settings { ack: true } => return self.readers.of_mut(from).decoder.acknowledged(),
            Step::Ping { ack: false } => return sent.pings += 1,
            Step::Ping { ack: true } => return sent.ping_acks += 1,
            Step::WindowUpdate { stream, increment } => return self.refill(from, seen, stream, increment),
            Step::Found => return self.lose(from, seen, tell),
            _ => {}
        }
        let mut scene = Scene { seen, counters: &mut self.counters, tell };
        match step {
            Step::Headers(block) => {
                count_unread(scene.counters.of_mut(from), &block);
                match from {
                    Side::Client => self.streams.client_headers(&block, self.all_of_client, &mut scene),
                    Side::Server => self.streams.server_headers(&block, self.all_of_client, &mut scene),
                }
            }
            Step::Data { stream, bytes, end } => {
                if let Some(end) = end {
                    self.flow.spend(from, stream, end, &mut self.streams, &mut scene);
                }
                let last = end.is_some_and(|end| end.end_stream);
                self.streams.data(from, stream, bytes, last, &mut scene);
            }
            Step::Reset { stream, code } => {
                scene.counters.of_mut(from).reset(code);
                self.streams.reset(from, stream, &mut scene);
            }
            Step::Goaway { last, code } => {
                scene.counters.of_mut(from).goaway = Some(Goaway { last, code });
                self.streams.goaway(from, last, &mut scene);
            }
            Step::Broken => {
                scene.counters.broken = true;
                self.finish(Outcome::Cut, seen, tell);
            }
            _ => {}
        }
    }

    /// A side says how it wants to be spoken to.
    fn set(&mut self, from: Side, id: u16, value: u32) {
        let other = self.readers.of_mut(from.opposite());
        match id {
            setting::HEADER_TABLE_SIZE => other.decoder.announce(value),
            setting::MAX_FRAME_SIZE => other.allow_length(value),
            setting::INITIAL_WINDOW_SIZE => *self.flow.initial.of_mut(from.opposite()) = value.into(),
            _ => {}
        }
    }

    /// A side lets the other one send more.
    fn refill(&mut self, from: Side, seen: Seen, stream: u32, increment: u32) {
        if !self.flow.known {
            return;
        }
        let sender = from.opposite();
        let sent = self.counters.of_mut(sender);
        if stream == 0 {
            let window = self.flow.windows.of_mut(sender);
            sent.stalled(window.refill(increment, window::DEFAULT, seen.time));
        } else if let Some(stream) = self.streams.get_mut(stream) {
            let initial = *self.flow.initial.of(sender);
            sent.stalled_streams(stream.windows.of_mut(sender).refill(increment, initial, seen.time));
        }
    }

    /// Nothing more is read.
    fn finish(&mut self, outcome: Outcome, seen: Seen, tell: &mut dyn FnMut(Event)) {
        self.readers.client.stop();
        self.readers.server.stop();
        for side in [Side::Client, Side::Server] {
            let stalled = self.flow.windows.of_mut(side).close(seen.time);
            self.counters.of_mut(side).stalled(stalled);
        }
        let mut scene = Scene { seen, counters: &mut self.counters, tell };
        self.streams.end_all(outcome, &mut scene);
    }
}

impl Default for Connection {
    fn default() -> Self {
        Self::new()
    }
}

impl Flow {
    /// A DATA frame is complete.
    fn spend(&mut self, from: Side, id: u32, end: DataEnd, streams: &mut Streams, scene: &mut Scene<'_>) {
        if !self.known {
            return;
        }
        let (more, time) = (!end.end_stream, scene.seen.time);
        let sent = scene.counters.of_mut(from);
        sent.stalled(self.windows.of_mut(from).spend(end.length, window::DEFAULT, more, time));
        if let Some(stream) = streams.get_mut(id) {
            let window = stream.windows.of_mut(from);
            sent.stalled_streams(window.spend(end.length, *self.initial.of(from), more, time));
        }
    }
}

fn count_unread(sent: &mut Sent, block: &Block) {
    match block.fields {
        Ok(_) => {}
        Err(Unread::Cut) => sent.blocks_cut += 1,
        Err(Unread::Missing | Unread::Malformed) => sent.blocks_unread += 1,
    }
}

impl Stream for Connection {
    fn bytes(&mut self, from: Side, seen: Seen, bytes: &[u8], tell: &mut dyn FnMut(Event)) -> usize {
        let mut rest = bytes;
        self.readers.of_mut(from).delivery();
        while let Some(step) = self.readers.of_mut(from).next(seen, &mut rest) {
            self.step(from, seen, step, tell);
        }
        bytes.len()
    }

    fn gap(&mut self, from: Side, seen: Seen, length: u64, tell: &mut dyn FnMut(Event)) {
        if length == 0 {
            return;
        }
        let reader = self.readers.of_mut(from);
        if reader.gap(length) {
            self.bytes(from, seen, &[], tell);
            return;
        }
        let known = reader.in_frames();
        reader.lose();
        if known {
            self.counters.of_mut(from).losses += 1;
            self.lose(from, seen, tell);
        }
    }

    fn end(&mut self, from: Side, seen: Seen, end: End, tell: &mut dyn FnMut(Event)) {
        let first = *self.ended.get_or_insert(from);
        // What a stream waited for may be among what was not read.
        let outcome =
            |reader: &Reader| if reader.in_frames() { Outcome::Aborted(first) } else { Outcome::Cut };
        match end {
            End::Fin if first == from => {
                let outcome = outcome(self.readers.of(from));
                let mut scene = Scene { seen, counters: &mut self.counters, tell };
                self.streams.without(from, outcome, &mut scene);
            }
            End::Fin | End::Reset => self.finish(outcome(&self.readers.server), seen, tell),
            End::Unknown => self.finish(Outcome::Cut, seen, tell),
        }
    }

    fn held(&self) -> usize {
        self.readers.client.held() + self.readers.server.held() + self.streams.held()
    }

    /// What is known of header fields goes first, then the oldest streams.
    fn shed(&mut self, room: usize, seen: Seen, tell: &mut dyn FnMut(Event)) {
        for side in [Side::Client, Side::Server] {
            if self.held() > room && self.readers.of_mut(side).shed() {
                self.counters.of_mut(side).tables_cut += 1;
            }
        }
        let rest = room.saturating_sub(self.readers.client.held() + self.readers.server.held());
        let mut scene = Scene { seen, counters: &mut self.counters, tell };
        self.streams.shed(rest, &mut scene);
    }
}

#[cfg(test)]
mod tests;
