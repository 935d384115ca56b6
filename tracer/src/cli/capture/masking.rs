//! What of the packets' payload is written.

use std::net::IpAddr;

use tracer_ebpf::record::PacketHead;

use crate::export::{mask::mask, mask_known::KnownSecrets};

/// How much payload is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Payload {
    /// DNS, and of HTTP/1 the start lines and harmless headers; the rest is written over with x
    #[default]
    Headers,
    /// All but known secrets: metadata answers, credentials in HTTP/1 headers and parameters, all of HTTP/2
    Full,
}

/// Masks payload.
#[derive(Default)]
pub(super) struct Masking {
    /// Addresses of metadata services: of what they answer, the expiry of credentials stays.
    metadata: Vec<IpAddr>,
    /// What is known of flows, when their payload is wanted.
    known: Option<KnownSecrets>,
}

impl Masking {
    /// Masks what the policy does not want; of metadata services nothing but the expiry of credentials is ever kept.
    pub(super) fn new(payload: Payload, metadata: Vec<IpAddr>) -> Self {
        Self { metadata, known: (payload == Payload::Full).then(KnownSecrets::default) }
    }

    /// Masks a packet, from its IP header on.
    pub(super) fn mask(&mut self, head: &PacketHead, bytes: &mut [u8]) {
        match &mut self.known {
            None => mask(bytes, head.first == 1, &self.metadata),
            Some(known) => known.mask(head, bytes, &self.metadata),
        }
    }
}
