//! The few payload bytes that cross the ring, copied by helper because payload is not in the linear area.

use aya_ebpf::{
    EbpfContext as _,
    bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    helpers::generated::{
        bpf_ktime_get_boot_ns, bpf_ringbuf_discard, bpf_ringbuf_query, bpf_ringbuf_reserve,
        bpf_ringbuf_submit, bpf_skb_cgroup_id, bpf_skb_load_bytes,
    },
    programs::SkBuffContext,
};
use tracer_ebpf::{
    counter::Counter,
    flow::{FlowState, Plan},
    record::{
        DATAGRAM_PREFIX, DatagramRecord, PACKET_SIZES, PAYLOAD_LIMIT, PAYLOAD_PREFIX, PacketHead,
        PayloadRecord, REQUEST_PREFIX, RESPONSE_PREFIX, kind,
    },
    segment::Direction,
};

use super::{
    map::{self, PACKETS},
    output,
    packet::Headers,
    pods, task,
};

/// Where the new bytes of a segment lie: not those that were counted before.
pub(crate) struct Fresh {
    /// From the IP header.
    pub(crate) offset: u32,
    /// Bytes.
    pub(crate) length: u32,
}

/// Copies `length` bytes, at least one and at most the power of two `N`, in the form that the verifiers of 5.10
/// to 6.18 accept: they know the bounds of a masked value, and lose those of a compared one.
#[inline(always)]
pub(crate) fn load<const N: usize>(ctx: &SkBuffContext, offset: u32, to: *mut u8, length: u32) -> u32 {
    if length == 0 {
        return 0;
    }
    let mut length = u64::from(length.min(N as u32));
    // SAFETY: a register moves to itself. The compiler must not know the value, or it drops the mask as useless.
    unsafe { core::arch::asm!("{0} = {0}", inout(reg) length, options(nomem, nostack, preserves_flags)) };
    let length = ((length.wrapping_sub(1) & (N as u64).wrapping_sub(1)) as u32).wrapping_add(1);
    // SAFETY: `to` has room for `N` bytes; the helper checks the packet's bounds.
    let result = unsafe { bpf_skb_load_bytes(ctx.as_ptr().cast(), offset, to.cast(), length) };
    if result == 0 { length } else { 0 }
}

/// Reads the first bytes of a message, and learns from the flow's first one what it speaks.
#[inline(always)]
pub(crate) fn prefix(ctx: &SkBuffContext, state: &mut FlowState, plan: &Plan, fresh: &Fresh) {
    let record = &mut state.record;
    let first = if plan.response {
        let to = record.response_prefix.as_mut_ptr();
        record.response_prefix_length = load::<RESPONSE_PREFIX>(ctx, fresh.offset, to, fresh.length) as u8;
        record.response_prefix.first_chunk()
    } else {
        let to = record.request_prefix.as_mut_ptr();
        record.request_prefix_length = load::<REQUEST_PREFIX>(ctx, fresh.offset, to, fresh.length) as u8;
        record.request_prefix.first_chunk()
    };
    let first = first.copied().unwrap_or_default();
    state.understand(plan, first);
}

/// Emits the payload of a metadata segment, up to [`PAYLOAD_LIMIT`] bytes of its message.
#[inline(always)]
pub(crate) fn metadata(
    ctx: &SkBuffContext,
    state: &FlowState,
    direction: Direction,
    plan: &Plan,
    fresh: &Fresh,
) {
    let bytes = if plan.response { state.record.response_bytes } else { state.record.request_bytes };
    let before = bytes.saturating_sub(u64::from(fresh.length));
    if before >= u64::from(PAYLOAD_LIMIT) {
        return;
    }
    // SAFETY: the size is a constant; null is checked; every field is written before submit, and of the
    // payload as many bytes as `payload_length` says.
    unsafe {
        let record = output::reserve::<PayloadRecord>();
        if record.is_null() {
            return;
        }
        (*record).kind = kind::PAYLOAD;
        (*record).direction = direction as u8;
        (*record).reserved = [0; 2];
        (*record).exchange = state.record.exchange;
        (*record).flow = state.record.flow;
        (*record).offset = before as u32;
        (*record).payload_length =
            load::<PAYLOAD_PREFIX>(ctx, fresh.offset, (&raw mut (*record).payload).cast(), fresh.length);
        bpf_ringbuf_submit(record.cast(), BPF_RB_NO_WAKEUP.into());
    }
}

