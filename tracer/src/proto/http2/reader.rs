//! Frames of one direction, from bytes split anywhere.

use super::super::stream::{Seen, Side};
use super::block::{Block, Open, empty};
use super::frame::{ABSOLUTE_MAX, ACK, DEFAULT_MAX, END_HEADERS, END_STREAM, HEADER, Header, Kind, word};
use super::hpack::Decoder;
use super::search::{Search, fill};

/// What a client sends first (RFC 9113, section 3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What bytes bring.
#[derive(Debug)]
pub(super) enum Step {
    /// Bytes of a DATA frame.
    Data {
        stream: u32,
        /// With the frame's header, when they are its first.
        bytes: u64,
        /// The frame is complete.
        end: Option<DataEnd>,
    },
    /// A header block is complete.
    Headers(Block),
    Reset {
        stream: u32,
        code: u32,
    },
    Setting {
        id: u16,
        value: u32,
    },
    /// A SETTINGS frame is complete.
    Settings {
        ack: bool,
    },
    Ping {
        ack: bool,
    },
    Goaway {
        last: u32,
        code: u32,
    },
    WindowUpdate {
        stream: u32,
        increment: u32,
    },
    /// Frames were found again.
    Found,
    /// It is not HTTP/2: nothing more comes.
    Broken,
}

/// The end of a DATA frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct DataEnd {
    pub(super) end_stream: bool,
    /// What flow control counts: the payload with its padding.
    pub(super) length: u32,
}

#[derive(Debug)]
enum State {
    /// Bytes of the preface that were seen.
    Preface(usize),
    Header,
    Payload,
    Search(Search),
    Broken,
}

/// Reads one direction.
#[derive(Debug)]
pub(super) struct Reader {
    from: Side,
    state: State,
    /// Of a frame header, or of an item of a small frame.
    bytes: [u8; HEADER],
    have: usize,
    /// Where the frame began.
    first: Seen,
    header: Header,
    /// Bytes of the payload that are to come.
    remaining: u32,
    /// Bytes of a DATA frame that were not told.
    untold: u64,
    header_untold: bool,
    /// No frame was seen: the next must be SETTINGS.
    fresh: bool,
    open: Option<Open>,
    fragments: Vec<u8>,
    max_frame: u32,
    /// Reads the header blocks.
    pub(super) decoder: Decoder,
}

impl Reader {
    /// Of a new connection.
    pub(super) fn new(from: Side) -> Self {
        let state = if from == Side::Client { State::Preface(0) } else { State::Header };
        Self {
            from,
            state,
            bytes: [0; HEADER],
            have: 0,
            first: Seen::default(),
            header: Header::default(),
            remaining: 0,
            untold: 0,
            header_untold: false,
            fresh: true,
            open: None,
            fragments: Vec::new(),
            max_frame: DEFAULT_MAX,
            decoder: Decoder::new(),
        }
    }

    /// The place in the frames is not known (any more).
    pub(super) fn lose(&mut self) {
        self.open = None;
        self.fresh = false;
        empty(&mut self.fragments);
        self.decoder.forget();
        self.state = State::Search(Search::new(self.from));
    }

    /// Nothing more is read.
    pub(super) fn stop(&mut self) {
        self.state = State::Broken;
        self.open = None;
        self.fragments = Vec::new();
    }

    /// Bytes of memory it holds.
    pub(super) fn held(&self) -> usize {
        self.fragments.capacity() + self.decoder.held()
    }

    /// Gives them back: the header block that is under way is not read, and the header table is unknown. Whether there
    /// was one.
    pub(super) fn shed(&mut self) -> bool {
        if self.fragments.capacity() > 0 {
            self.open.iter_mut().for_each(Open::cut);
            self.fragments = Vec::new();
        }
        let held = self.decoder.held() > 0;
        self.decoder.shed();
        held
    }

    /// Whether frames are known.
    pub(super) fn in_frames(&self) -> bool {
        !matches!(self.state, State::Search(_) | State::Broken)
    }

    /// The other side takes frames of this length.
    pub(super) fn allow_length(&mut self, length: u32) {
        self.max_frame = self.max_frame.max(length.min(ABSOLUTE_MAX));
    }

