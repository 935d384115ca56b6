//! The streams of a connection that are in flight.

use std::collections::BTreeMap;
use std::mem;

use super::super::stream::{Event, Head, Outcome, PATH_LIMIT, Part, Seen, Side};
use super::block::Block;
use super::counters::Counters;
use super::hpack::Fields;
use super::message::InFlight;

/// Most streams in flight; the oldest then ends as cut, and is counted.
pub const STREAM_LIMIT: usize = 4096;

/// Bytes of memory that a stream in flight takes at most: a tree's nodes may be half full.
const COST: usize = 2 * size_of::<(u32, InFlight)>() + PATH_LIMIT;

/// Where and when something happens, and who is to know.
pub(super) struct Scene<'a> {
    pub(super) seen: Seen,
    pub(super) counters: &'a mut Counters,
    pub(super) tell: &'a mut dyn FnMut(Event),
}

/// Streams in flight, by who began them.
#[derive(Debug, Default)]
pub(super) struct Streams {
    asked: BTreeMap<u32, InFlight>,
    pushed: BTreeMap<u32, InFlight>,
    /// The last stream that a request began, and that a push promised. Ids grow: what is not above and not in
    /// flight is over.
    last_asked: u32,
    last_pushed: u32,
    /// The last stream that ended without its request having been seen.
    last_unasked: u32,
    /// Last stream that the server, and the client, acts on.
    last_of_server: Option<u32>,
    last_of_client: Option<u32>,
}

impl Streams {
    /// Stream 1 was begun by HTTP/1.
    pub(super) fn upgraded(request: Part, head: Head) -> Self {
        let asked = BTreeMap::from([(1, InFlight::upgraded(request, head))]);
        Self { asked, last_asked: 1, ..Self::default() }
    }

    pub(super) fn get_mut(&mut self, id: u32) -> Option<&mut InFlight> {
        self.of(id).get_mut(&id)
    }

    /// A header block of the client is complete. `all` says that nothing of the client went unseen.
    pub(super) fn client_headers(&mut self, block: &Block, all: bool, scene: &mut Scene<'_>) {
        let id = block.stream;
        if !self.asked.contains_key(&id) {
            // Trailers of a request that was not seen end its stream, and say nothing that only requests say.
            let of_request = block.fields.as_ref().is_ok_and(|fields| fields.of_request);
            let request = all || of_request || !block.end_stream;
            if self.is_over(id) || !request {
                return;
            }
            self.insert(id, InFlight::default(), scene);
        }
        self.last_asked = self.last_asked.max(id);
        let Some(stream) = self.asked.get_mut(&id) else { return };
        if let Some(begun) = stream.client_headers(id, scene.seen, block) {
            (scene.tell)(begun);
        }
        if self.last_of_server.is_some_and(|last| id > last) {
            self.finish(id, Outcome::Aborted(Side::Server), scene);
        } else {
            self.settle(id, scene);
        }
    }

    /// A header block of the server is complete.
    pub(super) fn server_headers(&mut self, block: &Block, all: bool, scene: &mut Scene<'_>) {
        let fields = block.fields.as_ref().ok();
        if let Some(promised) = block.promised {
            return self.promise(promised, fields, scene);
        }
        let id = block.stream;
        if self.get_mut(id).is_none() {
            // What ends a stream without a status may be trailers.
            let response = !block.end_stream || fields.is_some_and(|fields| fields.status.is_some());
            if is_pushed(id) || self.is_over(id) || !response {
                return;
            }
            self.insert(id, InFlight::answered(all), scene);
        }
        if let Some(stream) = self.get_mut(id) {
            stream.server_headers(scene.seen, block);
        }
        self.settle(id, scene);
    }

    fn promise(&mut self, id: u32, fields: Option<&Fields>, scene: &mut Scene<'_>) {
        let taken = self.last_of_client.is_none_or(|last| id <= last);
        if is_pushed(id) && id > self.last_pushed && taken {
            self.last_pushed = id;
            self.insert(id, InFlight::pushed(fields), scene);
        }
    }

    /// Bytes of a DATA frame came; `end` when they complete a frame that ends its message.
    pub(super) fn data(&mut self, from: Side, id: u32, bytes: u64, end: bool, scene: &mut Scene<'_>) {
        let Some(stream) = self.get_mut(id) else { return };
        stream.data(from, scene.seen, bytes, end);
        if end {
            self.settle(id, scene);
        }
    }

