//! What a connection speaks: detection from its first bytes, then the protocol's own reader.

use std::sync::Arc;

use crate::{
    flow::tcp::Piece,
    proto::{
        detect::{self, OPENING_LIMIT, Spoken},
        dns_tcp::{Framed, Framing},
        http1_stream::{self, Http1},
        http2,
        memory::Memory,
        stream::{Event, Head, Part, Protocol, Seen, Side, Stream, Upgrade},
        tls::Tls,
        turns::Turns,
    },
};

/// Pieces of a connection joined in the middle after which it counts as unknown.
const JOINED_LIMIT: usize = 8;

/// A TLS handshake.
#[derive(Clone, Debug)]
pub struct Handshake {
    /// What the client asked for.
    pub server_name: Option<Arc<str>>,
    /// First byte of the client's hello.
    pub begun: u64,
    /// Its end, as far as that shows.
    pub ended: u64,
    /// Whether it succeeded.
    pub complete: bool,
}

/// What a reader tells.
pub(crate) enum Told<'a> {
    /// Of an exchange; `true` for turns of an unknown protocol.
    Event(Event, bool),
    /// The end of a TLS handshake.
    Tls(Handshake),
    /// Of a DNS message.
    Dns(Framed<'a>),
    /// The server takes no new streams on the connection. Once.
    Goaway,
}

/// The reader of one connection.
pub(crate) struct Speaker {
    reader: Reader,
    /// The newest HTTP/1 request: an upgrade makes it HTTP/2's first stream.
    newest: Option<(Part, Head)>,
    handshake_told: bool,
    goaway_told: bool,
    /// Bytes of memory that were accounted for.
    accounted: usize,
}

enum Reader {
    Opening(Opening),
    Dns(Box<Framing>),
    Http1(Box<Http1>),
    Http2(Box<http2::Connection>),
    Tls(Box<Tls>),
    Opaque(Box<Turns>),
}

/// The bytes so far of a connection whose protocol is not known yet.
struct Opening {
    joined: bool,
    port: u16,
    held: Vec<(Side, Seen, Vec<u8>)>,
}

impl Speaker {
    pub(crate) fn new(joined: bool, port: u16) -> Self {
        Self {
            reader: Reader::Opening(Opening { joined, port, held: Vec::new() }),
            newest: None,
            handshake_told: false,
            accounted: 0,
            goaway_told: false,
        }
    }

    /// Of a flow of which the hooks say what it speaks.
    pub(crate) fn of(spoken: Spoken, joined: bool) -> Self {
        let mut speaker = Self::new(joined, 0);
        speaker.decided(spoken, &mut |_| {});
        speaker
    }

    /// Whether a parser tells of the exchanges: those of an unknown protocol are the views'.
    pub(crate) fn is_told(&self) -> bool {
        matches!(self.reader, Reader::Http1(_) | Reader::Http2(_) | Reader::Tls(_) | Reader::Dns(_))
    }

    pub(crate) fn server_name(&self) -> Option<Arc<str>> {
        match &self.reader {
            Reader::Tls(tls) => tls.handshake().server_name.clone(),
            _ => None,
        }
    }

    /// What could not be read of HTTP/1.
    pub(crate) fn http1(&self) -> Option<http1_stream::Counts> {
        if let Reader::Http1(http1) = &self.reader { Some(http1.counts()) } else { None }
    }

    /// What happened on an HTTP/2 connection.
    pub(crate) fn http2(&self) -> Option<&http2::Counters> {
        if let Reader::Http2(http2) = &self.reader { Some(http2.counters()) } else { None }
    }