    /// The other side's SETTINGS may have gone unseen.
    pub(super) fn allow_all(&mut self) {
        self.allow_length(ABSOLUTE_MAX);
        self.decoder.allow_any_size();
    }

    /// A delivery of bytes begins.
    pub(super) fn delivery(&mut self) {
        if let State::Search(search) = &mut self.state {
            search.delivery();
        }
    }

    /// What the next bytes bring; none when all are taken and nothing is left to tell.
    pub(super) fn next(&mut self, seen: Seen, rest: &mut &[u8]) -> Option<Step> {
        loop {
            match &mut self.state {
                State::Broken => {
                    *rest = &[];
                    return None;
                }
                State::Preface(have) => {
                    let known = PREFACE.iter().skip(*have).zip(*rest).take_while(|(a, b)| a == b).count();
                    *rest = rest.get(known..).unwrap_or_default();
                    *have += known;
                    if *have == PREFACE.len() {
                        self.state = State::Header;
                    } else if rest.is_empty() {
                        return None;
                    } else {
                        return Some(self.break_off());
                    }
                }
                State::Search(search) => {
                    let (header, first) = search.feed(seen, rest)?;
                    self.first = first;
                    self.start(header);
                    return Some(Step::Found);
                }
                State::Header => {
                    let header = self.read_header(seen, rest)?;
                    let open = self.open.as_ref().map(Open::stream);
                    let settings = header.kind == Kind::Settings && !header.has(ACK);
                    if !header.lawful(self.from, open, self.max_frame) || (self.fresh && !settings) {
                        return Some(self.break_off());
                    }
                    self.fresh = false;
                    self.start(header);
                }
                State::Payload => {
                    let step = self.payload(rest);
                    if step.is_some() || matches!(self.state, State::Payload) {
                        return step;
                    }
                }
            }
        }
    }

    /// Bytes are missing. False when a frame's header or what it governs is among them: the place is lost.
    /// Else [`Reader::next`] may have something to tell.
    pub(super) fn gap(&mut self, length: u64) -> bool {
        let fits = u32::try_from(length).ok().and_then(|length| self.remaining.checked_sub(length));
        let remaining = match (&mut self.state, fits) {
            (State::Broken, _) => return true,
            (State::Search(search), _) => return search.gap(length),
            (State::Payload, Some(remaining)) => remaining,
            _ => return false,
        };
        match self.header.kind {
            Kind::Data => self.untold = self.untold.saturating_add(length),
            Kind::Headers | Kind::PushPromise | Kind::Continuation => {
                self.open.iter_mut().for_each(Open::miss);
                empty(&mut self.fragments);
            }
            Kind::Priority | Kind::Ping | Kind::Other => {}
            Kind::Reset | Kind::Settings | Kind::Goaway | Kind::WindowUpdate => return false,
        }
        self.remaining = remaining;
        true
    }

    fn break_off(&mut self) -> Step {
        self.stop();
        Step::Broken
    }

    fn read_header(&mut self, seen: Seen, rest: &mut &[u8]) -> Option<Header> {
        if self.have == 0 && !rest.is_empty() {
            self.first = seen;
        }
        fill(&mut self.bytes, &mut self.have, rest);
        (self.have == HEADER).then(|| Header::parse(self.bytes))
    }

    /// A frame's payload comes next.
    fn start(&mut self, header: Header) {
        (self.header, self.remaining, self.have) = (header, header.length, 0);
        (self.untold, self.header_untold) = (0, true);
        match (header.kind, &mut self.open) {
            (Kind::Headers | Kind::PushPromise, open) => *open = Some(Open::new(header, self.first)),
            (Kind::Continuation, Some(open)) => {
                open.continuation(header, self.fragments.len());
                if !open.is_read() {
                    empty(&mut self.fragments);
                }
            }
            _ => {}
        }
        self.state = State::Payload;
    }

    fn payload(&mut self, rest: &mut &[u8]) -> Option<Step> {
        match self.header.kind {
            Kind::Data => self.data(rest),
            Kind::Headers | Kind::PushPromise | Kind::Continuation => self.fragment(rest),
            _ => self.small(rest),
        }
    }

