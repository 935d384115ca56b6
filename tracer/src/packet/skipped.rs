//! Why a packet is not read.

/// Why a packet, or its fragment, is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[repr(u8)]
pub enum Skipped {
    /// The link type is none of those that are read.
    #[error("unknown link type")]
    LinkType,
    /// The snap length cut a header.
    #[error("the snap length cuts a header")]
    Cut,
    /// The packet ends within a header.
    #[error("the packet ends within a header")]
    Short,
    /// A header gives itself or its packet a length that cannot be.
    #[error("a header's length field is wrong")]
    Length,
    /// What should be an IP header has another version.
    #[error("wrong IP version")]
    Version,
    /// More headers than are read in one packet.
    #[error("too many headers in one packet")]
    Nested,
    /// A fragment was cut by the snap length: its datagram cannot be put together.
    #[error("the snap length cuts a fragment")]
    FragmentCut,
    /// A fragment overlaps another, or its datagram ends twice: the datagram is dropped, as Linux does
    /// (RFC 5722 for IPv6).
    #[error("overlapping fragments")]
    FragmentOverlap,
}

impl Skipped {
    /// Every reason, in the order of their counters.
    pub(super) const ALL: [Self; 8] = [
        Self::LinkType,
        Self::Cut,
        Self::Short,
        Self::Length,
        Self::Version,
        Self::Nested,
        Self::FragmentCut,
        Self::FragmentOverlap,
    ];

    /// Name in outputs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::LinkType => "unknown_link_type",
            Self::Cut => "header_cut_by_snap_length",
            Self::Short => "packet_too_short",
            Self::Length => "bad_length",
            Self::Version => "bad_ip_version",
            Self::Nested => "too_many_headers",
            Self::FragmentCut => "fragment_cut_by_snap_length",
            Self::FragmentOverlap => "overlapping_fragments",
        }
    }
}
