//! An end with grace: whoever interrupts the soak, or ends the program that started it, finds nothing left of it.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, ensure};

/// Whether the soak is to end.
static ENDS: AtomicBool = AtomicBool::new(false);

extern "C" fn end(_: libc::c_int) {
    ENDS.store(true, Ordering::Relaxed);
}

/// From now on, signals that end a program have [`check`] fail instead, so that everything is cleaned up.
pub(super) fn end_with_grace() {
    let handler = end as extern "C" fn(libc::c_int) as libc::sighandler_t;
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: the handler only stores to an atomic, which may be done at any time.
        unsafe { libc::signal(signal, handler) };
    }
    // SAFETY: it takes plain numbers, and has the kernel send this process the signal when its parent ends.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) };
}

/// An error when the soak is to end.
pub(super) fn check() -> Result<()> {
    ensure!(!ENDS.load(Ordering::Relaxed), "interrupted");
    Ok(())
}