    /// Takes what is there of the payload; ends the frame with its last byte.
    fn take<'a>(&mut self, rest: &mut &'a [u8]) -> &'a [u8] {
        let length = rest.len().min(self.remaining as usize);
        let (taken, after) = rest.split_at_checked(length).unwrap_or_default();
        *rest = after;
        self.remaining = self.remaining.saturating_sub(u32::try_from(length).unwrap_or(u32::MAX));
        if self.remaining == 0 {
            self.state = State::Header;
        }
        taken
    }

    fn data(&mut self, rest: &mut &[u8]) -> Option<Step> {
        let bytes = self.take(rest).len() as u64 + self.untold;
        let complete = self.remaining == 0;
        if bytes == 0 && !complete {
            return None;
        }
        let header = if self.header_untold { HEADER as u64 } else { 0 };
        (self.untold, self.header_untold) = (0, false);
        let Header { stream, length, .. } = self.header;
        let end = complete.then(|| DataEnd { end_stream: self.header.has(END_STREAM), length });
        Some(Step::Data { stream, bytes: bytes + header, end })
    }

    /// A block that is all there in one frame is read where it is; fragments are gathered.
    fn fragment(&mut self, rest: &mut &[u8]) -> Option<Step> {
        let taken = self.take(rest);
        let open = self.open.as_mut()?;
        let first = self.header.kind != Kind::Continuation;
        let last = self.header.has(END_HEADERS);
        if first && last && open.is_read() && taken.len() == self.header.length as usize {
            let Some(block) = open.fragment(taken).and_then(|range| taken.get(range)) else {
                return Some(self.break_off());
            };
            return Some(Step::Headers(self.open.take()?.close(block, &mut self.decoder)));
        }
        if open.is_read() {
            self.fragments.extend_from_slice(taken);
        }
        if self.remaining > 0 {
            return None;
        }
        if first && open.is_read() {
            let Some(range) = open.fragment(&self.fragments) else { return Some(self.break_off()) };
            self.fragments.truncate(range.end);
            self.fragments.drain(..range.start);
        }
        if !last {
            return None;
        }
        let block = self.open.take()?.close(&self.fragments, &mut self.decoder);
        empty(&mut self.fragments);
        Some(Step::Headers(block))
    }

    /// Frames of numbers.
    fn small(&mut self, rest: &mut &[u8]) -> Option<Step> {
        let kind = self.header.kind;
        let item = match kind {
            Kind::Settings => 6,
            Kind::Reset | Kind::WindowUpdate => 4,
            Kind::Goaway => 8,
            _ => 0,
        };
        if kind == Kind::Settings && self.remaining > 0 {
            return self.setting(rest);
        }
        let mut taken = self.take(rest);
        if let Some(place) = self.bytes.get_mut(..item) {
            fill(place, &mut self.have, &mut taken);
        }
        if self.remaining > 0 {
            return None;
        }
        self.have = 0;
        self.number(kind)
    }

    /// The item of a complete frame.
    fn number(&self, kind: Kind) -> Option<Step> {
        let first = word(&self.bytes, 0);
        let Header { stream, .. } = self.header;
        let ack = self.header.has(ACK);
        match kind {
            Kind::Settings => Some(Step::Settings { ack }),
            Kind::Ping => Some(Step::Ping { ack }),
            Kind::Reset => Some(Step::Reset { stream, code: first }),
            Kind::WindowUpdate => Some(Step::WindowUpdate { stream, increment: first & 0x7fff_ffff }),
            Kind::Goaway => Some(Step::Goaway { last: first & 0x7fff_ffff, code: word(&self.bytes, 4) }),
            _ => None,
        }
    }

    /// One setting. The frame's end is told by itself, also after the last one.
    fn setting(&mut self, rest: &mut &[u8]) -> Option<Step> {
        let before = self.have;
        if let Some(place) = self.bytes.get_mut(..6) {
            fill(place, &mut self.have, rest);
        }
        let taken = u32::try_from(self.have.saturating_sub(before)).unwrap_or(u32::MAX);
        self.remaining = self.remaining.saturating_sub(taken);
        if self.have < 6 {
            return None;
        }
        self.have = 0;
        let id = u16::from_be_bytes([self.bytes[0], self.bytes[1]]);
        Some(Step::Setting { id, value: word(&self.bytes, 2) })
    }
}
