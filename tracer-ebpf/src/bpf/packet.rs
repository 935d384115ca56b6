//! `cgroup_skb`: every segment of the pod's sockets.
//!
//! Headers lie in the linear area and are read directly, payload does not and is copied by helper. The fast
//! path is a segment that only moves counters: no clock, no copy, no helper besides the socket storage.

use aya_ebpf::{
    EbpfContext as _,
    bindings::{BPF_TCP_LISTEN, bpf_sock},
    helpers::generated::{bpf_get_smp_processor_id, bpf_ktime_get_boot_ns, bpf_skb_cgroup_id},
    programs::SkBuffContext,
};
use tracer_ebpf::{
    counter::Counter,
    flow::{FlowState, Plan},
    record::{flow_flag, kind, role},
    segment::{Direction, Segment, tcp_flag},
};

use super::{
    map, output, payload, pods, stream, task,
    tcp_sock::{fills_hole, read_tcp_sock},
};

const TCP: u8 = 6;
const UDP: u8 = 17;
const DNS_PORT: u16 = 53;
/// `SOCK_STREAM` of `linux/net.h`.
const SOCK_STREAM: u32 = 1;

/// Addresses, ports and where the transport's payload begins.
pub(crate) struct Headers {
    /// 4 or 6.
    pub(crate) family: u8,
    /// The pod's address.
    pub(crate) local: [u8; 16],
    /// The peer's address.
    pub(crate) remote: [u8; 16],
    /// The pod's port.
    pub(crate) local_port: u16,
    /// The peer's port.
    pub(crate) remote_port: u16,
    /// Offset of the payload from the IP header.
    pub(crate) payload: u32,
}

/// Where things lie in a packet whose IP header was checked.
struct Network {
    family: u8,
    protocol: u8,
    /// Offset of the transport header.
    transport: usize,
}

/// Follows one packet.
#[inline(always)]
pub(crate) fn observe(ctx: &SkBuffContext, direction: Direction) {
    let Some(network) = network(ctx) else {
        map::lose(Counter::Unparsed);
        return;
    };
    match network.protocol {
        TCP => tcp(ctx, &network, direction),
        UDP => udp(ctx, &network, direction),
        // IPv6 extension headers (RFC 8200, section 4): hop-by-hop, routing, fragment, destination options.
        0 | 43 | 44 | 60 if network.family == 6 => {
            if extension(ctx) >> 8 == u16::from(TCP) {
                map::lose(Counter::Unparsed);
            }
            payload::capture(ctx, direction, None);
        }
        _ => payload::capture(ctx, direction, None),
    }
}

#[inline(always)]
fn network(ctx: &SkBuffContext) -> Option<Network> {
    let start = ctx.data();
    let end = ctx.data_end();
    if start.wrapping_add(20) > end {
        return None;
    }
    // SAFETY: the first twenty bytes lie inside the linear area.
    let version = unsafe { *(start as *const u8) };
    if version >> 4 == 4 {
        // SAFETY: as above.
        let protocol = unsafe { *(start.wrapping_add(9) as *const u8) };
        return Some(Network { family: 4, protocol, transport: usize::from(version & 0x0f).wrapping_mul(4) });
    }
    if version >> 4 != 6 || start.wrapping_add(40) > end {
        return None;
    }
    // SAFETY: the first forty bytes lie inside the linear area.
    let protocol = unsafe { *(start.wrapping_add(6) as *const u8) };
    // Segments of more than 64 KiB carry a jumbo option (RFC 2675) between the headers, on the host only.
    if protocol == 0 && extension(ctx) == u16::from(TCP) << 8 {
        return Some(Network { family: 6, protocol: TCP, transport: 48 });
    }
    Some(Network { family: 6, protocol, transport: 40 })
}

/// What follows the first IPv6 extension header, and in the lower byte the header's length (RFC 8200, section
/// 4.3: units of eight bytes, the first not counted); all ones when it cannot be read. One number, because the
/// compiler leaves parts of a missing pair unset, which the verifier rejects.
#[inline(always)]
fn extension(ctx: &SkBuffContext) -> u16 {
    let at = ctx.data().wrapping_add(40);
    if at.wrapping_add(2) > ctx.data_end() {
        return u16::MAX;
    }
    // SAFETY: two bytes inside the linear area.
    u16::from_be_bytes(unsafe { *(at as *const [u8; 2]) })
}

