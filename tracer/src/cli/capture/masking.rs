//! What of the packets' payload is written.

use std::net::IpAddr;

use tracer_ebpf::record::PacketHead;

use crate::export::mask::mask;

/// Masks payload.
#[derive(Default)]
pub(super) struct Masking {
    /// Addresses of metadata services: of what they answer, the expiry of credentials stays.
    metadata: Vec<IpAddr>,
}

impl Masking {
    /// Masks everything but headers.
    pub(super) fn new(metadata: Vec<IpAddr>) -> Self {
        Self { metadata }
    }

    /// Masks a packet, from its IP header on.
    pub(super) fn mask(&mut self, head: &PacketHead, bytes: &mut [u8]) {
        mask(bytes, head.first == 1, &self.metadata);
    }
}
