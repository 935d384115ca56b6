//! From frame header to frame header.

use super::{Bytes, COPIED, Frames, RUN_LIMIT, reload, store};
use crate::record::protocol;

/// Steps of one walk: two per frame.
const STEPS: u32 = 128;
/// An HTTP/2 frame of type DATA (RFC 9113, section 6.1).
const DATA: u8 = 0;
/// What follows of an HTTP/2 frame header after length and type (RFC 9113, section 4.1).
const REST_OF_HEADER: u32 = 5;
/// A TLS record of application data (RFC 8446, section 5.1).
const APPLICATION_DATA: u32 = 23;

impl Frames {
    /// Walks over frames until a run ends; returns where it began.
    #[inline(always)]
    pub(super) fn walk(&mut self, protocol: u8, bytes: &impl Bytes) -> u32 {
        self.start = self.at;
        for _ in 0..STEPS {
            if !self.step(protocol, bytes) {
                break;
            }
        }
        reload(&self.start)
    }

    /// One step of the walk. Says whether the run goes on.
    ///
    /// Between steps all that moves lies in memory, where the verifier knows nothing of it: so each step is like
    /// the one before, and it follows the ways through one of them and not through all together.
    #[inline(always)]
    fn step(&mut self, protocol: u8, bytes: &impl Bytes) -> bool {
        let (at, start) = (reload(&self.at), reload(&self.start));
        let left = self.end.wrapping_sub(at);
        let room = RUN_LIMIT.wrapping_sub(at.wrapping_sub(start));
        if at >= self.end || room < 4 {
            return false;
        }
        let taken;
        if self.copy != 0 {
            taken = self.copy.min(left).min(room);
            self.copy = self.copy.wrapping_sub(taken);
        } else if self.skip != 0 {
            if at != start {
                return false;
            }
            taken = self.skip.min(left);
            self.skip = self.skip.wrapping_sub(taken);
            self.unsaid = self.unsaid.wrapping_add(taken);
            store(&mut self.start, at.wrapping_add(taken));
        } else if let Some(read) = self.header(protocol, at, left, bytes) {
            taken = read;
        } else {
            self.give_up();
            store(&mut self.start, self.end);
            return false;
        }
        store(&mut self.at, at.wrapping_add(taken));
        true
    }

    /// Reads on in a frame header; returns how many bytes it took.
    #[inline(always)]
    fn header(&mut self, protocol: u8, at: u32, left: u32, bytes: &impl Bytes) -> Option<u32> {
        let whole = match protocol {
            protocol::HTTP2 => 4,
            protocol::TLS => 5,
            _ => 2,
        };
        if self.have == 0 && left >= 4 && whole >= 4 {
            let word = bytes.word(at)?;
            if whole == 4 {
                self.decode(protocol, word);
            } else {
                (self.head, self.have) = (word, 4);
            }
            return Some(4);
        }
        let byte = u32::from(bytes.byte(at)?);
        self.have = self.have.wrapping_add(1);
        if self.have >= whole {
            self.have = 0;
            if protocol == protocol::TLS {
                self.record(self.head, byte);
            } else {
                self.decode(protocol, self.head.wrapping_shl(8) | byte);
            }
            self.head = 0;
        } else {
            self.head = self.head.wrapping_shl(8) | byte;
        }
        Some(1)
    }

    /// The length of an HTTP/2 frame and its type, or of a DNS message (RFC 1035, section 4.2.2).
    #[inline(always)]
    fn decode(&mut self, protocol: u8, head: u32) {
        (self.head, self.have) = (0, 0);
        if protocol == protocol::DNS {
            self.copy = head & 0xffff;
            return;
        }
        let length = head.wrapping_shr(8);
        let [.., kind] = head.to_be_bytes();
        if kind == DATA && length > COPIED {
            (self.copy, self.skip, self.pattern) = (REST_OF_HEADER, length, head);
        } else {
            self.copy = REST_OF_HEADER.wrapping_add(length);
        }
    }

    /// A TLS record: type, version and the length's first byte are in `head`.
    #[inline(always)]
    fn record(&mut self, head: u32, last: u32) {
        let length = (head & 0xff).wrapping_shl(8) | last;
        if head.wrapping_shr(24) == APPLICATION_DATA && length > COPIED {
            (self.skip, self.pattern) = (length, head);
        } else {
            self.copy = length;
        }
    }
}
