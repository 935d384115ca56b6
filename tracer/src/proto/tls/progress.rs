//! How far a handshake is, and what a record means at that point.
//!
//! What can be seen of TLS 1.2 and before (RFC 5246, section 7.3): each side sends `ChangeCipherSpec` and then
//! one encrypted handshake record, its Finished. The later of the two ends the handshake. A client may send
//! application data before the server's (false start, RFC 7918).
//!
//! Of TLS 1.3 (RFC 8446, section 2): everything after the `ServerHello` is application data on the outside. The
//! first such record of the client after the first one of the server is its Finished, which ends the handshake.
//! Its length is known from the cipher suite, and that tells it apart
//! - from a client certificate before it: then the record of that length ends the handshake, when it comes
//!   before anything of the server; else the first one did (all in one record), and those after it are data;
//! - from early data: what the client sends before it is data, but for `EndOfEarlyData`. The server may answer
//!   after its own Finished, which has the same length; what it sends before is handshake.
//!
//! A close alert of TLS 1.3 is only known by its length too: records with two bytes in them are not data.

use super::{
    hello::{ClientHello, ServerHello},
    message::{CERTIFICATE, CLIENT_HELLO, SERVER_HELLO, SERVER_HELLO_DONE},
    record::{ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, Record},
};
use crate::proto::stream::Side;

/// What a record holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A part of the handshake, or of what follows it, that cannot be read.
    #[default]
    Hidden,
    /// Handshake messages in plain text.
    Messages,
    /// An alert in plain text.
    Alert,
    /// From here on the side encrypts.
    ChangeCipherSpec,
    /// A side's Finished.
    Finished,
    /// The first record of a client's flight of unknown length that may be its whole end of the handshake.
    Flight,
    /// Data when that flight was one record, else handshake.
    Unsure,
    /// Application data.
    Data,
}

/// The keys of one side, as far as they show.
#[derive(Clone, Copy, Debug, Default)]
struct Way {
    encrypts: bool,
    finished: bool,
}

/// Where the end of a TLS 1.3 handshake stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// No encrypted record of the server came.
    #[default]
    Opened,
    /// The server's flight began.
    Answered,
    /// The client sent something that is no Finished alone.
    Flight,
    /// Over.
    Done,
}

/// Whether a TLS 1.2 server goes on with an earlier session (RFC 5246, section 7.3; RFC 5077).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Session {
    #[default]
    Open,
    /// It sent a certificate, or said that it waits for the client's key.
    New,
    /// It sent neither before its `ChangeCipherSpec`.
    Earlier,
    /// Bytes are missing where either may have been.
    Unclear,
}

/// What the hellos settled for TLS 1.3.
#[derive(Clone, Copy, Debug, Default)]
struct Modern {
    /// Length of a record with nothing but a Finished; none of an unknown cipher suite.
    finished: Option<u16>,
    /// Length of encrypting: the inner type and the tag.
    overhead: u16,
}

/// The state of one flow's handshake.
#[derive(Debug, Default)]
pub(super) struct Progress {
    client: Way,
    server: Way,
    /// Set from the `ServerHello` on when it chose TLS 1.3.
    modern: Option<Modern>,
    stage: Stage,
    /// The client sent application data before the `ServerHello`.
    early: bool,
    /// The `ServerHello` came.
    answered: bool,
    session: Session,
    holed: bool,
}

/// What has become known by a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing.
    None,
    /// The handshake ended with this record.
    Ended,
    /// It ended with the record that meant [`Meaning::Flight`], and what was unsure is data.
    FlightEnded,
}

impl Progress {
    /// What a record means whose header has come, and whether it settles what was before it.
    pub(super) fn begins(&mut self, from: Side, record: Record) -> (Meaning, Step) {
        match record.kind {
            CHANGE_CIPHER_SPEC => (Meaning::ChangeCipherSpec, Step::None),
            // An encrypted alert is longer.
            ALERT if record.length == 2 => (Meaning::Alert, Step::None),
            HANDSHAKE if !self.way(from).encrypts => (Meaning::Messages, Step::None),
            HANDSHAKE if !self.way(from).finished => (Meaning::Finished, Step::None),
            APPLICATION_DATA => self.application(from, record.length),
            _ => (Meaning::Hidden, Step::None),
        }
    }

