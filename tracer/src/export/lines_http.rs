//! What happened on an HTTP connection besides its exchanges, as members of its line. What did not happen is left out.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::proto::{
    http1_stream,
    http2::{self, ERROR_CODES, Goaway, Sent},
};

/// Error codes (RFC 9113, section 7); the last place is for all others.
const CODES: [&str; ERROR_CODES] = [
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
    "unknown",
];

/// Of an HTTP/1 connection: what could not be read.
#[derive(Debug, Serialize)]
pub struct Http1 {
    /// Messages that begin with something else than a start line, or have too long a head.
    #[serde(skip_serializing_if = "is_zero")]
    bad_heads: u64,
    /// Messages whose end nobody can say.
    #[serde(skip_serializing_if = "is_zero")]
    bad_framings: u64,
    /// Missing bytes that may have hidden the end of a message.
    #[serde(skip_serializing_if = "is_zero")]
    gaps: u64,
    /// Bytes that were not read after one of these.
    #[serde(skip_serializing_if = "is_zero")]
    skipped_bytes: u64,
    /// Messages that ended before their head said they would.
    #[serde(skip_serializing_if = "is_zero")]
    early_ends: u64,
    /// Times that requests in flight were given up for lack of room.
    #[serde(skip_serializing_if = "is_zero")]
    requests_cut: u64,
}

/// Of an HTTP/2 connection.
#[derive(Debug, Serialize)]
pub struct Http2 {
    /// By the client.
    client: Http2Side,
    /// By the server.
    server: Http2Side,
    /// It turned out not to be HTTP/2.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    broken: bool,
    /// Streams that were given up for lack of room.
    #[serde(skip_serializing_if = "is_zero")]
    streams_cut: u64,
}

/// What one side of an HTTP/2 connection sent.
#[derive(Debug, Serialize)]
struct Http2Side {
    /// The newest GOAWAY.
    #[serde(skip_serializing_if = "Option::is_none")]
    goaway: Option<GoawayLine>,
    /// `RST_STREAM` frames by error code.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    resets: BTreeMap<&'static str, u64>,
    /// PING frames, and answers to the other side's.
    #[serde(skip_serializing_if = "is_zero")]
    pings: u64,
    #[serde(skip_serializing_if = "is_zero")]
    ping_acks: u64,
    /// Header blocks whose fields are unknown: malformed, with bytes missing, or too long.
    #[serde(skip_serializing_if = "is_zero")]
    blocks_unread: u64,
    /// Header tables that were given up for lack of room.
    #[serde(skip_serializing_if = "is_zero")]
    tables_cut: u64,
    /// How often missing bytes hid where frames begin.
    #[serde(skip_serializing_if = "is_zero")]
    losses: u64,
    /// Nanoseconds in which the connection's window kept it from sending, and the streams' own windows, summed.
    #[serde(skip_serializing_if = "is_zero")]
    connection_stalled: u64,
    #[serde(skip_serializing_if = "is_zero")]
    streams_stalled: u64,
}

#[derive(Debug, Serialize)]
struct GoawayLine {
    /// The last stream that its sender acts on.
    last: u32,
    code: &'static str,
}

impl Http1 {
    /// `None` when all was read.
    pub(super) fn of(counts: &http1_stream::Counts) -> Option<Self> {
        let http1_stream::Counts { bad_heads, bad_framings, gaps, skipped_bytes, early_ends, overflows } =
            *counts;
        (*counts != http1_stream::Counts::default()).then_some(Self {
            bad_heads,
            bad_framings,
            gaps,
            skipped_bytes,
            early_ends,
            requests_cut: overflows,
        })
    }
}

impl Http2 {
    pub(super) fn of(counters: &http2::Counters) -> Self {
        Self {
            client: Http2Side::of(&counters.client),
            server: Http2Side::of(&counters.server),
            broken: counters.broken,
            streams_cut: counters.streams_cut,
        }
    }
}

impl Http2Side {
    fn of(sent: &Sent) -> Self {
        let resets = CODES.into_iter().zip(sent.resets).filter(|(_, count)| *count > 0);
        Self {
            goaway: sent.goaway.map(|Goaway { last, code }| GoawayLine { last, code: name(code) }),
            resets: resets.collect(),
            pings: sent.pings,
            ping_acks: sent.ping_acks,
            blocks_unread: sent.blocks_unread.saturating_add(sent.blocks_cut),
            tables_cut: sent.tables_cut,
            losses: sent.losses,
            connection_stalled: sent.connection_stalled,
            streams_stalled: sent.streams_stalled,
        }
    }
}

fn name(code: u32) -> &'static str {
    usize::try_from(code).ok().and_then(|code| CODES.get(code)).copied().unwrap_or("unknown")
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_happened_is_told() {
        let quiet = http2::Counters::default();
        let shown = |line: &Http2| serde_json::to_string(line).unwrap();
        assert_eq!(shown(&Http2::of(&quiet)), r#"{"client":{},"server":{}}"#);
        let mut server =
            Sent { goaway: Some(Goaway { last: 7, code: 11 }), blocks_cut: 1, ..Sent::default() };
        (server.resets[8], server.resets[14], server.connection_stalled) = (2, 1, 5_000_000);
        let busy = http2::Counters { server, streams_cut: 3, ..quiet };
        assert_eq!(
            shown(&Http2::of(&busy)),
            r#"{"client":{},"server":{"goaway":{"last":7,"code":"ENHANCE_YOUR_CALM"},"resets":{"CANCEL":2,"#
                .to_owned()
                + r#""unknown":1},"blocks_unread":1,"connection_stalled":5000000},"streams_cut":3}"#
        );
        assert!(Http1::of(&http1_stream::Counts::default()).is_none());
        let counts = http1_stream::Counts { gaps: 1, skipped_bytes: 30, ..http1_stream::Counts::default() };
        let line = serde_json::to_string(&Http1::of(&counts)).unwrap();
        assert_eq!(line, r#"{"gaps":1,"skipped_bytes":30}"#);
    }
}
