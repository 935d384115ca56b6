//! Copies records into the ring and accounts for each.

use aya_ebpf::{
    bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    helpers::generated::{bpf_ringbuf_output, bpf_ringbuf_query},
};
use tracer_ebpf::{
    counter::Counter,
    flow::FlowState,
    record::{FLOW_HEAD, FlowRecord},
};

use super::map::{self, RECORDS};

/// Emits the flow's record as `kind`.
#[inline(always)]
pub(crate) fn emit_flow(state: &mut FlowState, kind: u8, time: u64) {
    state.emitting(kind, time);
    let record = &raw mut state.record;
    let prefixes = state.record.request_prefix_length | state.record.response_prefix_length;
    let flags = wake_flags();
    // Two calls, so that the size is a constant in each.
    // SAFETY: `record` points to `FlowRecord` bytes inside the socket's storage.
    let result = unsafe {
        if prefixes == 0 {
            bpf_ringbuf_output((&raw const RECORDS).cast_mut().cast(), record.cast(), FLOW_HEAD as u64, flags)
        } else {
            let size = size_of::<FlowRecord>() as u64;
            bpf_ringbuf_output((&raw const RECORDS).cast_mut().cast(), record.cast(), size, flags)
        }
    };
    account(result == 0);
}

/// Counts a record as emitted, and as dropped when the ring did not take it.
#[inline(always)]
pub(crate) fn account(taken: bool) {
    map::count(Counter::Emitted);
    if !taken {
        map::count(Counter::DroppedRingFull);
    }
}

/// The consumer drains on a timer; it is woken only past the fill level.
#[inline(always)]
pub(crate) fn wake_flags() -> u64 {
    // SAFETY: the map's address, and a query that only reads its counters.
    let pending = unsafe { bpf_ringbuf_query((&raw const RECORDS).cast_mut().cast(), BPF_RB_AVAIL_DATA.into()) };
    if pending > map::wake_at() { BPF_RB_FORCE_WAKEUP.into() } else { BPF_RB_NO_WAKEUP.into() }
}
