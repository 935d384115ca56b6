//! `sock_ops`: connects, handshakes and the end of flows.

use aya_ebpf::{
    bindings::{
        BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB, BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB, BPF_SOCK_OPS_STATE_CB,
        BPF_SOCK_OPS_STATE_CB_FLAG, BPF_SOCK_OPS_TCP_CONNECT_CB, BPF_TCP_CLOSE, BPF_TCP_FIN_WAIT1,
    },
    helpers::generated::bpf_ktime_get_boot_ns,
    programs::SockOpsContext,
};
use tracer_ebpf::record::{kind, role};

use super::{map, output, task};

/// Follows one callback. Flow state is made at connect and at accept, and emitted at establish and close.
#[inline(always)]
pub(crate) fn observe(ctx: &SockOpsContext) {
    match ctx.op() {
        BPF_SOCK_OPS_TCP_CONNECT_CB => connecting(ctx),
        BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB => established(ctx, role::CLIENT),
        BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB => established(ctx, role::SERVER),
        BPF_SOCK_OPS_STATE_CB if ctx.arg(1) == BPF_TCP_CLOSE => closed(ctx),
        BPF_SOCK_OPS_STATE_CB if ctx.arg(1) == BPF_TCP_FIN_WAIT1 => closing(ctx),
        _ => {}
    }
}

#[inline(always)]
fn connecting(ctx: &SockOpsContext) {
    follow_state(ctx);
    // SAFETY: reads a field of the context that the verifier checks.
    let socket = unsafe { (*ctx.ops).__bindgen_anon_2.sk };
    if socket.is_null() {
        return;
    }
    if let Some(state) = map::flow_or_new(socket) {
        // SAFETY: the helper only reads the clock.
        state.connecting(unsafe { bpf_ktime_get_boot_ns() });
        let (thread, process) = task::current();
        (state.record.thread, state.record.process, state.owner) = (thread, process, process);
    }
}

#[inline(always)]
fn established(ctx: &SockOpsContext, role: u8) {
    follow_state(ctx);
    // SAFETY: reads fields of the context that the verifier checks.
    let (socket, receive_next, send_next) =
        unsafe { ((*ctx.ops).__bindgen_anon_2.sk, (*ctx.ops).rcv_nxt, (*ctx.ops).snd_nxt) };
    if socket.is_null() {
        return;
    }
    if let Some(state) = map::flow_or_new(socket) {
        // SAFETY: the helper only reads the clock.
        let time = unsafe { bpf_ktime_get_boot_ns() };
        state.established(time, role, receive_next, send_next);
        if role == role::CLIENT {
            // SAFETY: reads a field of the context that the verifier checks.
            state.record.srtt_us = unsafe { (*ctx.ops).srtt_us } >> 3;
            output::emit_flow(state, kind::OPENED, time);
        }
    }
}

#[inline(always)]
fn closed(ctx: &SockOpsContext) {
    // SAFETY: reads fields of the context that the verifier checks.
    let (socket, srtt, retransmits) =
        unsafe { ((*ctx.ops).__bindgen_anon_2.sk, (*ctx.ops).srtt_us, (*ctx.ops).total_retrans) };
    if socket.is_null() {
        return;
    }
    if let Some(state) = map::flow(socket) {
        state.record.srtt_us = srtt >> 3;
        state.record.retransmits = retransmits;
        let kind = state.closing_kind();
        // SAFETY: the helper only reads the clock.
        let time = unsafe { bpf_ktime_get_boot_ns() };
        if state.has_sums() {
            output::emit_sums(state, time);
        }
        output::emit_flow(state, kind, time);
    }
}

/// The pod closes. Its FIN does not leave while the kernel waits for an acknowledgment.
#[inline(always)]
fn closing(ctx: &SockOpsContext) {
    // SAFETY: reads a field of the context that the verifier checks.
    let socket = unsafe { (*ctx.ops).__bindgen_anon_2.sk };
    if socket.is_null() {
        return;
    }
    if let Some(state) = map::flow(socket)
        && state.is_silent()
    {
        // SAFETY: the helper only reads the clock.
        output::emit_flow(state, kind::ABANDONED, unsafe { bpf_ktime_get_boot_ns() });
    }
}

/// Asks for state callbacks of this socket. The call overwrites the whole byte, so the bits of others stay.
#[inline(always)]
fn follow_state(ctx: &SockOpsContext) {
    let flags = ctx.cb_flags() | BPF_SOCK_OPS_STATE_CB_FLAG;
    // Fails only for a request socket, which gets no callbacks anyway.
    let _ = ctx.set_cb_flags(flags.cast_signed());
}
