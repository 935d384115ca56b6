//! The bytes of flows with frames: programs of their own, which the hooks jump to.
//!
//! Each jump walks over some frames and emits one record; a segment may need several, and the kernel allows 33. So
//! the hooks of all other flows stay short, and no program is long enough to trouble a verifier.

use aya_ebpf::{
    EbpfContext as _,
    bindings::bpf_sock,
    helpers::generated::{bpf_ringbuf_submit, bpf_skb_load_bytes},
    programs::SkBuffContext,
};
use tracer_ebpf::{
    flow::{FlowState, Plan},
    frames::{Bytes, Frames, Run},
    record::{STREAM_SIZES, StreamHead, kind},
    segment::{Direction, Segment},
};

use super::{map, output, payload::load, search, tcp_sock::fills_hole};

/// How often a walk looks whether the one before it is over: for some microseconds.
const PATIENCE: u32 = 4096;

/// Begins the walk over a segment's frames. Nothing comes after it: a jump does not return.
#[inline(always)]
pub(crate) fn walk(
    ctx: &SkBuffContext,
    socket: *mut bpf_sock,
    state: &mut FlowState,
    segment: &Segment,
    plan: &Plan,
    payload: u32,
) {
    if state.announced == 0 {
        state.announced = u8::from(output::emit_flow(state, kind::FRAMED, segment.time));
    }
    let Some(frames) = open(state, segment) else { return };
    // The socket's counters lie in a cache line of their own: they are asked after a hole only.
    let in_order = frames.disorder == 0 || fills_hole(socket, segment);
    frames.begin(segment, plan.fresh, payload, in_order);
    jump(ctx, state, frames, segment.direction);
}

/// One walk: emits a record at most.
#[inline(always)]
pub(crate) fn observe(ctx: &SkBuffContext, direction: Direction) {
    let Some(state) = map::socket(ctx).and_then(map::flow) else { return };
    let (flow, protocol) = (state.record.flow, state.record.protocol);
    let Some(frames) = working(state, direction) else { return };
    if let Some(run) = frames.run(protocol, &Packet(ctx))
        && !emit(ctx, flow, direction, frames.time, &run)
    {
        frames.lose();
    }
    if frames.is_done() {
        close(ctx, state, frames, direction);
    } else {
        jump(ctx, state, frames, direction);
    }
}

#[inline(always)]
fn jump(ctx: &SkBuffContext, state: &mut FlowState, frames: &mut Frames, direction: Direction) {
    // SAFETY: the map holds programs of this type only; what they do is observing.
    unsafe { map::WALKERS.tail_call(ctx, direction as u32) };
    // Too many frames in one segment.
    frames.give_up();
    close(ctx, state, frames, direction);
}

/// The frames to walk with. A socket sends under its lock, so that walks over what leaves the pod come one after
/// the other. What comes from the network can come on two CPUs at once, microseconds apart: the later one waits for
/// the other, not for long.
#[inline(always)]
fn open<'a>(state: &mut FlowState, segment: &Segment) -> Option<&'a mut Frames> {
    if segment.direction == Direction::Ingress {
        let frames = map::ingress()?;
        let place = state.frames(Direction::Ingress);
        for _ in 0..PATIENCE {
            if !place.is_busy() {
                break;
            }
        }
        *frames = place.open(segment);
    }
    working(state, segment.direction)
}

#[inline(always)]
fn working<'a>(state: &mut FlowState, direction: Direction) -> Option<&'a mut Frames> {
    match direction {
        Direction::Ingress => map::ingress(),
        // SAFETY: the state lives as long as the socket, which outlives the program's run; see `map::flow`.
        Direction::Egress => unsafe { core::ptr::from_mut(state.frames(direction)).as_mut() },
    }
}

#[inline(always)]
fn close(ctx: &SkBuffContext, state: &mut FlowState, frames: &Frames, direction: Direction) {
    if direction == Direction::Ingress
        && let Some(rest) = state.frames(direction).close(frames)
        && !emit(ctx, state.record.flow, direction, frames.time, &rest)
    {
        state.frames(direction).lose();
    }
}

/// The bytes of the packet, from its IP header on.
struct Packet<'a>(&'a SkBuffContext);

impl Bytes for Packet<'_> {
    #[inline(always)]
    fn byte(&self, at: u32) -> Option<u8> {
        let mut byte = 0u8;
        // SAFETY: `byte` has room for one byte; the helper checks the packet's bounds.
        let result = unsafe { bpf_skb_load_bytes(self.0.as_ptr().cast(), at, (&raw mut byte).cast(), 1) };
        (result == 0).then_some(byte)
    }

    #[inline(always)]
    fn word(&self, at: u32) -> Option<u32> {
        word_at(self.0, at)
    }

    #[inline(always)]
    fn find(&self, at: u32, word: u32) -> Option<u32> {
        search::find(self.0, at, word)
    }
}

/// Four bytes of the packet, in network order.
#[inline(always)]
pub(crate) fn word_at(ctx: &SkBuffContext, at: u32) -> Option<u32> {
    let mut word = 0u32;
    // SAFETY: `word` has room for four bytes; the helper checks the packet's bounds.
    let result = unsafe { bpf_skb_load_bytes(ctx.as_ptr().cast(), at, (&raw mut word).cast(), 4) };
    (result == 0).then_some(u32::from_be(word))
}

/// Emits a run in the smallest record that has room for it; says whether the ring took it.
#[inline(always)]
fn emit(ctx: &SkBuffContext, flow: u64, direction: Direction, time: u64, run: &Run) -> bool {
    let [small, medium, _] = STREAM_SIZES;
    if run.length <= small as u32 {
        record::<{ STREAM_SIZES[0] }>(ctx, flow, direction, time, run)
    } else if run.length <= medium as u32 {
        record::<{ STREAM_SIZES[1] }>(ctx, flow, direction, time, run)
    } else {
        record::<{ STREAM_SIZES[2] }>(ctx, flow, direction, time, run)
    }
}

#[inline(always)]
fn record<const N: usize>(
    ctx: &SkBuffContext,
    flow: u64,
    direction: Direction,
    time: u64,
    run: &Run,
) -> bool {
    let head = output::reserve_with::<StreamHead, N>();
    if head.is_null() {
        return false;
    }
    // SAFETY: the size is a constant; the head is written whole, and of the bytes as many as its `length` says.
    unsafe {
        (*head).kind = kind::STREAM;
        (*head).direction = direction as u8;
        (*head).flags = run.flags;
        (*head).reserved = 0;
        (*head).skipped = run.skipped;
        (*head).flow = flow;
        (*head).time = time;
        (*head).sequence = run.sequence;
        let bytes = head.cast::<u8>().wrapping_add(size_of::<StreamHead>());
        (*head).length = load::<N>(ctx, run.offset, bytes, run.length);
        bpf_ringbuf_submit(head.cast(), output::wake_flags(time));
    }
    true
}