#[inline(always)]
fn tcp(ctx: &SkBuffContext, network: &Network, direction: Direction) {
    let start = ctx.data().wrapping_add(network.transport);
    if start.wrapping_add(20) > ctx.data_end() {
        map::lose(Counter::Unparsed);
        return;
    }
    // SAFETY: the twenty bytes of the TCP header lie inside the linear area.
    // The kernel aligns the IP header to four bytes, and both headers are multiples of four long.
    let (sequence, acknowledgment, offset, flags, window) = unsafe {
        (
            u32::from_be((start.wrapping_add(4) as *const u32).read_volatile()),
            u32::from_be((start.wrapping_add(8) as *const u32).read_volatile()),
            *(start.wrapping_add(12) as *const u8),
            *(start.wrapping_add(13) as *const u8),
            (start.wrapping_add(14) as *const u16).read_volatile(),
        )
    };
    let payload = (network.transport as u32).wrapping_add(u32::from(offset >> 4).wrapping_mul(4));
    let length = ctx.len().saturating_sub(payload);
    let mut segment = Segment { time: 0, sequence, acknowledgment, length, window, flags, direction };
    let Some((socket, state)) = state(ctx, network, start, &segment) else {
        payload::capture(ctx, direction, None);
        return;
    };
    let plan = state.plan(&segment);
    if plan.silence != 0 {
        read_tcp_sock(socket, state);
        // SAFETY: the helper only reads the clock.
        output::emit_flow(state, plan.silence, unsafe { bpf_ktime_get_boot_ns() });
    }
    if plan.again && fills_hole(socket, &segment) {
        // SAFETY: the helper only reads the clock.
        segment.time = unsafe { bpf_ktime_get_boot_ns() };
        state.fill(&segment);
    }
    if plan.fresh != 0 || plan.emit_after || flags & (tcp_flag::SYN | tcp_flag::FIN | tcp_flag::RST) != 0 {
        // SAFETY: the helper only reads the clock.
        segment.time = unsafe { bpf_ktime_get_boot_ns() };
        follow(ctx, socket, state, &segment, &plan, payload);
    }
    payload::capture(ctx, direction, Some((state, &plan)));
    if state.wants_frames(&segment, &plan) {
        if segment.time == 0 {
            // SAFETY: the helper only reads the clock.
            segment.time = unsafe { bpf_ktime_get_boot_ns() };
        }
        stream::walk(ctx, socket, state, &segment, &plan, payload);
    }
}

/// The part of a segment's life that moves the exchange.
#[inline(always)]
fn follow(
    ctx: &SkBuffContext,
    socket: *mut bpf_sock,
    state: &mut FlowState,
    segment: &Segment,
    plan: &Plan,
    payload: u32,
) {
    let is_call = segment.direction == Direction::Egress && state.record.role != role::SERVER;
    if is_call && (plan.fresh != 0 || segment.has(tcp_flag::SYN)) {
        // First of all: another CPU may be about to fold the request that makes the call.
        pods::calls(state, segment.time);
    }
    if plan.emit_before {
        end_exchange(socket, state, segment.time);
    }
    state.apply(segment, plan);
    if plan.begins && segment.direction == Direction::Egress {
        sender(state);
    }
    // More new bytes than the segment has: a hole came before it, and its first byte begins nothing.
    if plan.fresh != 0 && plan.fresh <= segment.length {
        let skipped = segment.length.wrapping_sub(plan.fresh);
        let fresh = payload::Fresh { offset: payload.wrapping_add(skipped), length: plan.fresh };
        if state.wants_prefix(plan) {
            payload::prefix(ctx, state, plan, &fresh);
        }
        if state.record.flags & flow_flag::METADATA != 0 {
            payload::metadata(ctx, state, segment.direction, plan, &fresh);
        }
    }
    if plan.emit_after {
        read_tcp_sock(socket, state);
        output::emit_flow(state, kind::EXCHANGE, segment.time);
    }
    // After an acknowledgment there may be no segment for a long time.
    if (plan.emit_after && state.has_sums()) || (plan.emit_before && state.are_sums_due(segment.time)) {
        read_tcp_sock(socket, state);
        output::emit_sums(state, segment.time);
    }
    // A socket that aborts is closed before its reset leaves: the record of the close does not know.
    if segment.direction == Direction::Egress && segment.has(tcp_flag::RST) {
        output::emit_flow(state, kind::RESET, segment.time);
    }
}

/// The flow's next exchange begins: the last one is emitted, or folded.
#[inline(always)]
fn end_exchange(socket: *mut bpf_sock, state: &mut FlowState, time: u64) {
    if pods::folds(state) {
        state.fold();
        return;
    }
    // The socket's counters lie in cache lines of their own, cold here: one exchange in sixteen looks at
    // them, and the close.
    if state.record.exchange & 0xf == 1 {
        read_tcp_sock(socket, state);
    }
    output::emit_flow(state, kind::EXCHANGE, time);
}

/// Notes who sends the message: the current task, unless it is not the one that sent before. Then a delayed
/// segment left in somebody else's time, and nobody is named.
#[inline(always)]
fn sender(state: &mut FlowState) {
    let (thread, process) = task::current();
    if state.owner == 0 {
        state.owner = process;
    }
    let known = process == state.owner;
    state.record.thread = if known { thread } else { 0 };
    state.record.process = if known { process } else { 0 };
}