    /// A record is complete.
    pub(super) fn ends(&mut self, from: Side, meaning: Meaning) -> Step {
        match meaning {
            Meaning::ChangeCipherSpec => {
                // TLS 1.3 sends it for the sake of middleboxes (RFC 8446, appendix D.4).
                self.way(from).encrypts = self.modern.is_none();
                if from == Side::Server && self.answered {
                    self.session_is(Session::Earlier);
                }
                Step::None
            }
            Meaning::Finished if self.modern.is_some() => {
                self.stage = Stage::Done;
                Step::Ended
            }
            Meaning::Finished => {
                self.way(from).finished = true;
                if self.way(from.opposite()).finished { Step::Ended } else { Step::None }
            }
            _ => Step::None,
        }
    }

    /// A handshake message without its header.
    pub(super) fn message(&mut self, from: Side, kind: u8, body: &[u8]) -> Option<Hello> {
        match (from, kind) {
            (Side::Client, CLIENT_HELLO) => Some(Hello::Client(ClientHello::parse(body))),
            (Side::Server, SERVER_HELLO) if !self.answered => ServerHello::parse(body).map(|hello| {
                self.chosen(&hello);
                Hello::Server(hello)
            }),
            (Side::Server, CERTIFICATE | SERVER_HELLO_DONE) => {
                self.session_is(Session::New);
                None
            }
            _ => None,
        }
    }

    /// Whether a session before TLS 1.3 is an earlier one, once that is known.
    pub(super) fn resumed(&self) -> Option<bool> {
        match self.session {
            _ if self.modern.is_some() => None,
            Session::New => Some(false),
            Session::Earlier => Some(true),
            Session::Open | Session::Unclear => None,
        }
    }

    /// Whether bytes are missing: then a Finished may have been among them.
    pub(super) fn is_holed(&self) -> bool {
        self.holed
    }

    /// Bytes of this side are missing.
    pub(super) fn gap(&mut self, from: Side) {
        self.holed = true;
        if from == Side::Server {
            self.session_is(Session::Unclear);
        }
    }

    fn session_is(&mut self, session: Session) {
        if self.session == Session::Open {
            self.session = session;
        }
    }

    fn chosen(&mut self, hello: &ServerHello) {
        if hello.version.is_modern() {
            let (hash, tag) = match hello.cipher {
                0x1302 => (48, 16),
                // AES_128_CCM_8
                0x1305 => (32, 8),
                _ => (32, 16),
            };
            let finished = (0x1301..=0x1305).contains(&hello.cipher).then_some(4 + hash + 1 + tag);
            self.modern = Some(Modern { finished, overhead: 1 + tag });
            // What was sent before the version was known changed no keys of handshake records.
            (self.client.encrypts, self.server.encrypts) = (false, false);
        }
        self.answered = !hello.retry;
    }

    fn application(&mut self, from: Side, length: u16) -> (Meaning, Step) {
        let Some(modern) = self.modern else {
            self.early |= from == Side::Client && !self.answered;
            return (Meaning::Data, Step::None);
        };
        let finished = modern.finished.is_none_or(|finished| finished == length);
        let data = if length == modern.overhead + 2 { Meaning::Hidden } else { Meaning::Data };
        let meaning = match (self.stage, from) {
            (Stage::Done, _) => data,
            (Stage::Flight, Side::Server) => {
                self.stage = Stage::Done;
                return (data, Step::FlightEnded);
            }
            (Stage::Opened | Stage::Answered, Side::Server) => self.server_flight(finished, data),
            // Early data that was still on its way.
            (Stage::Opened, Side::Client) if self.early => data,
            (_, Side::Client) if finished => Meaning::Finished,
            // `EndOfEarlyData`
            (Stage::Answered, Side::Client) if self.early && length == modern.overhead + 4 => Meaning::Hidden,
            (Stage::Answered, Side::Client) if self.early => data,
            (Stage::Opened | Stage::Answered, Side::Client) => {
                self.stage = Stage::Flight;
                Meaning::Flight
            }
            (Stage::Flight, Side::Client) => Meaning::Unsure,
        };
        (meaning, Step::None)
    }

    fn server_flight(&mut self, finished: bool, data: Meaning) -> Meaning {
        self.stage = Stage::Answered;
        if self.early && self.server.finished {
            return data;
        }
        self.server.finished |= finished;
        Meaning::Hidden
    }

    fn way(&mut self, side: Side) -> &mut Way {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }
}

/// A hello that was read.
#[derive(Debug)]
pub(super) enum Hello {
    Client(ClientHello),
    Server(ServerHello),
}
