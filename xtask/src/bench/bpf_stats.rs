//! The kernel's run-time statistics of BPF programs, switched on for as long as a file descriptor is open.
//!
//! Unlike the sysctl `kernel.bpf_stats_enabled`, the descriptor cannot be forgotten: the kernel closes it even
//! when this process is killed.

use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};

use anyhow::{Context as _, Result};

/// `BPF_ENABLE_STATS` of `enum bpf_cmd`, Linux 5.8.
const ENABLE_STATS: libc::c_long = 32;
/// The part of `union bpf_attr` that this command reads: `BPF_STATS_RUN_TIME` is type 0.
const RUN_TIME: u32 = 0;

/// Switches the statistics on until the descriptor is dropped.
pub(super) fn enable() -> Result<OwnedFd> {
    let kind = RUN_TIME;
    // SAFETY: the command reads one u32 through a pointer that is valid for the call, whose size is given.
    let result = unsafe { libc::syscall(libc::SYS_bpf, ENABLE_STATS, &raw const kind, size_of::<u32>()) };
    if result < 0 {
        return Err(io::Error::last_os_error())
            .context("switching the kernel's BPF statistics on (needs root and Linux 5.8)");
    }
    let descriptor = RawFd::try_from(result).context("the kernel gave a file descriptor out of range")?;
    // SAFETY: the kernel just made this descriptor, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}
