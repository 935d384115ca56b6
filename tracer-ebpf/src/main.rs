//! The BPF entry points. Every program returns "allow"; nothing is written to a packet or a socket's behaviour.

#![cfg_attr(target_arch = "bpf", no_std, no_main)]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]
#![cfg_attr(
    target_arch = "bpf",
    expect(
        clippy::inline_always,
        reason = "the verifier follows one program per hook; calls cost stack and lose what it knows of pointers"
    ),
    expect(clippy::cast_possible_truncation, reason = "sizes of records and packets, far below 2^32")
)]
#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::arithmetic_side_effects)]

#[cfg(target_arch = "bpf")]
mod bpf;

/// Each program is one function, inlined into what its macro makes: a call costs time and stack, and before Linux 6.0 arm64
/// refuses programs that both call functions and jump to other programs.
#[cfg(target_arch = "bpf")]
mod entry {
    use aya_ebpf::{
        macros::{cgroup_skb, sock_ops},
        programs::{SkBuffContext, SockOpsContext},
    };
    use tracer_ebpf::segment::Direction;

    use crate::bpf::{packet, socket, stream};

    /// The packet passes, whatever we saw.
    const ALLOW: i32 = 1;

    #[expect(clippy::needless_pass_by_value, reason = "the macros hand the context over")]
    #[cgroup_skb]
    #[inline(always)]
    fn tracer_ingress(ctx: SkBuffContext) -> i32 {
        packet::observe(&ctx, Direction::Ingress);
        ALLOW
    }

    #[expect(clippy::needless_pass_by_value, reason = "the macros hand the context over")]
    #[cgroup_skb]
    #[inline(always)]
    fn tracer_egress(ctx: SkBuffContext) -> i32 {
        packet::observe(&ctx, Direction::Egress);
        ALLOW
    }

    #[expect(clippy::needless_pass_by_value, reason = "the macros hand the context over")]
    #[cgroup_skb]
    #[inline(always)]
    fn tracer_walk_in(ctx: SkBuffContext) -> i32 {
        stream::observe(&ctx, Direction::Ingress);
        ALLOW
    }

    #[expect(clippy::needless_pass_by_value, reason = "the macros hand the context over")]
    #[cgroup_skb]
    #[inline(always)]
    fn tracer_walk_out(ctx: SkBuffContext) -> i32 {
        stream::observe(&ctx, Direction::Egress);
        ALLOW
    }

    #[expect(clippy::needless_pass_by_value, reason = "the macros hand the context over")]
    #[sock_ops]
    #[inline(always)]
    fn tracer_sockops(ctx: SockOpsContext) -> u32 {
        socket::observe(&ctx);
        1
    }

    // `bpf_ringbuf_*` is open to any licence; `bpf_probe_read_kernel` is not.
    #[unsafe(link_section = "license")]
    #[unsafe(no_mangle)]
    static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

    /// A loop: the verifier rejects any program in which a panic survived.
    #[panic_handler]
    fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
        loop {}
    }
}

/// The programs exist for the `bpf` targets only; elsewhere this file compiles so that the workspace's checks
/// cover it.
#[cfg(not(target_arch = "bpf"))]
fn main() {}
