//! The place in the frames, found again among raw bytes.
//!
//! Long streams come in frames of one length. So after a hole the header of the next long frame looks like that of the
//! last one: its first four bytes are searched for. Payload may look like it: so a frame must also end where another
//! header begins, and from that one on the walk goes on.

use super::{Bytes, Frames, RUN_LIMIT, SEARCHED, header, mode, reload, store};

impl Frames {
    /// Lets bytes cross, until a header is where one is expected.
    #[inline(always)]
    pub(super) fn search(&mut self, protocol: u8, bytes: &impl Bytes) -> u32 {
        let ahead = self.expect.wrapping_sub(self.sequence);
        if self.expects == 1 && ahead == 0 {
            self.expects = 0;
            if header::may_begin(protocol, self.at, bytes) {
                self.mode = mode::WALK;
                return self.walk(protocol, bytes);
            }
        }
        // A hole may have hidden it: then it is far.
        if self.expects == 1 && ahead <= header::LONGEST {
            return self.pass(ahead.min(RUN_LIMIT));
        }
        self.expects = 0;
        self.start = self.at;
        for _ in 0..RUN_LIMIT / SEARCHED {
            if !self.look(protocol, bytes) {
                break;
            }
        }
        self.pass(RUN_LIMIT)
    }

    /// One step of the search. Says whether it goes on. Its place lies in memory, see [`Frames::walk`].
    #[inline(always)]
    fn look(&mut self, protocol: u8, bytes: &impl Bytes) -> bool {
        let from = reload(&self.start);
        if self.pattern == 0 || from >= self.end {
            return false;
        }
        store(&mut self.start, from.wrapping_add(SEARCHED));
        let Some(found) = bytes.find(from, self.pattern) else { return true };
        let Some(length) = header::long(protocol, found, bytes) else { return true };
        self.expects = 1;
        self.expect = self.sequence.wrapping_add(found.wrapping_sub(self.at)).wrapping_add(length);
        false
    }
}
