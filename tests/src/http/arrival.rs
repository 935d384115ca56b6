//! When bytes arrived, by the socket they arrived at: the kernel dates each packet as it comes in and hands
//! the date out with the data. Unlike a clock that is read after `read` returned, it does not depend on when
//! the reading thread got a CPU, on how long the CPU took to wake up, or on what else the machine does.

use std::io::{Error, Result};
use std::os::fd::AsRawFd;

use super::option;
use crate::clock::unix_ns;

/// Room for the control message with the date: a header of 16 bytes and a `timespec`, aligned.
type Control = [u64; 8];

/// Has the kernel date what arrives from now on.
pub fn date(socket: &impl AsRawFd) -> Result<()> {
    option::set(socket, libc::SO_TIMESTAMPNS, [1])
}

/// Reads like [`std::io::Read::read`], with the unix nanoseconds at which the last packet that bytes were
/// taken from arrived; the time of the reading where the kernel gives none, as at the stream's end.
pub fn read(stream: &impl AsRawFd, buffer: &mut [u8]) -> Result<(usize, u64)> {
    let mut control = Control::default();
    let mut data = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: all zeroes is a valid `msghdr`: without name, data and control.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut data;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of::<Control>() as _;
    // SAFETY: the header names `buffer` and `control` with their lengths, which outlive the call.
    let count = unsafe { libc::recvmsg(stream.as_raw_fd(), &raw mut message, 0) };
    let now = unix_ns();
    let count = usize::try_from(count).map_err(|_| Error::last_os_error())?;
    let dated = message.msg_controllen as usize >= 32;
    Ok((count, dated.then(|| arrival(&control)).flatten().unwrap_or(now)))
}

/// The date in a control message: its length, its level and type, seconds and nanoseconds.
fn arrival(control: &Control) -> Option<u64> {
    let [_, kind, seconds, nanoseconds, ..] = *control;
    let kind: [u8; 8] = kind.to_ne_bytes();
    let (level, kind) = kind.split_first_chunk::<4>()?;
    let expected = (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS);
    let found = (i32::from_ne_bytes(*level), i32::from_ne_bytes(kind.try_into().ok()?));
    // A packet without a date has zeroes here.
    (found == expected && seconds > 0).then_some(seconds * 1_000_000_000 + nanoseconds)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    use super::{date, read};
    use crate::clock::unix_ns;

    #[test]
    fn bytes_are_dated_when_they_arrive_and_not_when_they_are_read() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (receiver, _) = listener.accept().unwrap();
        date(&receiver).unwrap();
        // The kernel's clock of arrivals starts a moment after somebody wants it.
        std::thread::sleep(Duration::from_millis(100));
        let before = unix_ns();
        sender.write_all(b"ab").unwrap();
        let after = unix_ns();
        std::thread::sleep(Duration::from_millis(100));
        let mut buffer = [0; 8];
        let (count, arrived) = read(&receiver, &mut buffer[..1]).unwrap();
        assert_eq!(count, 1);
        assert!((before..=after).contains(&arrived), "{before} {arrived} {after}");
        assert_eq!(read(&receiver, &mut buffer).unwrap(), (1, arrived));
        drop(sender);
        assert_eq!(read(&receiver, &mut buffer).unwrap().0, 0);
    }
}
