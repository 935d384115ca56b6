//! Messages in two pieces, as from a writer that has the rest only later.

use std::io::{Result, Write};
use std::time::Duration;

/// The pieces of a message that is sent with a pause in the middle; all is in the first when there is no pause.
#[must_use]
pub fn pieces(message: &[u8], pause: Duration) -> (&[u8], &[u8]) {
    message.split_at(if pause.is_zero() { message.len() } else { message.len() / 2 })
}

/// Writes a message with a pause in the middle.
pub fn write_pieces(stream: &mut impl Write, message: &[u8], pause: Duration) -> Result<()> {
    let (first, rest) = pieces(message, pause);
    stream.write_all(first)?;
    if rest.is_empty() {
        return Ok(());
    }
    std::thread::sleep(pause);
    stream.write_all(rest)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::pieces;

    #[test]
    fn a_message_without_a_pause_is_one_piece() {
        assert_eq!(pieces(b"abcd", Duration::ZERO), (&b"abcd"[..], &b""[..]));
        assert_eq!(pieces(b"abcd", Duration::from_millis(1)), (&b"ab"[..], &b"cd"[..]));
    }
}
