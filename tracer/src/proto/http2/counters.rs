//! What happened on a connection besides its exchanges.

use super::super::stream::Side;

/// Known error codes (RFC 9113, section 7), and a place for all others.
pub const ERROR_CODES: usize = 15;

/// A GOAWAY frame (RFC 9113, section 6.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Goaway {
    /// The last stream that its sender acts on; a graceful shutdown first says 2³¹−1.
    pub last: u32,
    /// Error code; 0 when nothing is wrong.
    pub code: u32,
}

/// What one side sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// SETTINGS frames that are no acknowledgments.
    pub settings: u64,
    /// PING frames that are no acknowledgments.
    pub pings: u64,
    /// Acknowledgments of the other side's PINGs.
    pub ping_acks: u64,
    /// The newest GOAWAY.
    pub goaway: Option<Goaway>,
    /// `RST_STREAM` frames by error code; the last place counts the unknown codes.
    pub resets: [u64; ERROR_CODES],
    /// Header blocks that were longer than is held, or than there was room for; their fields are unknown.
    pub blocks_cut: u64,
    /// Header blocks of which bytes are missing, or that are malformed; their fields are unknown.
    pub blocks_unread: u64,
    /// How often the header table was given up because there was no room: fields that refer to it are unknown.
    pub tables_cut: u64,
    /// How often missing bytes hid where frames begin; streams that needed them ended as cut.
    pub losses: u64,
    /// Nanoseconds in which the connection's window kept an unfinished message of this side from going on: from
    /// the DATA frame that used it up to the `WINDOW_UPDATE` that opened it. Not counted where frames are missing.
    pub connection_stalled: u64,
    /// The same of the streams' own windows, summed over the streams.
    pub streams_stalled: u64,
}

impl Sent {
    pub(super) fn reset(&mut self, code: u32) {
        let place = usize::try_from(code).unwrap_or(usize::MAX).min(ERROR_CODES - 1);
        if let Some(count) = self.resets.get_mut(place) {
            *count += 1;
        }
    }

    pub(super) fn stalled_streams(&mut self, nanoseconds: u64) {
        self.streams_stalled = self.streams_stalled.saturating_add(nanoseconds);
    }

    pub(super) fn stalled(&mut self, nanoseconds: u64) {
        self.connection_stalled = self.connection_stalled.saturating_add(nanoseconds);
    }
}

/// What happened on a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// By the client.
    pub client: Sent,
    /// By the server.
    pub server: Sent,
    /// It turned out not to be HTTP/2: nothing was read from there on.
    pub broken: bool,
    /// Streams that ended as cut because too many were in flight, or there was no room for more.
    pub streams_cut: u64,
}

impl Counters {
    pub(super) fn of_mut(&mut self, side: Side) -> &mut Sent {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }
}
