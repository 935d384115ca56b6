//! From the clock of the records to the clock on the wall.

/// Places times of the source's clock on the wall's: `CLOCK_BOOTTIME` live, the capture's own clock offline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WallClock {
    offset: i64,
}

impl WallClock {
    /// For sources whose times are Unix nanoseconds already.
    pub const UNIX: Self = Self { offset: 0 };

    /// From the same instant on both clocks, nanoseconds.
    #[must_use]
    pub fn new(boot_ns: u64, unix_ns: u64) -> Self {
        Self { offset: unix_ns.wrapping_sub(boot_ns).cast_signed() }
    }

    /// Unix nanoseconds of an instant of the source's clock.
    #[must_use]
    pub fn unix_ns(self, boot_ns: u64) -> u64 {
        boot_ns.saturating_add_signed(self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_what_the_clocks_are_apart() {
        let clock = WallClock::new(5_000, 1_700_000_000_000_005_000);
        assert_eq!(clock.unix_ns(7_000), 1_700_000_000_000_007_000);
        assert_eq!(clock.unix_ns(4_000), 1_700_000_000_000_004_000);
    }

    #[test]
    fn a_wall_clock_before_the_boot_stops_at_zero() {
        let clock = WallClock::new(5_000, 1_000);
        assert_eq!(clock.unix_ns(4_500), 500);
        assert_eq!(clock.unix_ns(100), 0);
    }

    #[test]
    fn unix_times_stay() {
        assert_eq!(WallClock::UNIX.unix_ns(42), 42);
    }
}