    /// A side gave a stream up.
    pub(super) fn reset(&mut self, from: Side, id: u32, scene: &mut Scene<'_>) {
        self.finish(id, Outcome::Aborted(from), scene);
    }

    /// A side does not act on the other's streams above `last`.
    pub(super) fn goaway(&mut self, from: Side, last: u32, scene: &mut Scene<'_>) {
        let (limit, streams) = match from {
            Side::Server => (&mut self.last_of_server, &mut self.asked),
            Side::Client => (&mut self.last_of_client, &mut self.pushed),
        };
        let last = limit.map_or(last, |limit| limit.min(last));
        *limit = Some(last);
        if streams.last_key_value().is_some_and(|(id, _)| *id > last) {
            for (id, stream) in streams.split_off(&last.saturating_add(1)) {
                self.end(id, stream, Outcome::Aborted(from), scene);
            }
        }
    }

    /// No more bytes of a side are to be had: ends the streams that need them.
    pub(super) fn without(&mut self, from: Side, outcome: Outcome, scene: &mut Scene<'_>) {
        let needs = |_: &u32, stream: &mut InFlight| !stream.survives_without(from) || stream.is_over();
        let mut ended: Vec<_> = self.asked.extract_if(.., needs).collect();
        ended.extend(self.pushed.extract_if(.., needs));
        for (id, stream) in ended {
            self.end(id, stream, outcome, scene);
        }
    }

    /// Ends all streams.
    pub(super) fn end_all(&mut self, outcome: Outcome, scene: &mut Scene<'_>) {
        for streams in [mem::take(&mut self.asked), mem::take(&mut self.pushed)] {
            for (id, stream) in streams {
                self.end(id, stream, outcome, scene);
            }
        }
    }

    /// Bytes of memory that they take; one stream is free.
    pub(super) fn held(&self) -> usize {
        (self.asked.len() + self.pushed.len()).saturating_sub(1).saturating_mul(COST)
    }

    /// Ends the oldest as cut, until as many bytes are left or one stream.
    pub(super) fn shed(&mut self, room: usize, scene: &mut Scene<'_>) {
        while self.held() > room && self.end_oldest(scene) {}
    }

    /// Ends the oldest stream as cut. False when there is none.
    fn end_oldest(&mut self, scene: &mut Scene<'_>) -> bool {
        let most = if self.asked.len() >= self.pushed.len() { &mut self.asked } else { &mut self.pushed };
        let Some((oldest, stream)) = most.pop_first() else { return false };
        scene.counters.streams_cut += 1;
        self.end(oldest, stream, Outcome::Cut, scene);
        true
    }

    /// Whether a stream of the client that is not in flight was.
    fn is_over(&self, id: u32) -> bool {
        id <= self.last_asked.max(self.last_unasked)
    }

    fn insert(&mut self, id: u32, stream: InFlight, scene: &mut Scene<'_>) {
        if self.asked.len() + self.pushed.len() >= STREAM_LIMIT {
            self.end_oldest(scene);
        }
        self.of(id).insert(id, stream);
    }

    fn of(&mut self, id: u32) -> &mut BTreeMap<u32, InFlight> {
        if is_pushed(id) { &mut self.pushed } else { &mut self.asked }
    }

    /// Ends a stream of which nothing more is to come.
    fn settle(&mut self, id: u32, scene: &mut Scene<'_>) {
        if self.get_mut(id).is_some_and(|stream| stream.is_over()) {
            self.finish(id, Outcome::Complete, scene);
        }
    }

    fn finish(&mut self, id: u32, outcome: Outcome, scene: &mut Scene<'_>) {
        if let Some(stream) = self.of(id).remove(&id) {
            self.end(id, stream, outcome, scene);
        }
    }

    fn end(&mut self, id: u32, mut stream: InFlight, outcome: Outcome, scene: &mut Scene<'_>) {
        for side in [Side::Client, Side::Server] {
            let stalled = stream.windows.of_mut(side).close(scene.seen.time);
            scene.counters.of_mut(side).stalled_streams(stalled);
        }
        let exchange = stream.exchange(id, outcome);
        if exchange.request.is_none() && !is_pushed(id) {
            self.last_unasked = self.last_unasked.max(id);
        }
        (scene.tell)(Event::Ended(exchange));
    }
}

/// The server's streams have even ids (RFC 9113, section 5.1.1).
fn is_pushed(id: u32) -> bool {
    id.is_multiple_of(2)
}
