//! Copies records into the ring and accounts for each.

use aya_ebpf::{
    bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    helpers::generated::{bpf_ringbuf_query, bpf_ringbuf_reserve, bpf_ringbuf_submit},
};
use tracer_ebpf::{
    counter::Counter,
    flow::FlowState,
    record::{FlowRecord, FoldedRecord, kind},
};

use super::map::{self, RECORDS};

/// Emits the flow's record as `kind`. Kind and time are written into the ring's copy: the storage may be in
/// use on another CPU. Says whether the ring took it.
#[inline(always)]
pub(crate) fn emit_flow(state: &mut FlowState, kind: u8, time: u64) -> bool {
    state.emitting(kind);
    let slot = reserve::<FlowRecord>();
    if !slot.is_null() {
        // SAFETY: `slot` has room for a record and is aligned to eight bytes; every byte is written.
        unsafe {
            core::ptr::copy_nonoverlapping(&raw const state.record, slot, 1);
            (*slot).kind = kind;
            (*slot).emitted = time;
            bpf_ringbuf_submit(slot.cast(), wake_flags(time));
        }
    }
    let taken = !slot.is_null();
    state.emitted(kind, taken);
    taken
}

/// Emits what was folded of the flow. When the ring has no room, it is tried again later, as long as the flow lasts.
#[inline(always)]
pub(crate) fn emit_sums(state: &mut FlowState, time: u64) {
    let slot = reserve::<FoldedRecord>();
    if slot.is_null() {
        state.keep_sums(time);
        return;
    }
    // SAFETY: `slot` has room for a record and is aligned to eight bytes; every byte is written.
    unsafe {
        (*slot).kind = kind::FOLDED;
        (*slot).flags = state.record.flags;
        (*slot).reserved = [0; 2];
        (*slot).retransmits = state.record.retransmits;
        (*slot).flow = state.record.flow;
        (*slot).cgroup = state.record.cgroup;
        core::ptr::copy_nonoverlapping(&raw const state.sums, &raw mut (*slot).sums, 1);
        bpf_ringbuf_submit(slot.cast(), wake_flags(time));
    }
    state.clear_sums();
}

/// Room for a record, or null; counted as emitted, and as dropped when the ring has none.
#[inline(always)]
pub(crate) fn reserve<T>() -> *mut T {
    reserve_with::<T, 0>()
}

/// The same, with room for `MORE` bytes after it.
#[inline(always)]
pub(crate) fn reserve_with<T, const MORE: usize>() -> *mut T {
    map::count(Counter::Emitted);
    let size = size_of::<T>().wrapping_add(MORE) as u64;
    // SAFETY: the map's address and a constant size; callers check for null.
    let slot = unsafe { bpf_ringbuf_reserve((&raw const RECORDS).cast_mut().cast(), size, 0) };
    if slot.is_null() {
        map::count(Counter::DroppedRingFull);
    }
    slot.cast()
}

/// The consumer drains on a timer; it is woken only past the fill level. The level is looked at for one record
/// in sixteen, which the clock's low bits choose.
#[inline(always)]
pub(crate) fn wake_flags(time: u64) -> u64 {
    if time & 0xf != 0 {
        return BPF_RB_NO_WAKEUP.into();
    }
    // SAFETY: the map's address, and a query that only reads its counters.
    let pending =
        unsafe { bpf_ringbuf_query((&raw const RECORDS).cast_mut().cast(), BPF_RB_AVAIL_DATA.into()) };
    if pending > map::wake_at() { BPF_RB_FORCE_WAKEUP.into() } else { BPF_RB_NO_WAKEUP.into() }
}