/// The socket's state, identified; `None` for segments without a flow of ours: listeners, request sockets.
#[inline(always)]
fn state<'a>(
    ctx: &SkBuffContext,
    network: &Network,
    transport: usize,
    segment: &Segment,
) -> Option<(*mut bpf_sock, &'a mut FlowState)> {
    let socket = map::socket(ctx)?;
    let known = map::flow(socket);
    let state = if let Some(state) = known {
        state
    } else {
        // A listener's socket is not a flow, nor is a raw one that sees every packet; and a flow without data
        // yet is left to its handshake's callback.
        // SAFETY: a full socket, not null.
        let (socket_state, socket_type) = unsafe { ((*socket).state, (*socket).type_) };
        if socket_state == BPF_TCP_LISTEN || socket_type != SOCK_STREAM || segment.length == 0 {
            return None;
        }
        map::flow_or_new(socket)?
    };
    if !state.is_identified() {
        identify(ctx, network, transport, segment.direction, state);
    }
    Some((socket, state))
}

#[inline(always)]
fn identify(
    ctx: &SkBuffContext,
    network: &Network,
    transport: usize,
    direction: Direction,
    state: &mut FlowState,
) {
    let Some(headers) = addresses(ctx, network, transport, direction, 0) else { return };
    let record = &mut state.record;
    record.family = headers.family;
    record.local = headers.local;
    record.remote = headers.remote;
    record.local_port = headers.local_port;
    record.remote_port = headers.remote_port;
    // SAFETY: the helper reads the socket's cgroup.
    record.cgroup = unsafe { bpf_skb_cgroup_id(ctx.as_ptr().cast()) };
    // SAFETY: the entry is only compared with null.
    if unsafe { map::METADATA.get(&record.remote) }.is_some() {
        record.flags |= flow_flag::METADATA;
    }
    if record.role == role::UNKNOWN {
        state.join();
    }
    // Time of first sight and CPU: unique while the agent lives. Last, because it says that all of this is known.
    // SAFETY: the helpers read the clock and the CPU number.
    state.record.flow =
        unsafe { (bpf_ktime_get_boot_ns() << 10) | u64::from(bpf_get_smp_processor_id() as u32 & 0x3ff) };
}

#[inline(always)]
fn addresses(
    ctx: &SkBuffContext,
    network: &Network,
    transport: usize,
    direction: Direction,
    payload: u32,
) -> Option<Headers> {
    let start = ctx.data();
    let end = ctx.data_end();
    if transport.wrapping_add(4) > end
        || start.wrapping_add(40) > end && network.family == 6
        || start.wrapping_add(20) > end
    {
        return None;
    }
    // SAFETY: bounds checked above; ports stand first in both transports.
    let (source_port, destination_port, source, destination) = unsafe {
        (
            u16::from_be((transport as *const u16).read_unaligned()),
            u16::from_be((transport.wrapping_add(2) as *const u16).read_unaligned()),
            address(start, network.family, 12, 8, end)?,
            address(start, network.family, 16, 24, end)?,
        )
    };
    Some(match direction {
        Direction::Egress => Headers {
            family: network.family,
            local: source,
            remote: destination,
            local_port: source_port,
            remote_port: destination_port,
            payload,
        },
        Direction::Ingress => Headers {
            family: network.family,
            local: destination,
            remote: source,
            local_port: destination_port,
            remote_port: source_port,
            payload,
        },
    })
}

/// The address at offset `v4` or `v6` of the IP header, mapped into IPv6 form.
///
/// # Safety
/// `start..end` must be the packet's linear area.
#[inline(always)]
unsafe fn address(start: usize, family: u8, v4: usize, v6: usize, end: usize) -> Option<[u8; 16]> {
    if family == 4 {
        let at = start.wrapping_add(v4);
        if at.wrapping_add(4) > end {
            return None;
        }
        // SAFETY: four bytes inside the linear area.
        let [a, b, c, d] = unsafe { (at as *const [u8; 4]).read_unaligned() };
        return Some([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]);
    }
    let at = start.wrapping_add(v6);
    if at.wrapping_add(16) > end {
        return None;
    }
    // SAFETY: sixteen bytes inside the linear area.
    Some(unsafe { (at as *const [u8; 16]).read_unaligned() })
}

#[inline(always)]
fn udp(ctx: &SkBuffContext, network: &Network, direction: Direction) {
    let start = ctx.data().wrapping_add(network.transport);
    if start.wrapping_add(8) > ctx.data_end() {
        map::lose(Counter::Unparsed);
        return;
    }
    let payload = (network.transport as u32).wrapping_add(8);
    // SAFETY: the eight bytes of the UDP header lie inside the linear area.
    let (source, destination) = unsafe {
        (
            u16::from_be((start as *const u16).read_unaligned()),
            u16::from_be((start.wrapping_add(2) as *const u16).read_unaligned()),
        )
    };
    // Only a client's: the lookups of others are not this pod's time.
    let server = if direction == Direction::Egress { destination } else { source };
    if server == DNS_PORT
        && let Some(headers) = addresses(ctx, network, start, direction, payload)
    {
        payload::datagram(ctx, &headers, direction);
    }
    payload::capture(ctx, direction, None);
}
