//! Frame headers (RFC 9113, section 4.1), and which of them may stand where.

use super::super::stream::Side;

/// Bytes of a frame header.
pub(super) const HEADER: usize = 9;
/// Largest payload that every endpoint takes; more has to be announced (RFC 9113, section 4.2).
pub(super) const DEFAULT_MAX: u32 = 16 * 1024;
/// Largest payload that can be announced.
pub(super) const ABSOLUTE_MAX: u32 = (1 << 24) - 1;

/// `END_STREAM`, of DATA and HEADERS.
pub(super) const END_STREAM: u8 = 0x1;
/// ACK, of SETTINGS and PING.
pub(super) const ACK: u8 = 0x1;
/// `END_HEADERS`, of HEADERS, `PUSH_PROMISE` and CONTINUATION.
pub(super) const END_HEADERS: u8 = 0x4;
/// PADDED, of DATA, HEADERS and `PUSH_PROMISE`.
pub(super) const PADDED: u8 = 0x8;
/// PRIORITY, of HEADERS.
pub(super) const PRIORITY: u8 = 0x20;

/// Type of a frame (RFC 9113, section 6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    Data,
    Headers,
    Priority,
    Reset,
    Settings,
    PushPromise,
    Ping,
    Goaway,
    WindowUpdate,
    Continuation,
    /// An extension: skipped.
    #[default]
    Other,
}

impl Kind {
    fn of(byte: u8) -> Self {
        match byte {
            0 => Self::Data,
            1 => Self::Headers,
            2 => Self::Priority,
            3 => Self::Reset,
            4 => Self::Settings,
            5 => Self::PushPromise,
            6 => Self::Ping,
            7 => Self::Goaway,
            8 => Self::WindowUpdate,
            9 => Self::Continuation,
            _ => Self::Other,
        }
    }

    /// The flags it defines.
    fn flags(self) -> u8 {
        match self {
            Self::Data => END_STREAM | PADDED,
            Self::Headers => END_STREAM | END_HEADERS | PADDED | PRIORITY,
            Self::Settings | Self::Ping => ACK,
            Self::PushPromise => END_HEADERS | PADDED,
            Self::Continuation => END_HEADERS,
            Self::Priority | Self::Reset | Self::Goaway | Self::WindowUpdate | Self::Other => 0,
        }
    }
}

/// A frame's header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) length: u32,
    pub(super) kind: Kind,
    pub(super) flags: u8,
    pub(super) stream: u32,
    /// The bit before the stream id, which says nothing.
    reserved: bool,
}

impl Header {
    pub(super) fn parse(bytes: [u8; HEADER]) -> Self {
        let stream = word(&bytes, 5);
        Self {
            length: word(&bytes, 0) >> 8,
            kind: Kind::of(bytes[3]),
            flags: bytes[4],
            stream: stream & 0x7fff_ffff,
            reserved: stream >> 31 != 0,
        }
    }

    pub(super) fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Whether an endpoint takes it from that side, while the header block of stream `open` goes on. What it
    /// rejects is a connection error (RFC 9113, section 5.4.1): nothing after it is HTTP/2.
    pub(super) fn lawful(self, from: Side, open: Option<u32>, max: u32) -> bool {
        let continues = self.kind == Kind::Continuation && open == Some(self.stream);
        let in_place = continues || (open.is_none() && self.kind != Kind::Continuation);
        in_place && self.length <= max && self.lawful_stream(from) && self.lawful_length()
    }

    fn lawful_stream(self, from: Side) -> bool {
        let stream = self.stream;
        match self.kind {
            Kind::Settings | Kind::Ping | Kind::Goaway => stream == 0,
            Kind::WindowUpdate | Kind::Other => true,
            Kind::Priority | Kind::Reset | Kind::Continuation => stream != 0,
            Kind::PushPromise => from == Side::Server && stream % 2 == 1,
            // A pushed stream carries only the server's answer.
            Kind::Data | Kind::Headers => stream % 2 == 1 || (from == Side::Server && stream != 0),
        }
    }

