//! What is known of pods here: which requests of theirs can be folded, and whether they are calling.
//!
//! A pod has several cgroups, one per container, and only userspace knows which belong together: it gives each pod a place.
//! What is not placed yet may be any pod's, so a call of it keeps every pod's requests from being folded.

use aya_ebpf::{
    btf_maps::{Array, HashMap},
    macros::btf_map,
};
use tracer_ebpf::{
    flow::FlowState,
    fold::{CGROUPS, Limits, NOWHERE, PLACES, calling_until},
};

/// cgroup v2 id → place of its pod.
#[btf_map]
static POD_PLACES: HashMap<u64, u32, { CGROUPS as usize }> = HashMap::new();

/// Place → what takes less can be folded, nanoseconds. Written by userspace.
#[btf_map]
static FOLD_BELOW: Array<u64, { PLACES as usize }> = Array::new();

/// Place → until when the pod counts as calling. Written here.
#[btf_map]
static CALLING_UNTIL: Array<u64, { PLACES as usize }> = Array::new();

/// 1 when requests may be folded at all; otherwise the verifier removes what is here.
#[unsafe(no_mangle)]
static MAY_FOLD: u32 = 0;

#[inline(always)]
fn may_fold() -> bool {
    // SAFETY: a valid static; volatile because userspace replaces it at load time.
    unsafe { core::ptr::read_volatile(&raw const MAY_FOLD) != 0 }
}

/// Whether the exchange that ends now is to be folded.
#[inline(always)]
pub(crate) fn folds(state: &mut FlowState) -> bool {
    if !may_fold() || super::map::snap_length() != 0 {
        return false;
    }
    let place = place(state);
    let below = read(FOLD_BELOW.get_ptr(place));
    if below == 0 {
        return false;
    }
    let calling_until = read(CALLING_UNTIL.get_ptr(place)).max(read(CALLING_UNTIL.get_ptr(NOWHERE)));
    state.is_foldable(&Limits { below, calling_until })
}

/// The pod of a client's flow begins a call, or goes on with one.
#[inline(always)]
pub(crate) fn calls(state: &mut FlowState, time: u64) {
    if may_fold() {
        calls_at(place(state), time);
    }
}

/// A pod begins a call that is no flow.
#[inline(always)]
pub(crate) fn calls_from(cgroup: u64, time: u64) {
    if may_fold() {
        calls_at(place_of(cgroup), time);
    }
}

#[inline(always)]
fn calls_at(place: u32, time: u64) {
    let Some(until) = CALLING_UNTIL.get_ptr_mut(place) else { return };
    // SAFETY: eight aligned bytes that the kernel keeps as long as the map; volatile because all CPUs read and write them.
    unsafe {
        if let Some(later) = calling_until(core::ptr::read_volatile(until), time) {
            core::ptr::write_volatile(until, later);
        }
    }
}

/// Place of the flow's pod, asked for until it is known.
#[inline(always)]
fn place(state: &mut FlowState) -> u32 {
    if state.place == NOWHERE {
        state.place = place_of(state.record.cgroup);
    }
    state.place
}

#[inline(always)]
fn place_of(cgroup: u64) -> u32 {
    // SAFETY: the value is copied at once; an entry that is replaced meanwhile is one place or the other.
    unsafe { POD_PLACES.get(&cgroup) }.copied().unwrap_or(NOWHERE)
}

#[inline(always)]
fn read(value: Option<*const u64>) -> u64 {
    // SAFETY: eight aligned bytes that the kernel keeps as long as the map; volatile because others write them.
    value.map_or(0, |value| unsafe { core::ptr::read_volatile(value) })
}
