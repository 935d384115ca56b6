//! The record layer of one side (RFC 8446, section 5.1): five header bytes, then the body, split anywhere.

use crate::proto::stream::Seen;

/// `change_cipher_spec`.
pub(super) const CHANGE_CIPHER_SPEC: u8 = 20;
/// `alert`.
pub(super) const ALERT: u8 = 21;
/// `handshake`.
pub(super) const HANDSHAKE: u8 = 22;
/// `application_data`, and everything that TLS 1.3 encrypts.
pub(super) const APPLICATION_DATA: u8 = 23;
/// `heartbeat` (RFC 6520).
const HEARTBEAT: u8 = 24;

/// Bytes of a record's header.
pub(super) const HEADER: usize = 5;
/// Longest body of a record: 2^14 and what encryption may add (RFC 5246, section 6.2.3).
const BODY_LIMIT: u16 = (1 << 14) + 2048;

/// A record's header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    /// Content type.
    pub(super) kind: u8,
    /// Bytes of the body.
    pub(super) length: u16,
    /// The header's first byte.
    pub(super) first: Seen,
}

/// What the next bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// The last byte of a header. A body of no bytes is over with it.
    Begins(Record),
    /// Bytes of the body.
    Body { bytes: &'a [u8], ends: bool },
}

/// What a gap did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gap {
    /// It lies in the body of the record that has begun.
    Inside { ends: bool },
    /// Nobody knows how many records it took: records are searched for from here on.
    Lost,
}

/// Finds the records in the bytes of one side.
#[derive(Debug, Default)]
pub(super) struct Reader {
    header: [u8; HEADER],
    filled: usize,
    first: Seen,
    /// The newest byte of the header, and the first byte of it that came with that one.
    newest: (Seen, usize),
    left: u16,
    lost: bool,
    skipped: u64,
}

impl Reader {
    /// Takes the next piece off the bytes; none when there are none left.
    pub(super) fn next<'a>(&mut self, rest: &mut &'a [u8], seen: Seen) -> Option<Piece<'a>> {
        if self.left > 0 {
            let length = rest.len().min(usize::from(self.left));
            let (bytes, after) = rest.split_at_checked(length).filter(|(bytes, _)| !bytes.is_empty())?;
            *rest = after;
            self.left = self.left.saturating_sub(u16::try_from(length).unwrap_or(u16::MAX));
            return Some(Piece::Body { bytes, ends: self.left == 0 });
        }
        loop {
            self.skip_to_candidate(rest);
            let (byte, after) = rest.split_first()?;
            if self.filled == 0 {
                (self.first, self.newest) = (seen, (seen, 0));
            } else if self.newest.0 != seen {
                self.newest = (seen, self.filled);
            }
            let place = self.header.get_mut(self.filled)?;
            *place = *byte;
            *rest = after;
            self.filled += 1;
            if self.filled < HEADER {
                continue;
            }
            if let Some(record) = self.record() {
                (self.filled, self.left, self.lost) = (0, record.length, false);
                return Some(Piece::Begins(record));
            }
            self.lost = true;
            self.shift();
        }
    }

    /// `length` bytes are missing.
    pub(super) fn gap(&mut self, length: u64) -> Gap {
        match u16::try_from(length).ok().and_then(|length| self.left.checked_sub(length)) {
            Some(left) if self.left > 0 => {
                self.left = left;
                Gap::Inside { ends: left == 0 }
            }
            _ => {
                self.skipped = self.skipped.saturating_add(self.filled as u64);
                (self.filled, self.left, self.lost) = (0, 0, true);
                Gap::Lost
            }
        }
    }

    /// Bytes that belong to no record.
    pub(super) fn skipped(&self) -> u64 {
        self.skipped
    }

    /// While no record is known, skips what begins none.
    fn skip_to_candidate(&mut self, rest: &mut &[u8]) {
        if !self.lost || self.filled > 0 {
            return;
        }
        let at = rest.iter().position(|byte| resumes(*byte)).unwrap_or(rest.len());
        *rest = rest.get(at..).unwrap_or_default();
        self.skipped = self.skipped.saturating_add(at as u64);
    }

    /// The record whose header this is.
    fn record(&self) -> Option<Record> {
        let [kind, major, minor, high, low] = self.header;
        let length = u16::from_be_bytes([high, low]);
        let plausible = (CHANGE_CIPHER_SPEC..=HEARTBEAT).contains(&kind)
            && (major == 3 && minor <= 4)
            && length <= BODY_LIMIT;
        // Any three bytes look like a header once in a while: what resumes must be what a flow is full of, or
        // the one record that always looks the same.
        let resumes = match kind {
            APPLICATION_DATA => (1..=3).contains(&minor) && length > 0,
            CHANGE_CIPHER_SPEC => length == 1,
            _ => false,
        };
        (plausible && (!self.lost || resumes)).then_some(Record { kind, length, first: self.first })
    }

    /// Drops the first byte of what is no header, and all up to the next that may begin one.
    fn shift(&mut self) {
        let at = self.header.iter().skip(1).position(|byte| resumes(*byte)).map_or(HEADER, |at| at + 1);
        self.header.rotate_left(at % HEADER);
        self.filled = HEADER - at;
        self.skipped = self.skipped.saturating_add(at as u64);
        let (newest, from) = self.newest;
        if at >= from {
            self.first = newest;
        }
        self.newest.1 = from.saturating_sub(at);
    }
}

fn resumes(kind: u8) -> bool {
    matches!(kind, APPLICATION_DATA | CHANGE_CIPHER_SPEC)
}
