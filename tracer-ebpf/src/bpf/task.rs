//! Which thread sends. Only egress of a message's first segment runs in the sender's context.

use aya_ebpf::helpers::generated::{bpf_get_current_pid_tgid, bpf_get_current_task, bpf_probe_read_kernel};

/// How to learn the thread: 0 not at all, 1 by helper (6.12 has it for these programs), 2 from `task_struct`.
#[unsafe(no_mangle)]
static THREAD_SOURCE: u32 = 0;
/// Offset of `task_struct.pid` (the thread), from the kernel's BTF.
#[unsafe(no_mangle)]
static TASK_PID_OFFSET: u64 = 0;
/// Offset of `task_struct.tgid` (the process), from the kernel's BTF.
#[unsafe(no_mangle)]
static TASK_TGID_OFFSET: u64 = 0;

/// Thread and process of the current task; zeroes when not known.
#[inline(always)]
pub(crate) fn current() -> (u32, u32) {
    // SAFETY: valid statics, replaced at load time; the verifier removes the branches that are not taken, so
    // a kernel that lacks a helper never sees it.
    let source = unsafe { core::ptr::read_volatile(&raw const THREAD_SOURCE) };
    match source {
        1 => by_helper(),
        2 => by_offsets(),
        _ => (0, 0),
    }
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the two halves of the helper's result")]
fn by_helper() -> (u32, u32) {
    // SAFETY: the helper takes nothing and returns two numbers.
    let both = unsafe { bpf_get_current_pid_tgid() };
    (both as u32, (both >> 32) as u32)
}

#[inline(always)]
fn by_offsets() -> (u32, u32) {
    // SAFETY: valid statics, replaced at load time.
    let (pid, tgid) = unsafe {
        (core::ptr::read_volatile(&raw const TASK_PID_OFFSET), core::ptr::read_volatile(&raw const TASK_TGID_OFFSET))
    };
    // SAFETY: the helper returns the current task; it is only read through `bpf_probe_read_kernel`.
    let task = unsafe { bpf_get_current_task() };
    (read_u32(task.wrapping_add(pid)), read_u32(task.wrapping_add(tgid)))
}

#[inline(always)]
fn read_u32(address: u64) -> u32 {
    let mut value = 0u32;
    // SAFETY: `value` has room for the four bytes; a faulting address makes the helper fail.
    let result = unsafe { bpf_probe_read_kernel((&raw mut value).cast(), 4, address as *const _) };
    if result == 0 { value } else { 0 }
}
