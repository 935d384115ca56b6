//! TLS (RFC 8446, RFC 5246) from outside: who is asked for, how long the handshake takes, and the turns of the
//! records after it. Nothing is decrypted; bodies of records are counted, not kept.

mod hello;
mod message;
mod progress;
mod record;
mod turns;

use std::{fmt, sync::Arc};

use self::{
    message::{CLIENT_HELLO, Messages, SERVER_HELLO},
    progress::{Hello, Meaning, Progress, Step},
    record::{Gap, Piece, Reader, Record},
    turns::Turns,
};
use super::stream::{End, Event, Seen, Side, Stream};

/// A protocol version as hellos write it; 0 when unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u16);

impl Version {
    /// TLS 1.3, or a draft or experiment that became it.
    #[must_use]
    pub fn is_modern(self) -> bool {
        self.0 == 0x0304 || self.0 > 0x03ff
    }

    /// A draft that wrote itself where draft 22 and later write TLS 1.2.
    fn is_draft(self) -> bool {
        self.0 >> 8 == 0x7f
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0x0300 => f.write_str("SSL 3.0"),
            0x0301..=0x0304 => write!(f, "TLS 1.{}", self.0 - 0x0301),
            0x7f00..=0x7fff => write!(f, "TLS 1.3 draft {}", self.0 & 0xff),
            _ => write!(f, "TLS {:#06x}", self.0),
        }
    }
}

/// A plain alert (RFC 8446, section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Who sent it.
    pub by: Side,
    /// Its last byte.
    pub seen: Seen,
    /// 1 warning, 2 fatal.
    pub level: u8,
    /// The code: 40 `handshake_failure`, 48 `unknown_ca` …
    pub description: u8,
}

impl Alert {
    /// It ends the connection.
    fn ends(self) -> bool {
        self.level == 2 || self.description == 0
    }
}

/// What is seen of a handshake. Nothing of one that began before the capture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Handshake {
    /// The host that the client wants (SNI), as sent; none when it is no printable ASCII. With an encrypted
    /// `ClientHello` the outer name.
    pub server_name: Option<Arc<str>>,
    /// The protocols that the client offers, joined by commas, without those that are no printable ASCII.
    pub alpn_offered: Option<Arc<str>>,
    /// The protocol that the server chose; hidden in TLS 1.3.
    pub alpn: Option<Arc<str>>,
    /// The version that the server chose.
    pub version: Option<Version>,
    /// First byte of the `ClientHello`'s record.
    pub begun: Option<Seen>,
    /// First byte of the record that ended the first `ServerHello` (or `HelloRetryRequest`).
    pub answered: Option<Seen>,
    /// Last byte of the Finished record that ended it: of the later side in TLS 1.2 and before, the client's in
    /// TLS 1.3. None when it was not seen.
    pub ended: Option<Seen>,
    /// An earlier session goes on: a TLS 1.2 server sent neither a certificate nor waited for a key; a TLS 1.3
    /// server took a key the client had. None until that is known.
    pub resumed: Option<bool>,
    /// The server asked for another `ClientHello` (`HelloRetryRequest`): one round trip more.
    pub retried: bool,
    /// The first alert that ends the connection, else the first one.
    pub alert: Option<Alert>,
    /// Who ended the connection before the handshake was over, and when; also by an alert. Not told when bytes
    /// are missing that may have ended it.
    pub aborted: Option<(Side, Seen)>,
}

/// What one side sends.
#[derive(Debug, Default)]
struct Way {
    reader: Reader,
    record: Record,
    meaning: Meaning,
    messages: Messages,
    alert: [u8; 2],
}

/// Reads a TLS flow.
#[derive(Debug, Default)]
pub struct Tls {
    handshake: Handshake,
    progress: Progress,
    turns: Turns,
    client: Way,
    server: Way,
    /// End of the record that [`Step::FlightEnded`] is about.
    flight: Option<Seen>,
    takes_tickets: bool,
}

impl Tls {
    /// A flow of which nothing was read.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What was seen of the handshake so far.
    #[must_use]
    pub fn handshake(&self) -> &Handshake {
        &self.handshake
    }

