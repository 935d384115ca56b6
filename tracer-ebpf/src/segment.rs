//! A TCP segment as a hook or a capture shows it.

/// Which way a segment went, seen from the pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Direction {
    /// From the network to the pod.
    Ingress = 0,
    /// From the pod to the network.
    Egress = 1,
}

impl Direction {
    /// The other direction.
    #[must_use]
    #[inline(always)]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Ingress => Self::Egress,
            Self::Egress => Self::Ingress,
        }
    }
}

/// TCP flag bits as they stand in the header (RFC 9293, section 3.1).
pub mod tcp_flag {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronize sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset the connection.
    pub const RST: u8 = 0x04;
    /// Push: the last segment of a write.
    pub const PSH: u8 = 0x08;
    /// The acknowledgment number counts.
    pub const ACK: u8 = 0x10;
}

/// One TCP segment (an skb: after GRO, before GSO), without its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Nanoseconds on the clock of the source (`CLOCK_BOOTTIME` for the hooks).
    pub time: u64,
    /// Sequence number of the first byte (or of the SYN).
    pub sequence: u32,
    /// Acknowledgment number; counts when [`tcp_flag::ACK`] is set.
    pub acknowledgment: u32,
    /// Payload bytes.
    pub length: u32,
    /// The window field, not scaled: only zero or not is read.
    pub window: u16,
    /// Flag bits, see [`tcp_flag`].
    pub flags: u8,
    /// Which way it went.
    pub direction: Direction,
}

impl Segment {
    /// Whether `flag` is set.
    #[must_use]
    #[inline(always)]
    pub const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}
