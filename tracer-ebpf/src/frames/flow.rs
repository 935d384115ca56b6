//! Which flows have frames, and which segments are walked over.

use super::Frames;
use crate::{
    flow::{FlowState, Plan},
    record::{flow_flag, protocol, role},
    segment::{Direction, Segment, tcp_flag},
};

impl FlowState {
    /// Whether userspace reads the flow's frames: its exchanges are not the host's to tell.
    #[must_use]
    #[inline(always)]
    pub const fn is_framed(&self) -> bool {
        self.record.protocol > protocol::OPAQUE
    }

    /// The frames of a direction.
    #[inline(always)]
    pub fn frames(&mut self, direction: Direction) -> &mut Frames {
        match direction {
            Direction::Ingress => &mut self.ingress,
            Direction::Egress => &mut self.egress,
        }
    }

    /// Whether the host is to walk over the segment's frames. After a hole any old segment may fill one.
    #[must_use]
    #[inline(always)]
    pub fn wants_frames(&self, segment: &Segment, plan: &Plan) -> bool {
        let fills = plan.again && (self.ingress.disorder == 1 || self.ingress.is_busy());
        self.is_framed() && (plan.fresh != 0 || fills || segment.has(tcp_flag::FIN | tcp_flag::RST))
    }

    /// The first message shows that the flow has frames. Of the other direction all is to come, unless the flow was
    /// joined, or its beginning was not seen.
    #[inline(always)]
    pub(crate) fn begin_frames(&mut self, spoken: u8, response: bool) {
        self.record.protocol = spoken;
        let joined = self.record.flags & flow_flag::JOINED != 0;
        let unseen = response && self.record.flags & flow_flag::UNSOLICITED == 0;
        let is_server = self.record.role == role::SERVER;
        for (direction, of_client) in [(Direction::Ingress, is_server), (Direction::Egress, !is_server)] {
            let frames = self.frames(direction);
            // DNS messages have no header that could be found in the middle: the first bytes begin one.
            if joined && spoken != protocol::DNS || unseen && of_client {
                frames.join();
            } else {
                frames.start(spoken, of_client);
            }
        }
    }
}
