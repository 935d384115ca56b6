//! Per-CPU counters of the kernel side: everything emitted and everything that was not, by reason.

/// Index into the `COUNTERS` map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Counter {
    /// Records that the programs made, whether the ring took them or not.
    Emitted = 0,
    /// Records that the ring had no room for.
    DroppedRingFull = 1,
    /// Packets for `tracer capture` that the programs made.
    PacketsEmitted = 2,
    /// Packets for `tracer capture` that their ring had no room for.
    PacketsDropped = 3,
    /// Packets whose headers could not be read (cut, or IPv6 with extension headers): each counts as a record
    /// emitted and dropped.
    Unparsed = 4,
    /// Segments and handshakes whose socket storage could not be made (out of memory): each counts as a record
    /// emitted and dropped.
    NoStorage = 5,
}

impl Counter {
    /// Number of counters: the size of the `COUNTERS` map.
    pub const COUNT: u32 = 6;
}