    /// Accounts for what the reader holds, and has it give way where there is not so much.
    pub(crate) fn account(&mut self, memory: &mut Memory, seen: Seen, tell: &mut dyn FnMut(Told<'_>)) {
        let (before, held) = (self.accounted, self.held());
        self.accounted = held;
        if !memory.account(before, held) {
            return;
        }
        self.shed(before, seen, tell);
        self.accounted = self.held();
        memory.account(held, self.accounted);
    }

    /// What the reader holds is given back with it.
    pub(crate) fn release(&mut self, memory: &mut Memory) {
        memory.account(std::mem::take(&mut self.accounted), 0);
    }

    /// Bytes of memory that the reader holds besides itself.
    fn held(&self) -> usize {
        match &self.reader {
            Reader::Opening(opening) => opening.held.iter().map(|(_, _, bytes)| bytes.len()).sum(),
            Reader::Dns(framing) => framing.held(),
            Reader::Http1(http1) => http1.held(),
            Reader::Http2(http2) => http2.held(),
            Reader::Tls(tls) => tls.held(),
            Reader::Opaque(_) => 0,
        }
    }

    /// There is no room for more than `room` bytes.
    fn shed(&mut self, room: usize, seen: Seen, tell: &mut dyn FnMut(Told<'_>)) {
        match &self.reader {
            Reader::Opening(_) => self.decide_anyway(tell),
            Reader::Dns(_) => self.reader = Reader::Opaque(Box::new(Turns::new(Protocol::Opaque))),
            _ => self.stream(tell, |stream, tell| stream.shed(room, seen, tell)),
        }
    }

    /// Takes what follows of a side.
    pub(crate) fn piece(&mut self, side: Side, piece: Piece<'_>, tell: &mut dyn FnMut(Told<'_>)) {
        match piece {
            Piece::Bytes(bytes, seen) => self.bytes(side, seen, bytes, tell),
            Piece::Gap(length, seen) => {
                self.decide_anyway(tell);
                if let Reader::Dns(framing) = &mut self.reader {
                    framing.gap(side, seen, length, &mut |message| tell(Told::Dns(message)));
                }
                self.stream(tell, |stream, tell| stream.gap(side, seen, length, tell));
            }
            Piece::End(end, seen) => {
                self.decide_anyway(tell);
                self.stream(tell, |stream, tell| stream.end(side, seen, end, tell));
                self.handshake(tell);
            }
        }
    }

    fn bytes(&mut self, side: Side, seen: Seen, bytes: &[u8], tell: &mut dyn FnMut(Told<'_>)) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let taken = match &mut self.reader {
                Reader::Opening(opening) => {
                    let spoken = opening.take(side, seen, rest);
                    if let Some(spoken) = spoken {
                        self.decided(spoken, tell);
                    }
                    return;
                }
                Reader::Dns(framing) => {
                    framing.bytes(side, seen, rest, &mut |message| tell(Told::Dns(message)));
                    return;
                }
                _ => self.read(side, seen, rest, tell),
            };
            rest = rest.get(taken..).unwrap_or_default();
        }
    }

