//! The maps, and the settings that userspace writes before it loads the programs.

use aya_ebpf::{
    EbpfContext as _,
    bindings::{__sk_buff, BPF_SK_STORAGE_GET_F_CREATE, bpf_sock},
    btf_maps::{Array, HashMap, PerCpuArray, ProgramArray, RingBuf, SkStorage},
    helpers::generated::{bpf_sk_fullsock, bpf_sk_storage_get},
    macros::btf_map,
    programs::SkBuffContext,
};
use tracer_ebpf::{counter::Counter, flow::FlowState, frames::Frames};

/// Records for userspace. The size here is replaced at load time.
#[btf_map]
pub(crate) static RECORDS: RingBuf<u64, { 1 << 20 }> = RingBuf::new();

/// Packets for `tracer capture`. One page unless capturing is allowed.
#[btf_map]
pub(crate) static PACKETS: RingBuf<u64, 4096> = RingBuf::new();

/// [`Counter`] → count.
#[btf_map]
pub(crate) static COUNTERS: PerCpuArray<u64, { Counter::COUNT as usize }> = PerCpuArray::new();

/// The addresses of the metadata service (IPv4 mapped into IPv6).
#[btf_map]
pub(crate) static METADATA: HashMap<[u8; 16], u8, 64> = HashMap::new();

/// Bytes of each packet that are wanted now, at most [`SNAP_LENGTH`]; 0 while nobody captures.
#[btf_map]
static CAPTURING: Array<u32, 1> = Array::new();

/// The programs that walk over frames, by [`tracer_ebpf::segment::Direction`].
#[btf_map]
pub(crate) static WALKERS: ProgramArray<2> = ProgramArray::new();

/// Where the walk over a segment from the network stands. Those run in softirqs, of which a CPU has one at a time.
#[btf_map]
static INGRESS: PerCpuArray<Frames, 1> = PerCpuArray::new();

/// State per socket; the kernel frees it with the socket.
#[btf_map]
static FLOWS: SkStorage<FlowState> = SkStorage::new();

/// Bytes in `RECORDS` past which the consumer is woken at once.
#[unsafe(no_mangle)]
static WAKE_AT: u64 = 1 << 18;

/// Largest snap length of `tracer capture`; 0 means that nobody may capture, and the verifier removes the code.
#[unsafe(no_mangle)]
static SNAP_LENGTH: u32 = 0;

/// See [`WAKE_AT`].
#[inline(always)]
pub(crate) fn wake_at() -> u64 {
    // SAFETY: a valid static; volatile because userspace replaces it at load time.
    unsafe { core::ptr::read_volatile(&raw const WAKE_AT) }
}

/// Bytes of each packet that are wanted now; 0 while nobody captures. The kernel turns the look at an array into a few
/// instructions without a call.
#[inline(always)]
pub(crate) fn snap_length() -> u32 {
    // SAFETY: a valid static; volatile because userspace replaces it at load time.
    let most = unsafe { core::ptr::read_volatile(&raw const SNAP_LENGTH) };
    if most == 0 {
        return 0;
    }
    let Some(wanted) = CAPTURING.get_ptr(0) else { return 0 };
    // SAFETY: four aligned bytes that the kernel keeps as long as the map; volatile because userspace writes them.
    unsafe { core::ptr::read_volatile(wanted) }.min(most)
}

/// Adds one to a counter. Atomic, because a softirq may interrupt the same program on the same CPU.
#[inline(always)]
pub(crate) fn count(counter: Counter) {
    if let Some(slot) = COUNTERS.get_ptr_mut(counter as u32) {
        // SAFETY: `slot` points into a map value; the instruction adds to eight aligned bytes. Rust has no
        // `fetch_add` on this target.
        unsafe {
            core::arch::asm!("lock *(u64 *)({slot} + 0) += {one}", slot = in(reg) slot, one = in(reg) 1u64);
        }
    }
}

/// Counts a record that could not even be made as emitted and lost.
#[inline(always)]
pub(crate) fn lose(reason: Counter) {
    count(Counter::Emitted);
    count(reason);
}

/// The full socket of a packet; `None` for a packet without one, and for request and time-wait sockets.
#[inline(always)]
pub(crate) fn socket(ctx: &SkBuffContext) -> Option<*mut bpf_sock> {
    // SAFETY: reads a context field and asks for the full socket; both are checked for null.
    let socket = unsafe {
        let socket = (*ctx.as_ptr().cast::<__sk_buff>()).__bindgen_anon_2.sk;
        if socket.is_null() {
            return None;
        }
        bpf_sk_fullsock(socket)
    };
    if socket.is_null() { None } else { Some(socket) }
}

/// The state of a socket, if it has one.
#[inline(always)]
pub(crate) fn flow<'a>(socket: *mut bpf_sock) -> Option<&'a mut FlowState> {
    storage(socket, 0)
}

/// The state of a socket, made when it has none; `None` when the kernel is out of memory.
#[inline(always)]
pub(crate) fn flow_or_new<'a>(socket: *mut bpf_sock) -> Option<&'a mut FlowState> {
    let state = storage(socket, BPF_SK_STORAGE_GET_F_CREATE.into());
    if state.is_none() {
        lose(Counter::NoStorage);
    }
    state
}

#[inline(always)]
fn storage<'a>(socket: *mut bpf_sock, flags: u64) -> Option<&'a mut FlowState> {
    let map = (&raw const FLOWS).cast_mut().cast();
    // SAFETY: `socket` is a full socket (callers checked for null); the kernel returns null or a value of the
    // map's size that lives as long as the socket. Two hooks of one flow can run at once; both only move
    // counters and times, and nothing here is a reference for memory safety.
    unsafe {
        bpf_sk_storage_get(map, socket.cast(), core::ptr::null_mut(), flags).cast::<FlowState>().as_mut()
    }
}

/// See [`INGRESS`].
#[inline(always)]
pub(crate) fn ingress<'a>() -> Option<&'a mut Frames> {
    // SAFETY: a value of this CPU's, which the kernel keeps as long as the map.
    INGRESS.get_ptr_mut(0).and_then(|frames| unsafe { frames.as_mut() })
}
