//! Flow-control windows (RFC 9113, section 5.2): how long they keep a sender from sending.

/// Window of a connection, and of a stream when nobody announced another (RFC 9113, section 6.9.2).
pub(super) const DEFAULT: i64 = 65_535;

/// A window, without its initial size, which the other side may change for all streams at once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    /// Increments less DATA.
    credit: i64,
    /// Since when it keeps a message from going on.
    stalled: Option<u64>,
}

impl Window {
    /// DATA went; `more` of its message is to come. Returns how long it had waited: it does not any more.
    pub(super) fn spend(&mut self, length: u32, initial: i64, more: bool, time: u64) -> u64 {
        let waited = self.close(time);
        self.credit = self.credit.saturating_sub(length.into());
        if more && self.credit.saturating_add(initial) <= 0 {
            self.stalled = Some(time);
        }
        waited
    }

    /// A `WINDOW_UPDATE` came. Returns how long its sender had waited, if it does not any more.
    pub(super) fn refill(&mut self, increment: u32, initial: i64, time: u64) -> u64 {
        self.credit = self.credit.saturating_add(increment.into());
        if self.credit.saturating_add(initial) > 0 { self.close(time) } else { 0 }
    }

    /// The message goes on, or nothing more of it comes. Returns how long it had waited.
    pub(super) fn close(&mut self, time: u64) -> u64 {
        self.stalled.take().map_or(0, |since| time.saturating_sub(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_from_the_last_byte_to_the_next_increment() {
        let mut window = Window::default();
        assert_eq!(window.spend(60_000, DEFAULT, true, 1), 0);
        assert_eq!(window.spend(5_535, DEFAULT, true, 2), 0);
        assert_eq!(window.refill(10, DEFAULT, 7), 5);
        assert_eq!(window.refill(10, DEFAULT, 9), 0, "it was open");
    }

    #[test]
    fn a_finished_message_waits_for_nothing() {
        let mut window = Window::default();
        window.spend(65_535, DEFAULT, false, 1);
        assert_eq!(window.close(9), 0);
    }

    #[test]
    fn a_smaller_initial_size_makes_it_negative() {
        let mut window = Window::default();
        window.spend(100, DEFAULT, true, 1);
        window.spend(0, 50, true, 2);
        assert_eq!(window.refill(50, 50, 3), 0, "at zero");
        assert_eq!(window.refill(1, 50, 4), 2);
    }
}