/// Emits a datagram to or from port 53.
#[inline(always)]
pub(crate) fn datagram(ctx: &SkBuffContext, headers: &Headers, direction: Direction) {
    let (thread, process) = if direction == Direction::Egress { task::current() } else { (0, 0) };
    let length = ctx.len().saturating_sub(headers.payload);
    // SAFETY: the helpers read the socket's cgroup and the clock.
    let (cgroup, time) = unsafe { (bpf_skb_cgroup_id(ctx.as_ptr().cast()), bpf_ktime_get_boot_ns()) };
    if direction == Direction::Egress {
        pods::calls_from(cgroup, time);
    }
    // SAFETY: the size is a constant; null is checked; every field is written before submit, and of the
    // payload as many bytes as `payload_length` says.
    unsafe {
        let record = output::reserve::<DatagramRecord>();
        if record.is_null() {
            return;
        }
        (*record).kind = kind::DATAGRAM;
        (*record).direction = direction as u8;
        (*record).family = headers.family;
        (*record).reserved = 0;
        (*record).local_port = headers.local_port;
        (*record).remote_port = headers.remote_port;
        (*record).thread = thread;
        (*record).process = process;
        (*record).cgroup = cgroup;
        (*record).time = time;
        (*record).local = headers.local;
        (*record).remote = headers.remote;
        (*record).length = length;
        (*record).payload_length =
            load_datagram(ctx, headers.payload, (&raw mut (*record).payload).cast(), length);
        bpf_ringbuf_submit(record.cast(), output::wake_flags(time));
    }
}

/// [`DATAGRAM_PREFIX`] is not a power of two: 256 bytes in one piece, the rest in another.
#[inline(always)]
fn load_datagram(ctx: &SkBuffContext, offset: u32, to: *mut u8, length: u32) -> u32 {
    const HEAD: usize = 256;
    const TAIL: usize = DATAGRAM_PREFIX.wrapping_sub(HEAD);
    let head = load::<HEAD>(ctx, offset, to, length);
    if head < HEAD as u32 {
        return head;
    }
    let rest = length.saturating_sub(HEAD as u32);
    let tail = load::<TAIL>(ctx, offset.wrapping_add(HEAD as u32), to.wrapping_add(HEAD), rest);
    head.wrapping_add(tail)
}

/// Emits the packet for `tracer capture`; nothing at all unless somebody captures.
#[inline(always)]
pub(crate) fn capture(ctx: &SkBuffContext, direction: Direction, message: Option<(&FlowState, &Plan)>) {
    let snap = map::snap_length();
    if snap == 0 {
        return;
    }
    let length = ctx.len();
    let wanted = length.min(snap);
    let [tiny, small, large, huge] = PACKET_SIZES;
    let sent = if wanted <= tiny as u32 {
        packet::<{ PACKET_SIZES[0] }>(ctx, direction, message, wanted)
    } else if wanted <= small as u32 {
        packet::<{ PACKET_SIZES[1] }>(ctx, direction, message, wanted)
    } else if wanted <= large as u32 {
        packet::<{ PACKET_SIZES[2] }>(ctx, direction, message, wanted)
    } else {
        packet::<{ PACKET_SIZES[3] }>(ctx, direction, message, wanted.min(huge as u32))
    };
    map::count(Counter::PacketsEmitted);
    if !sent {
        map::count(Counter::PacketsDropped);
    }
}

#[inline(always)]
fn packet<const N: usize>(
    ctx: &SkBuffContext,
    direction: Direction,
    message: Option<(&FlowState, &Plan)>,
    wanted: u32,
) -> bool {
    // SAFETY: the size is a constant; null is checked; the head is written whole, and of the packet as many
    // bytes as `captured` says.
    unsafe {
        let size = size_of::<PacketHead>().wrapping_add(N) as u64;
        let record = bpf_ringbuf_reserve((&raw const PACKETS).cast_mut().cast(), size, 0);
        if record.is_null() {
            return false;
        }
        let head = record.cast::<PacketHead>();
        let bytes = record.cast::<u8>().wrapping_add(size_of::<PacketHead>());
        (*head).kind = kind::PACKET;
        (*head).direction = direction as u8;
        ((*head).first, (*head).response, (*head).exchange, (*head).flow) = match message {
            Some((state, plan)) if plan.fresh != 0 => {
                (u8::from(plan.begins), u8::from(plan.response), state.record.exchange, state.record.flow)
            }
            Some((state, _)) => (0, 0, 0, state.record.flow),
            None => (0, 0, 0, 0),
        };
        (*head).cgroup = bpf_skb_cgroup_id(ctx.as_ptr().cast());
        (*head).time = bpf_ktime_get_boot_ns();
        (*head).length = ctx.len();
        let captured = load::<N>(ctx, 0, bytes, wanted);
        (*head).captured = captured;
        if captured == 0 {
            bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP.into());
            return false;
        }
        let pending = bpf_ringbuf_query((&raw const PACKETS).cast_mut().cast(), BPF_RB_AVAIL_DATA.into());
        let wake = if pending > map::wake_at() { BPF_RB_FORCE_WAKEUP } else { BPF_RB_NO_WAKEUP };
        bpf_ringbuf_submit(record, wake.into());
    }
    true
}
