//! What is kept per socket, and where it lies in memory.

use bytemuck::{Pod, Zeroable};

use crate::{fold::Sums, frames::Frames, record::FlowRecord};

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
/// exchange. So what a server's egress writes is one line, from `record.response_first` to `seen`, and what it only reads is in
/// none that ingress writes: the kernel puts the state 8 bytes behind the beginning of a line
/// (`bpf_local_storage_elem.sdata`).
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
    /// Process that sends on the flow; 0 until it first did. Another one is not the sender but who was
    /// interrupted when a delayed segment left.
    pub owner: u32,
    /// Place of the pod in the host's tables, [`NOWHERE`](crate::fold::NOWHERE) until it is known.
    pub place: u32,
    /// Frames from the pod.
    pub(crate) egress: Frames,
    /// Requests that needed no detail. A server's ingress writes them with each exchange.
    pub sums: Sums,
    /// Since when there are sums that nobody was told of, or was tried to be; nanoseconds.
    pub(crate) folding_since: u64,
}

/// Zeroes a field. Volatile, because the compiler makes one `memset` of neighbouring zeroes, and that of the BPF target is
/// a loop over bytes: a tenth of the programs' time.
#[inline(always)]
pub(crate) fn clear<T: Zeroable>(field: &mut T) {
    // SAFETY: a valid place for a value.
    unsafe { core::ptr::from_mut(field).write_volatile(T::zeroed()) };
}

/// What was seen of the flow.
pub(crate) mod seen {
    /// `next_ingress` counts.
    pub(crate) const INGRESS: u8 = 1;
    /// `next_egress` counts.
    pub(crate) const EGRESS: u8 = 2;
    /// `record.stalled` is 1.
    pub(crate) const STALLED: u8 = 4;
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
    }

    #[test]
    fn who_sends_is_in_a_line_that_is_only_read() {
        let line = |offset: usize| (IN_LINE + offset) / LINE;
        let owner = line(offset_of!(FlowState, owner));
        assert_eq!(owner, line(offset_of!(FlowState, place)));
        // Frames are written by flows that have some.
        assert!(owner > line(offset_of!(FlowState, ingress)) && owner < line(offset_of!(FlowState, sums)));
    }
}
