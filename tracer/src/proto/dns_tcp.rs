//! DNS over TCP (RFC 7766, section 8): two bytes of length before each message, any number of messages in
//! flight, answered in any order.

use super::stream::{Seen, Side};

/// Bytes of a message that are kept: header and question of any, and nearly all answers as a whole.
pub const KEPT_LIMIT: usize = 4096;
/// Bytes of a header that must be there for a message to be searched for after a gap.
const HEADER: usize = 12;

/// A message that is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framed<'a> {
    /// Who sent it.
    pub from: Side,
    /// The first byte of its length. It is the last one that counts as the time of the message: there the
    /// receiver, and Wireshark, have it.
    pub first: Seen,
    /// Its last byte.
    pub last: Seen,
    /// Its bytes without the length, at most [`KEPT_LIMIT`], and only those before a gap.
    pub bytes: &'a [u8],
    /// How long it is without the length bytes.
    pub length: u16,
}

/// Finds the messages in the two byte streams of a flow.
#[derive(Debug, Default)]
pub struct Framing {
    client: Way,
    server: Way,
    /// Bytes skipped after a gap, where no message could be told to begin.
    pub skipped: u64,
}

#[derive(Debug, Default)]
struct Way {
    state: State,
    first: Seen,
    length: u16,
    left: u16,
    /// The message so far, while it is not all in one piece.
    kept: Vec<u8>,
    /// Bytes before this one are missing in the message: nothing more is kept of it.
    holed: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// At the first byte of a length.
    #[default]
    Between,
    /// After it.
    Length(u8),
    /// In a message.
    Inside,
    /// After a gap.
    Lost,
}

impl Framing {
    /// Takes bytes that follow the last ones of `from` and tells of each message that ends in them.
    pub fn bytes(&mut self, from: Side, seen: Seen, bytes: &[u8], tell: &mut dyn FnMut(Framed<'_>)) {
        let way = self.way(from);
        if way.state == State::Lost {
            if !begins(bytes) {
                self.skipped = self.skipped.saturating_add(bytes.len() as u64);
                return;
            }
            way.state = State::Between;
        }
        let mut rest = bytes;
        while let Some((byte, after)) = rest.split_first() {
            match way.state {
                State::Between | State::Lost => {
                    (way.state, way.first, rest) = (State::Length(*byte), seen, after);
                    continue;
                }
                State::Length(high) => {
                    way.length = u16::from_be_bytes([high, *byte]);
                    (way.state, way.left, rest) = (State::Inside, way.length, after);
                }
                State::Inside => {}
            }
            way.body(from, seen, &mut rest, tell);
        }
    }

    /// `length` bytes of `from` are missing. Inside a message they are counted as its own; beyond it, messages
    /// are searched for where the next bytes begin, which is where a segment begins.
    pub fn gap(&mut self, from: Side, seen: Seen, length: u64, tell: &mut dyn FnMut(Framed<'_>)) {
        let way = self.way(from);
        let inside = u16::try_from(length).ok().filter(|_| way.state == State::Inside);
        if let Some(left) = inside.and_then(|length| way.left.checked_sub(length)) {
            way.left = left;
            way.holed |= length > 0;
            if left == 0 {
                way.complete(from, seen, None, tell);
            }
        } else if length > 0 {
            *way = Way { state: State::Lost, ..Way::default() };
        }
    }

    /// Bytes of memory it holds.
    #[must_use]
    pub fn held(&self) -> usize {
        self.client.kept.capacity() + self.server.kept.capacity()
    }

    fn way(&mut self, side: Side) -> &mut Way {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }
}

impl Way {
    /// Takes what is there of a message.
    fn body(&mut self, from: Side, seen: Seen, rest: &mut &[u8], tell: &mut dyn FnMut(Framed<'_>)) {
        let (bytes, after) = rest.split_at_checked(self.left.into()).unwrap_or((*rest, &[]));
        *rest = after;
        let begins = self.left == self.length;
        self.left = self.left.saturating_sub(u16::try_from(bytes.len()).unwrap_or(u16::MAX));
        if self.left == 0 && begins {
            return self.complete(from, seen, Some(bytes), tell);
        }
        if !self.holed {
            let room = KEPT_LIMIT.saturating_sub(self.kept.len()).min(bytes.len());
            self.kept.extend_from_slice(bytes.get(..room).unwrap_or_default());
        }
        if self.left == 0 {
            self.complete(from, seen, None, tell);
        }
    }

    /// A message is complete: in one piece, or with what was kept.
    fn complete(&mut self, from: Side, seen: Seen, whole: Option<&[u8]>, tell: &mut dyn FnMut(Framed<'_>)) {
        let bytes = whole.unwrap_or(&self.kept);
        let bytes = bytes.get(..bytes.len().min(KEPT_LIMIT)).unwrap_or_default();
        tell(Framed { from, first: self.first, last: seen, bytes, length: self.length });
        self.kept = Vec::new();
        (self.state, self.holed) = (State::Between, false);
    }
}

/// Whether bytes look like a length and the header of a message: a known kind of query (RFC 1035, RFC 2136,
/// RFC 8490), a length that fits, and not more questions than one, which nobody sends.
fn begins(bytes: &[u8]) -> bool {
    let [high, low, _, _, flags, _, 0, questions, ..] = *bytes else { return false };
    usize::from(u16::from_be_bytes([high, low])) >= HEADER && flags >> 3 & 15 <= 6 && questions <= 1
}

#[cfg(test)]
#[path = "dns_tcp_tests.rs"]
mod tests;
