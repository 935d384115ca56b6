//! How often a protocol's reader reached one of its own limits.

use crate::proto::{http1_stream, http2};

/// What was given up for lack of room, over all connections.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Caps {
    http1_requests: u64,
    http2_streams: u64,
    http2_blocks: u64,
    http2_tables: u64,
}

impl Caps {
    /// An HTTP/1 connection is over.
    pub(super) fn http1(&mut self, counts: &http1_stream::Counts) {
        self.http1_requests = self.http1_requests.saturating_add(counts.overflows);
    }

    /// An HTTP/2 connection is over.
    pub(super) fn http2(&mut self, counters: &http2::Counters) {
        self.http2_streams = self.http2_streams.saturating_add(counters.streams_cut);
        for sent in [&counters.client, &counters.server] {
            self.http2_blocks = self.http2_blocks.saturating_add(sent.blocks_cut);
            self.http2_tables = self.http2_tables.saturating_add(sent.tables_cut);
        }
    }

    /// Each with its name in outputs.
    pub(super) fn named(&self) -> [(&'static str, u64); 4] {
        [
            ("http1_requests_cut", self.http1_requests),
            ("http2_streams_cut", self.http2_streams),
            ("http2_blocks_cut", self.http2_blocks),
            ("http2_tables_cut", self.http2_tables),
        ]
    }
}
