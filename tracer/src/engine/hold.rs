//! Pods that will be named in a moment: what is told of them waits for that.

use super::FlowEvent;

/// How long a name is waited for, from when the pod was first seen, nanoseconds. A source that knows the pod tells it
/// within milliseconds; without hold the first metrics of each new pod were another series.
const PATIENCE: u64 = 2_000_000_000;
/// Time moves at least that often, nanoseconds.
const TICK: u64 = 1_000_000_000;
/// Events kept meanwhile; a pod with more is told of without its name.
const EVENTS: usize = 1024;

/// The events of a pod without a name.
#[derive(Debug, Default)]
pub(super) struct Hold {
    /// Until when it lasts; set when time first moves.
    until: Option<u64>,
    events: Vec<FlowEvent>,
}

impl Hold {
    /// Keeps an event unless there are too many.
    pub(super) fn keep(&mut self, event: FlowEvent) -> bool {
        let room = self.events.len() < EVENTS;
        if room {
            self.events.push(event);
        }
        room
    }

    /// Whether the time is over.
    pub(super) fn is_over(&mut self, now: u64) -> bool {
        now >= *self.until.get_or_insert(now.saturating_add(PATIENCE))
    }

    /// When the pod was first seen, at the latest.
    pub(super) fn since(&self) -> Option<u64> {
        self.until.map(|until| until.saturating_sub(PATIENCE + TICK))
    }

    /// What was kept.
    pub(super) fn events(self) -> Vec<FlowEvent> {
        self.events
    }
}