    /// Bytes that belong to no record that could be recognised.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.client.reader.skipped().saturating_add(self.server.reader.skipped())
    }

    fn way(&mut self, side: Side) -> &mut Way {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    fn record_begins(&mut self, from: Side, record: Record, seen: Seen, tell: &mut dyn FnMut(Event)) {
        let (meaning, step) = self.progress.begins(from, record);
        self.step(step, seen, tell);
        let way = self.way(from);
        (way.record, way.meaning) = (record, meaning);
        match meaning {
            Meaning::Messages if from == Side::Client => {
                self.handshake.begun.get_or_insert(record.first);
            }
            Meaning::Unsure => self.turns.unsure(record, seen),
            Meaning::Data => {
                if self.handshake.begun.is_none() {
                    self.turns.joined();
                }
                self.turns.begins(from, record, seen, tell);
            }
            _ => {}
        }
        if record.length == 0 {
            self.record_ends(from, seen, tell);
        }
    }

    fn body(&mut self, from: Side, seen: Seen, bytes: &[u8]) {
        let way = self.way(from);
        match way.meaning {
            Meaning::Data | Meaning::Unsure => self.turns.goes_on(from, seen, bytes.len() as u64),
            Meaning::Messages => self.messages(from, bytes),
            Meaning::Alert => {
                for byte in bytes {
                    way.alert = [way.alert[1], *byte];
                }
            }
            _ => {}
        }
    }

    fn record_ends(&mut self, from: Side, seen: Seen, tell: &mut dyn FnMut(Event)) {
        let way = self.way(from);
        let (meaning, [level, description]) = (way.meaning, way.alert);
        match meaning {
            Meaning::Data | Meaning::Unsure => self.turns.record_ends(from),
            Meaning::Alert => self.alert(Alert { by: from, seen, level, description }),
            Meaning::Flight => self.flight = Some(seen),
            _ => {}
        }
        let step = self.progress.ends(from, meaning);
        self.step(step, seen, tell);
        if meaning == Meaning::ChangeCipherSpec {
            self.resumption();
        }
    }

    fn step(&mut self, step: Step, seen: Seen, tell: &mut dyn FnMut(Event)) {
        let ended = match step {
            Step::None => return,
            Step::Ended => Some(seen),
            Step::FlightEnded => self.flight,
        };
        self.handshake.ended = self.handshake.ended.or(ended);
        self.turns.settle_unsure(step == Step::FlightEnded, tell);
        if self.takes_tickets && self.handshake.version.is_some_and(Version::is_modern) {
            self.turns.await_tickets();
        }
    }

    fn messages(&mut self, from: Side, bytes: &[u8]) {
        let way = match from {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        };
        let (progress, handshake, first) = (&mut self.progress, &mut self.handshake, way.record.first);
        let takes_tickets = &mut self.takes_tickets;
        let keeps = |kind| matches!(kind, CLIENT_HELLO | SERVER_HELLO);
        way.messages.bytes(bytes, keeps, |kind, body| match progress.message(from, kind, body) {
            Some(Hello::Client(hello)) => {
                *takes_tickets = hello.takes_tickets;
                handshake.server_name = hello.server_name;
                handshake.alpn_offered = hello.protocols;
            }
            Some(Hello::Server(hello)) => {
                handshake.answered.get_or_insert(first);
                handshake.version = Some(hello.version);
                handshake.alpn = hello.protocol;
                handshake.retried |= hello.retry;
                if hello.version.is_modern() && !hello.retry {
                    handshake.resumed = Some(hello.pre_shared);
                }
            }
            None => {}
        });
        self.resumption();
    }

    fn resumption(&mut self) {
        if self.handshake.resumed.is_none() {
            self.handshake.resumed = self.progress.resumed();
        }
    }

    fn alert(&mut self, alert: Alert) {
        if alert.ends() && self.handshake.alert.is_none_or(|known| !known.ends()) {
            self.handshake.alert = Some(alert);
            self.abort(alert.by, alert.seen);
        }
        self.handshake.alert.get_or_insert(alert);
    }

    fn abort(&mut self, by: Side, seen: Seen) {
        let handshake = &mut self.handshake;
        if handshake.begun.is_some() && handshake.ended.is_none() && !self.turns.began() {
            handshake.aborted.get_or_insert((by, seen));
        }
    }
}

impl Stream for Tls {
    fn bytes(&mut self, from: Side, seen: Seen, bytes: &[u8], tell: &mut dyn FnMut(Event)) -> usize {
        let mut rest = bytes;
        while let Some(piece) = self.way(from).reader.next(&mut rest, seen) {
            match piece {
                Piece::Begins(record) => self.record_begins(from, record, seen, tell),
                Piece::Body { bytes, ends } => {
                    self.body(from, seen, bytes);
                    if ends {
                        self.record_ends(from, seen, tell);
                    }
                }
            }
        }
        bytes.len()
    }

    fn gap(&mut self, from: Side, seen: Seen, length: u64, tell: &mut dyn FnMut(Event)) {
        if length == 0 {
            return;
        }
        self.progress.gap(from);
        let way = self.way(from);
        way.messages.gap();
        match way.reader.gap(length) {
            Gap::Inside { ends } => {
                if matches!(way.meaning, Meaning::Messages | Meaning::Alert) {
                    // What follows in this record is the middle of something.
                    way.meaning = Meaning::Hidden;
                }
                self.turns.goes_on(from, seen, length);
                if ends {
                    self.record_ends(from, seen, tell);
                }
            }
            Gap::Lost => self.turns.lost(from, tell),
        }
    }

    fn end(&mut self, from: Side, seen: Seen, end: End, tell: &mut dyn FnMut(Event)) {
        if end != End::Unknown && !self.progress.is_holed() {
            self.abort(from, seen);
        }
        self.turns.end(from, end, tell);
    }

    fn held(&self) -> usize {
        self.client.messages.held() + self.server.messages.held()
    }

    /// What is begun of a message is forgotten, as if its bytes were missing.
    fn shed(&mut self, _room: usize, _seen: Seen, _tell: &mut dyn FnMut(Event)) {
        for side in [Side::Client, Side::Server] {
            let way = self.way(side);
            if way.messages.held() > 0 {
                way.messages.gap();
                way.meaning = Meaning::Hidden;
                self.progress.gap(side);
            }
        }
    }
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
