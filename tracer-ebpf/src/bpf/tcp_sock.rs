//! What TCP itself knows of a socket. It lies in cache lines of its own: asked only when it tells something.

use aya_ebpf::{bindings::bpf_sock, helpers::generated::bpf_tcp_sock};
use tracer_ebpf::{flow::FlowState, segment::Segment};

/// Whether the peer's segment brings the bytes that the socket waits for.
#[inline(always)]
pub(crate) fn fills_hole(socket: *mut bpf_sock, segment: &Segment) -> bool {
    // SAFETY: a full socket, not null; the result is checked for null and only read.
    unsafe {
        let tcp = bpf_tcp_sock(socket);
        !tcp.is_null() && (*tcp).rcv_nxt.wrapping_sub(segment.sequence) < segment.length
    }
}

/// Takes round-trip time and retransmissions from the socket.
#[inline(always)]
pub(crate) fn read_tcp_sock(socket: *mut bpf_sock, state: &mut FlowState) {
    // SAFETY: a full socket, not null; the result is checked for null and only read.
    unsafe {
        let tcp = bpf_tcp_sock(socket);
        if !tcp.is_null() {
            state.record.srtt_us = (*tcp).srtt_us >> 3;
            state.record.retransmits = (*tcp).total_retrans;
        }
    }
}