    fn lawful_length(self) -> bool {
        let padding = u32::from(self.has(PADDED));
        match self.kind {
            Kind::Data => self.length >= padding,
            Kind::Headers => self.length >= padding + if self.has(PRIORITY) { 5 } else { 0 },
            Kind::PushPromise => self.length >= padding + 4,
            Kind::Reset | Kind::WindowUpdate => self.length == 4,
            Kind::Ping => self.length == 8,
            Kind::Goaway => self.length >= 8,
            Kind::Settings if self.has(ACK) => self.length == 0,
            Kind::Settings => self.length.is_multiple_of(6),
            Kind::Priority | Kind::Continuation | Kind::Other => true,
        }
    }

    /// Whether bytes of unknown origin look like it: lawful, and nothing that real traffic has rarely.
    pub(super) fn plausible(self, from: Side, open: Option<u32>) -> bool {
        let usual = match self.kind {
            Kind::Data => self.length > 0 || self.has(END_STREAM),
            Kind::Headers | Kind::Continuation => self.length > 0,
            Kind::Priority => self.length == 5,
            Kind::PushPromise | Kind::Other => false,
            _ => true,
        };
        let stream = self.stream == 0 || self.stream % 2 == 1;
        let flags = self.flags & !self.kind.flags() == 0;
        usual && stream && flags && !self.reserved && self.lawful(from, open, DEFAULT_MAX)
    }
}

/// The big-endian number at a place, 0 past the end.
pub(super) fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|bytes| bytes.first_chunk()).map_or(0, |word| u32::from_be_bytes(*word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(length: u32, kind: u8, flags: u8, stream: u32) -> Header {
        Header { length, kind: Kind::of(kind), flags, stream, reserved: false }
    }

    #[test]
    fn reads_a_header() {
        let read = Header::parse([0, 0x40, 1, 1, 5, 0x80, 0, 0, 3]);
        assert_eq!(read, Header { reserved: true, ..header(0x4001, 1, 5, 3) });
    }

    #[test]
    fn rejects_what_an_endpoint_rejects() {
        let lawful = |header: Header, from| header.lawful(from, None, DEFAULT_MAX);
        for (wrong, from) in [
            (header(1, 0, 0, 0), Side::Client),
            (header(1, 1, 4, 2), Side::Client),
            (header(6, 4, 0, 1), Side::Client),
            (header(5, 4, 0, 0), Side::Server),
            (header(6, 4, 1, 0), Side::Server),
            (header(4, 5, 4, 1), Side::Client),
            (header(7, 6, 0, 0), Side::Client),
            (header(5, 8, 0, 0), Side::Client),
            (header(3, 3, 0, 1), Side::Client),
            (header(1, 9, 4, 1), Side::Client),
            (header(5, 1, 0x28, 1), Side::Client),
            (header(16 * 1024 + 1, 0, 0, 1), Side::Server),
        ] {
            assert!(!lawful(wrong, from), "{wrong:?}");
        }
        assert!(lawful(header(9, 200, 0xff, 77), Side::Client), "extensions are skipped");
        assert!(lawful(header(1, 1, 4, 2), Side::Server), "a pushed response");
        assert!(header(1, 9, 4, 1).lawful(Side::Client, Some(1), DEFAULT_MAX));
        assert!(!header(1, 9, 4, 3).lawful(Side::Client, Some(1), DEFAULT_MAX));
        assert!(!header(1, 0, 0, 1).lawful(Side::Client, Some(1), DEFAULT_MAX));
    }

    #[test]
    fn zeros_and_text_are_not_plausible() {
        for bytes in [[0; 9], *b"GET / HTT", *b"{\"a\": 1, ", [0xff; 9]] {
            for from in [Side::Client, Side::Server] {
                assert!(!Header::parse(bytes).plausible(from, None), "{bytes:?}");
            }
        }
    }
}
