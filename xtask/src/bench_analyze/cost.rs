//! What a program took, from the kernel's own accounting.

use std::io;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;

use crate::run;

/// Of one run of a program.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Cost {
    pub(super) wall_seconds: f64,
    /// User and system time.
    pub(super) cpu_seconds: f64,
    pub(super) peak_rss_bytes: u64,
}

/// Runs a program to its end, without its output.
pub(super) fn of(command: &mut Command) -> Result<Cost> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let started = Instant::now();
    let child = command
        .spawn()
        .with_context(|| format!("starting {} (is it installed and on the PATH?)", run::line(command)))?;
    let process = libc::pid_t::try_from(child.id()).context("the kernel gave a process id out of range")?;
    let (status, usage) = wait(process).with_context(|| format!("waiting for {}", run::line(command)))?;
    let wall_seconds = started.elapsed().as_secs_f64();
    ensure!(status == 0, "{} ended with the wait status {status}", run::line(command));
    let cpu = seconds(usage.ru_utime) + seconds(usage.ru_stime);
    // Kilobytes. It begins with the peak of the parent, which is small.
    let peak = u64::try_from(usage.ru_maxrss).unwrap_or_default() * 1024;
    Ok(Cost { wall_seconds, cpu_seconds: cpu.as_secs_f64(), peak_rss_bytes: peak })
}

/// The wait status of a child and what it used.
fn wait(process: libc::pid_t) -> io::Result<(i32, libc::rusage)> {
    let mut status = 0;
    loop {
        // SAFETY: all-zero bytes are a valid rusage, which is plain integers.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: both pointers are valid for the call and of the types that wait4 writes.
        let ended = unsafe { libc::wait4(process, &raw mut status, 0, &raw mut usage) };
        if ended == process {
            return Ok((status, usage));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

fn seconds(time: libc::timeval) -> Duration {
    let whole = Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or_default());
    whole + Duration::from_micros(u64::try_from(time.tv_usec).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_takes_time_and_memory() {
        let cost = of(Command::new("sleep").arg("0.05")).unwrap();
        assert!(cost.wall_seconds >= 0.05 && cost.cpu_seconds < 0.05 && cost.peak_rss_bytes > 0, "{cost:?}");
    }

    #[test]
    fn a_program_that_fails_is_an_error() {
        assert!(of(&mut Command::new("false")).is_err());
    }
}
