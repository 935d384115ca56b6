//! What a segment looked like in its place: the names of Wireshark's `tcp.analysis` fields.

/// One judgment on a segment. What it takes is said in the "TCP Analysis" chapter of Wireshark's user's guide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Flag {
    /// Bytes, a SYN or a FIN again, for none of the reasons below.
    Retransmission,
    /// Again, soon after the peer's second duplicate acknowledgment asked for them.
    FastRetransmission,
    /// Again, although the peer has acknowledged all of them.
    SpuriousRetransmission,
    /// Behind what its sender sent, but too soon to be a retransmission.
    OutOfOrder,
    /// Ahead of what its sender sent: something before it was not captured.
    LostSegment,
    /// Acknowledges bytes that were not captured.
    AckedUnseen,
    /// Says nothing that its sender's previous segment did not say.
    DuplicateAck,
    /// At most one byte, and that one old.
    KeepAlive,
    /// The answer to a keep-alive.
    KeepAliveAck,
    /// Its sender has no room for bytes.
    ZeroWindow,
    /// One byte to a receiver without room.
    ZeroWindowProbe,
    /// The answer to that: still no room.
    ZeroWindowProbeAck,
    /// Only changes the window.
    WindowUpdate,
    /// Its last byte is the last that the receiver has room for.
    WindowFull,
    /// A SYN on addresses and ports that were in use before.
    PortReused,
}

impl Flag {
    /// Number of flags.
    pub const COUNT: usize = 15;

    /// All of them, in the order of their bits.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Retransmission,
        Self::FastRetransmission,
        Self::SpuriousRetransmission,
        Self::OutOfOrder,
        Self::LostSegment,
        Self::AckedUnseen,
        Self::DuplicateAck,
        Self::KeepAlive,
        Self::KeepAliveAck,
        Self::ZeroWindow,
        Self::ZeroWindowProbe,
        Self::ZeroWindowProbeAck,
        Self::WindowUpdate,
        Self::WindowFull,
        Self::PortReused,
    ];

    /// The last part of Wireshark's field name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Retransmission => "retransmission",
            Self::FastRetransmission => "fast_retransmission",
            Self::SpuriousRetransmission => "spurious_retransmission",
            Self::OutOfOrder => "out_of_order",
            Self::LostSegment => "lost_segment",
            Self::AckedUnseen => "ack_lost_segment",
            Self::DuplicateAck => "duplicate_ack",
            Self::KeepAlive => "keep_alive",
            Self::KeepAliveAck => "keep_alive_ack",
            Self::ZeroWindow => "zero_window",
            Self::ZeroWindowProbe => "zero_window_probe",
            Self::ZeroWindowProbeAck => "zero_window_probe_ack",
            Self::WindowUpdate => "window_update",
            Self::WindowFull => "window_full",
            Self::PortReused => "reused_ports",
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u8
    }
}

/// A set of flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u16);

impl Flags {
    /// No flag.
    pub(super) const NONE: Self = Self(0);

    /// Whether the flag is set.
    #[must_use]
    pub const fn has(self, flag: Flag) -> bool {
        self.0 & flag.bit() != 0
    }

    /// Whether none is set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether it is a retransmission of any of the three kinds: `tcp.analysis.retransmission`.
    #[must_use]
    pub const fn is_retransmission(self) -> bool {
        let kinds =
            Flag::Retransmission.bit() | Flag::FastRetransmission.bit() | Flag::SpuriousRetransmission.bit();
        self.0 & kinds != 0
    }

    /// The flags that are set.
    pub fn iter(self) -> impl Iterator<Item = Flag> {
        Flag::ALL.into_iter().filter(move |flag| self.has(*flag))
    }

    /// Sets a flag.
    pub(super) fn set(&mut self, flag: Flag) {
        self.0 |= flag.bit();
    }
}

impl FromIterator<Flag> for Flags {
    fn from_iter<I: IntoIterator<Item = Flag>>(flags: I) -> Self {
        let mut set = Self::default();
        flags.into_iter().for_each(|flag| set.set(flag));
        set
    }
}
