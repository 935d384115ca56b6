//! The process of a sandbox: it holds the pod's namespaces and does nothing.

use anyhow::{Result, ensure};

/// Waits until it is asked to end. The first process of a PID namespace ignores what it does not ask for.
pub fn run() -> Result<()> {
    // SAFETY: zeroes are a value of this type, and sigemptyset makes it an empty set.
    let mut signals: libc::sigset_t = unsafe { std::mem::zeroed() };
    let mut received = 0;
    // SAFETY: the pointers are to local values of the types that the calls want.
    let waited = unsafe {
        libc::sigemptyset(&raw mut signals);
        libc::sigaddset(&raw mut signals, libc::SIGTERM);
        libc::sigaddset(&raw mut signals, libc::SIGINT);
        libc::sigprocmask(libc::SIG_BLOCK, &raw const signals, std::ptr::null_mut());
        libc::sigwait(&raw const signals, &raw mut received)
    };
    ensure!(waited == 0, "waiting for a signal: {}", std::io::Error::from_raw_os_error(waited));
    Ok(())
}