    /// Lets the protocol's reader read; follows it when it says that another one goes on.
    fn read(&mut self, side: Side, seen: Seen, bytes: &[u8], tell: &mut dyn FnMut(Told<'_>)) -> usize {
        let (mut taken, mut upgrade) = (bytes.len(), None);
        let newest = &mut self.newest;
        let is_opaque = matches!(self.reader, Reader::Opaque(_));
        let mut last = None;
        let mut told = |event: Event| match event {
            Event::Upgraded(to) => upgrade = Some(to),
            event => {
                if let Event::Begun { request, head, protocol: Protocol::Http1, .. } = &event {
                    *newest = Some((*request, head.clone()));
                }
                if let Some(before) = last.replace(event) {
                    tell(Told::Event(before, is_opaque));
                }
            }
        };
        if let Some(stream) = self.reader.stream() {
            taken = stream.bytes(side, seen, bytes, &mut told);
        }
        // HTTP/2 answers the request that asked for it: it has not ended with `101 Switching Protocols`.
        if upgrade != Some(Upgrade::Http2)
            && let Some(event) = last
        {
            tell(Told::Event(event, is_opaque));
        }
        self.handshake(tell);
        self.goaway(tell);
        match upgrade {
            Some(Upgrade::Http2) => {
                let (request, head) = self.newest.take().unwrap_or_default();
                self.reader = Reader::Http2(Box::new(http2::Connection::upgraded(request, head)));
            }
            // What comes through a tunnel begins anew, on no port that would tell.
            Some(Upgrade::Unknown) => {
                self.reader = Reader::Opening(Opening { joined: false, port: 0, held: Vec::new() });
            }
            None => return bytes.len(),
        }
        taken
    }

    /// The protocol is known: its reader gets what was held.
    fn decided(&mut self, spoken: Spoken, tell: &mut dyn FnMut(Told<'_>)) {
        let Reader::Opening(opening) = &mut self.reader else { return };
        let (held, joined) = (std::mem::take(&mut opening.held), opening.joined);
        self.reader = match spoken {
            Spoken::Http1 => Reader::Http1(Box::default()),
            Spoken::Http2 if joined => Reader::Http2(Box::new(http2::Connection::joined())),
            Spoken::Http2 => Reader::Http2(Box::default()),
            Spoken::Tls => Reader::Tls(Box::default()),
            Spoken::Dns => Reader::Dns(Box::default()),
            Spoken::Unknown => Reader::Opaque(Box::new(Turns::new(Protocol::Opaque))),
        };
        for (side, seen, bytes) in held {
            self.bytes(side, seen, &bytes, tell);
        }
    }

    /// Something other than bytes comes before they told what they are.
    fn decide_anyway(&mut self, tell: &mut dyn FnMut(Told<'_>)) {
        if matches!(&self.reader, Reader::Opening(opening) if !opening.held.is_empty()) {
            self.decided(Spoken::Unknown, tell);
        }
    }

    fn stream(
        &mut self,
        tell: &mut dyn FnMut(Told<'_>),
        call: impl FnOnce(&mut dyn Stream, &mut dyn FnMut(Event)),
    ) {
        let is_opaque = matches!(self.reader, Reader::Opaque(_));
        if let Some(stream) = self.reader.stream() {
            call(stream, &mut |event| tell(Told::Event(event, is_opaque)));
        }
    }

    /// Tells once that the server says GOAWAY.
    fn goaway(&mut self, tell: &mut dyn FnMut(Told<'_>)) {
        let Reader::Http2(http2) = &self.reader else { return };
        if !self.goaway_told && http2.counters().server.goaway.is_some() {
            self.goaway_told = true;
            tell(Told::Goaway);
        }
    }

    /// Tells once of the handshake when it is over.
    fn handshake(&mut self, tell: &mut dyn FnMut(Told<'_>)) {
        let Reader::Tls(tls) = &self.reader else { return };
        let handshake = tls.handshake();
        let over = handshake.ended.or(handshake.aborted.map(|(_, seen)| seen));
        if let (false, Some(begun), Some(over)) = (self.handshake_told, handshake.begun, over) {
            self.handshake_told = true;
            tell(Told::Tls(Handshake {
                server_name: handshake.server_name.clone(),
                begun: begun.time,
                ended: over.time,
                complete: handshake.ended.is_some(),
            }));
        }
    }
}

impl Reader {
    fn stream(&mut self) -> Option<&mut dyn Stream> {
        match self {
            Self::Http1(http1) => Some(&mut **http1),
            Self::Http2(http2) => Some(&mut **http2),
            Self::Tls(tls) => Some(&mut **tls),
            Self::Opaque(turns) => Some(&mut **turns),
            Self::Opening(_) | Self::Dns(_) => None,
        }
    }
}

impl Opening {
    /// Holds a piece, and says what the connection speaks when that is certain.
    fn take(&mut self, side: Side, seen: Seen, bytes: &[u8]) -> Option<Spoken> {
        if self.joined {
            let frames = http2::is_made_of_frames(side, bytes).then_some(Spoken::Http2);
            let spoken = detect::joined(side, self.port, bytes).or(frames);
            if spoken.is_some() {
                // What came before is the middle of something.
                self.held.clear();
            }
            let known = spoken.or((self.held.len() >= JOINED_LIMIT).then_some(Spoken::Unknown));
            self.held.push((side, seen, bytes.to_vec()));
            return known;
        }
        self.held.push((side, seen, bytes.to_vec()));
        let [own, peer] = [side, side.opposite()].map(|side| self.said(side));
        let agrees = peer.iter().zip(http2::PREFACE).all(|(byte, expected)| byte == expected);
        match detect::opening(side, self.port, &own) {
            // A server's first frame is short: what the client said before it must not be something else.
            Some(Spoken::Http2) if side == Side::Server && !agrees => Some(Spoken::Unknown),
            // A request may be too broken to be recognised: the answer tells.
            Some(Spoken::Unknown) if peer.is_empty() && own.len() < OPENING_LIMIT => None,
            spoken => spoken,
        }
    }

    /// The first bytes of a side.
    fn said(&self, side: Side) -> Vec<u8> {
        let pieces = self.held.iter().filter(|(from, ..)| *from == side);
        pieces.flat_map(|(_, _, bytes)| bytes).take(OPENING_LIMIT).copied().collect()
    }
}
