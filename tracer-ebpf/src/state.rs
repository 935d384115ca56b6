//! What is kept per socket, and where it lies in memory.

use bytemuck::{Pod, Zeroable};

use crate::{frames::Frames, record::FlowRecord};

/// Whose message came last on the flow.
pub mod turn {
    /// No message yet.
    pub const NONE: u8 = 0;
    /// The client's.
    pub const REQUEST: u8 = 1;
    /// The server's.
    pub const RESPONSE: u8 = 2;
}

/// What is kept per socket. All zeroes is the state of a flow of which nothing is known.
///
/// Ingress and egress run on different CPUs as a rule, and each cache line that both write travels between them twice per
/// exchange. So what a server's egress writes is one line, from `record.response_first` to `seen`: the kernel puts the
/// state 8 bytes behind the beginning of a line (`bpf_local_storage_elem.sdata`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct FlowState {
    /// What userspace gets.
    pub record: FlowRecord,
    /// Sequence number after the newest byte from the pod.
    pub(crate) next_egress: u32,
    /// One of [`turn`].
    pub(crate) turn: u8,
    /// 1 when `record` holds something that was not emitted.
    pub(crate) dirty: u8,
    /// 1 when the newest payload segment ended a write (PSH).
    pub(crate) pushed: u8,
    /// Bits of [`seen`].
    pub(crate) seen: u8,
    /// Sequence number after the newest byte from the peer.
    pub(crate) next_ingress: u32,
    /// Sequence number of bytes that were retransmitted.
    pub(crate) repeated: u32,
    /// How often the pod retransmitted the bytes at `repeated`; 0 once they are acknowledged.
    pub(crate) repeats: u8,
    /// 1 once userspace knows that the flow's frames come.
    pub announced: u8,
    reserved: [u8; 6],
    /// Frames from the peer, once the flow [is framed](FlowState::is_framed).
    pub(crate) ingress: Frames,
    /// Frames from the pod.
    pub(crate) egress: Frames,
    /// Process that sends on the flow; 0 until it first did. Another one is not the sender but who was
    /// interrupted when a delayed segment left.
    pub owner: u32,
    also_reserved: u32,
}

/// Which sequence numbers count.
pub(crate) mod seen {
    /// `next_ingress`.
    pub(crate) const INGRESS: u8 = 1;
    /// `next_egress`.
    pub(crate) const EGRESS: u8 = 2;
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "offsets of a struct")]
mod tests {
    use core::mem::offset_of;

    use super::*;

    /// Where the kernel puts the state in a cache line, and how long one is.
    const IN_LINE: usize = 8;
    const LINE: usize = 64;

    #[test]
    fn what_a_servers_egress_writes_is_one_cache_line() {
        let from = offset_of!(FlowState, record) + offset_of!(FlowRecord, response_first);
        let to = offset_of!(FlowState, next_ingress);
        assert_eq!(((IN_LINE + from) % LINE, to - from), (0, LINE));
        assert!(offset_of!(FlowState, owner) >= to + LINE, "read by egress, next to what ingress writes");
    }
}
