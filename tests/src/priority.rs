//! Real-time priority for the lab's servers and its client.
//!
//! What they log is when their threads read the clock. A thread that waits for a CPU reads it late, by
//! milliseconds on a busy machine, and the log would then blame the tracer for what the scheduler did.
//! At real-time priority a thread that is woken preempts whatever ordinary process has the CPU, and
//! nothing ordinary runs between its reading of the clock and the system call that the reading is for.

use std::io::Error;

/// Above every ordinary process, below the kernel's own real-time threads (50 and more).
const REAL_TIME: libc::c_int = 10;
/// The most an ordinary process can have.
const NICEST: libc::c_int = -20;

/// Raises the calling thread, and with it all threads that it starts from now on; says so on stderr when
/// the machine does not grant real-time priority, because then its load shows in the logs' times.
pub fn raise() {
    let Err(refused) = real_time() else { return };
    match nice() {
        Ok(()) => eprintln!(
            "tracer-lab: no real-time priority ({refused}), nice {NICEST} instead: on a busy machine the \
             times in the logs may be late"
        ),
        Err(error) => eprintln!(
            "tracer-lab: no real-time priority ({refused}) and no nice {NICEST} ({error}): on a busy machine \
             the times in the logs are late"
        ),
    }
}

/// Round robin, so that threads of the same priority cannot keep each other from a CPU for long.
fn real_time() -> Result<(), Error> {
    // SAFETY: zeroes are a value of this struct of numbers, which has more fields in some C libraries.
    let mut parameter: libc::sched_param = unsafe { std::mem::zeroed() };
    parameter.sched_priority = REAL_TIME;
    // SAFETY: the pointer is to a local struct, which the call only reads.
    succeeded(unsafe { libc::sched_setscheduler(0, libc::SCHED_RR, &raw const parameter) })
}

fn nice() -> Result<(), Error> {
    // SAFETY: the call takes plain numbers; 0 is the caller itself.
    succeeded(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICEST) })
}

fn succeeded(status: libc::c_int) -> Result<(), Error> {
    if status == 0 { Ok(()) } else { Err(Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn threads_inherit_real_time_priority() {
        let policy = std::thread::spawn(|| {
            super::real_time().expect("the lab's tests run as root");
            // SAFETY: the call takes a plain number; 0 is the caller itself.
            std::thread::spawn(|| unsafe { libc::sched_getscheduler(0) }).join().unwrap()
        });
        assert_eq!(policy.join().unwrap(), libc::SCHED_RR);
    }
}
