//! Options of sockets that the standard library does not know.

use std::io::{Error, Result};
use std::net::TcpStream;
use std::os::fd::AsRawFd;

/// Sets an option of the socket level, whose value is made of integers.
pub(super) fn set<const N: usize>(
    socket: &impl AsRawFd,
    name: libc::c_int,
    value: [libc::c_int; N],
) -> Result<()> {
    let length = libc::socklen_t::try_from(size_of_val(&value)).map_err(Error::other)?;
    // SAFETY: the value is a local array of the length given, which the call only reads.
    let status = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, name, value.as_ptr().cast(), length)
    };
    if status == 0 { Ok(()) } else { Err(Error::last_os_error()) }
}

/// Has the connection end with a RST instead of a FIN when the stream is dropped.
pub fn reset_on_close(stream: &TcpStream) -> Result<()> {
    // A `struct linger`: on, for no time at all.
    set(stream, libc::SO_LINGER, [1, 0])
}
