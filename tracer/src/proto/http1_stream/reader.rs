//! The messages of one direction: start line, fields, body, and again.

use super::{
    body::{Body, Taken},
    field::Framing,
    head::{HeadReader, Kind, Read},
    line,
    paths::Paths,
};
use crate::proto::stream::{Part, Seen, Side};

/// What bytes brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing to tell; all were taken.
    Nothing,
    /// A head is complete: [`Reader::body`] is next.
    Head,
    /// A message is complete.
    End,
    /// They are no HTTP/1, or a head that is too long: the direction is lost.
    BadHead,
    /// A body's chunks cannot be followed: the direction is lost.
    BadBody,
    /// Bytes are missing where a message may have ended: the direction is lost.
    Gap,
}

/// What the next byte of a direction belongs to.
#[derive(Clone, Copy, Debug)]
enum State {
    /// The next message.
    Between,
    /// A head.
    Head,
    /// A body.
    Body(Body),
    /// Nobody knows: a delivery that begins with a certain start line will tell.
    Lost,
    /// Nothing: the side has ended.
    Over,
}

/// One direction.
#[derive(Debug)]
pub(super) struct Reader {
    from: Side,
    state: State,
    pub(super) head: HeadReader,
    /// The message that is being read, or was the last one.
    pub(super) part: Part,
    /// The part of it that is its head.
    head_bytes: u64,
    /// Bytes that were not read while lost.
    pub(super) skipped: u64,
}

impl Reader {
    pub(super) fn new(from: Side) -> Self {
        let kind = match from {
            Side::Client => Kind::Request(Paths::default()),
            Side::Server => Kind::Response,
        };
        Self {
            from,
            state: State::Between,
            head: HeadReader::new(kind),
            part: Part::default(),
            head_bytes: 0,
            skipped: 0,
        }
    }

    /// Takes bytes up to the next thing to tell; how many.
    pub(super) fn read(&mut self, seen: Seen, bytes: &[u8]) -> (usize, Step) {
        match &mut self.state {
            State::Between => {
                // An empty line before a start line is to be ignored (RFC 9112, section 2.2).
                let empty = bytes.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
                if empty < bytes.len() {
                    self.part = Part { first: seen, ..Part::default() };
                    self.head.reset();
                    self.state = State::Head;
                }
                (empty, Step::Nothing)
            }
            State::Head => self.read_head(seen, bytes),
            State::Body(body) => {
                let (used, step) = match body.take(bytes) {
                    Taken::All => (bytes.len(), Step::Nothing),
                    Taken::End(used) => (used, Step::End),
                    Taken::Broken(used) => (used, Step::BadBody),
                };
                self.count(seen, used as u64);
                self.after(step);
                (used, step)
            }
            State::Lost => {
                self.skipped = self.skipped.saturating_add(bytes.len() as u64);
                (bytes.len(), Step::Nothing)
            }
            State::Over => (bytes.len(), Step::Nothing),
        }
    }

    /// What follows the head; whether the message is complete with it.
    pub(super) fn body(&mut self, framing: Framing) -> Step {
        let step = match Body::new(framing) {
            Some(Body::Length(0)) => Step::End,
            Some(body) => {
                self.state = State::Body(body);
                Step::Nothing
            }
            None => Step::BadBody,
        };
        self.after(step);
        step
    }

    /// Takes missing bytes up to the next thing to tell; how many.
    pub(super) fn gap(&mut self, seen: Seen, length: u64) -> (u64, Step) {
        let (used, step) = match &mut self.state {
            State::Body(body) => match body.gap(length) {
                Some((used, goes_on)) => (used, if goes_on { Step::Nothing } else { Step::End }),
                None => (length, Step::Gap),
            },
            State::Between | State::Head => (length, Step::Gap),
            State::Lost | State::Over => return (length, Step::Nothing),
        };
        if step != Step::Gap {
            self.count(seen, used);
        }
        self.after(step);
        (used, step)
    }

    /// The side, or the flow, has ended.
    pub(super) fn end(&mut self) {
        self.state = State::Over;
    }

    /// Nobody knows what the next byte belongs to.
    pub(super) fn lose(&mut self) {
        if !matches!(self.state, State::Over) {
            self.state = State::Lost;
        }
    }

    pub(super) fn is_lost(&self) -> bool {
        matches!(self.state, State::Lost)
    }

    /// Whether the body ends with the connection.
    pub(super) fn ends_with_close(&self) -> bool {
        matches!(self.state, State::Body(Body::Close))
    }

    /// Whether a body was announced of which no byte has come.
    pub(super) fn awaits_body(&self) -> bool {
        matches!(self.state, State::Body(_)) && self.part.bytes == self.head_bytes
    }

    /// Whether a delivery begins with a start line beyond doubt.
    pub(super) fn is_certain_start(&self, bytes: &[u8]) -> bool {
        match self.from {
            Side::Client => line::is_certain_request(bytes),
            Side::Server => line::is_certain_status(bytes),
        }
    }

    /// Gives memory back; a head that is under way is lost with it. Whether there was one.
    pub(super) fn shed(&mut self) -> bool {
        self.head.shed();
        let lost = matches!(self.state, State::Head);
        if lost {
            self.lose();
        }
        lost
    }

    /// The next byte begins a message.
    pub(super) fn restart(&mut self) {
        self.state = State::Between;
    }

    fn read_head(&mut self, seen: Seen, bytes: &[u8]) -> (usize, Step) {
        let (used, step) = match self.head.take(bytes) {
            Read::All => (bytes.len(), Step::Nothing),
            Read::End(used) => (used, Step::Head),
            Read::Bad => {
                self.skipped = self.skipped.saturating_add(self.part.bytes);
                (0, Step::BadHead)
            }
        };
        self.count(seen, used as u64);
        self.part.head = seen;
        self.head_bytes = self.part.bytes;
        self.after(step);
        (used, step)
    }

    fn count(&mut self, seen: Seen, bytes: u64) {
        self.part.bytes = self.part.bytes.saturating_add(bytes);
        if bytes > 0 {
            self.part.last = seen;
        }
    }

    fn after(&mut self, step: Step) {
        match step {
            Step::End => self.state = State::Between,
            Step::BadHead | Step::BadBody | Step::Gap => self.state = State::Lost,
            Step::Nothing | Step::Head => {}
        }
    }
}
