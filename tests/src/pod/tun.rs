//! TUN devices: what is routed to one is read from a file, and what is written to the file arrives from it.

use std::fs::File;
use std::io::Error;
use std::os::fd::AsRawFd;

use anyhow::{Context, Result, ensure};

/// Room for the name of a device, with the zero at its end.
const NAME: usize = libc::IFNAMSIZ;

/// Makes a device in the calling thread's network namespace. It is there until the file is closed; each reading
/// and each writing is one packet.
pub(super) fn create(name: &str) -> Result<File> {
    ensure!(name.len() < NAME, "a name of {} bytes", name.len());
    let path = "/dev/net/tun";
    let file = File::options().read(true).write(true).open(path).with_context(|| format!("open {path}"))?;
    // A `struct ifreq`: the name, then the flags.
    let mut request = [0_u8; size_of::<libc::ifreq>()];
    request[..name.len()].copy_from_slice(name.as_bytes());
    let flags = (libc::IFF_TUN | libc::IFF_NO_PI).to_ne_bytes();
    request[NAME..NAME + flags.len()].copy_from_slice(&flags);
    // SAFETY: the call reads and writes a `struct ifreq`, for which the local array has the room.
    let made = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, request.as_mut_ptr()) };
    ensure!(made == 0, "make the device {name}: {}", Error::last_os_error());
    Ok(file)
}
