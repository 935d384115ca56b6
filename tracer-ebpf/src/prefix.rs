//! What the first bytes of a message say: whether a flow speaks HTTP/1, and whose bytes they are.

use crate::{
    flow::{FlowState, Plan},
    frames,
    record::{RESPONSE_PREFIX, flow_flag, protocol},
};

/// DNS over TCP (RFC 7766).
const DNS_PORT: u16 = 53;

impl FlowState {
    /// The host has read the prefix of the message that `plan` begins into the record; `first` are its first
    /// bytes.
    #[inline(always)]
    pub fn understand(&mut self, plan: &Plan, first: [u8; 9]) {
        if self.record.protocol == protocol::UNKNOWN {
            self.learn(plan, first);
        } else if plan.response && is_interim(&self.record.response_prefix) {
            self.interim();
        }
    }

    /// What a flow speaks, from the first bytes of its first message. Those of a joined flow may be from the
    /// middle of one: there only a start line or a frame header tells, and whose it is tells the role too.
    #[inline(always)]
    fn learn(&mut self, plan: &Plan, first: [u8; 9]) {
        let joined = self.record.flags & flow_flag::JOINED != 0;
        let [a, b, c, d, ..] = first;
        let start = [a, b, c, d];
        if is_http1(start) {
            self.record.protocol = protocol::HTTP1;
            if joined && plan.response != (&start == b"HTTP") {
                self.reverse();
            }
            return;
        }
        self.record.request_prefix_length = 0;
        self.record.response_prefix_length = 0;
        let framed = self.framed(plan, first, joined);
        if framed != protocol::UNKNOWN {
            self.begin_frames(framed, plan.response);
        } else if !joined {
            self.record.protocol = protocol::OPAQUE;
        }
    }

    /// The protocol with frames that a flow speaks. What the metadata service says is read as HTTP/1 only.
    #[inline(always)]
    fn framed(&self, plan: &Plan, first: [u8; 9], joined: bool) -> u8 {
        let record = &self.record;
        if record.flags & flow_flag::METADATA != 0 {
            protocol::UNKNOWN
        } else if record.remote_port == DNS_PORT || record.local_port == DNS_PORT {
            protocol::DNS
        } else if if joined { frames::is_headers(first) } else { frames::begins_http2(plan.response, first) }
        {
            protocol::HTTP2
        } else if if joined { frames::is_record(first) } else { frames::begins_tls(first) } {
            protocol::TLS
        } else {
            protocol::UNKNOWN
        }
    }
}

/// Whether a response is `HTTP/1.1 1xx`, which the final one follows. 101 is final: the protocol changes.
#[inline(always)]
fn is_interim(response: &[u8; RESPONSE_PREFIX]) -> bool {
    let [.., space, hundreds, tens, ones, _, _, _, _] = *response;
    let [h, t, ..] = *response;
    h == b'H' && t == b'T' && space == b' ' && hundreds == b'1' && !(tens == b'0' && ones == b'1')
}

/// The first four bytes of the methods of RFC 9110, section 9.3, and RFC 5789, and of a status line.
#[inline(always)]
fn is_http1(first: [u8; 4]) -> bool {
    matches!(&first, b"GET " | b"POST" | b"PUT " | b"HEAD" | b"DELE" | b"OPTI" | b"PATC" | b"CONN" | b"HTTP")
}
