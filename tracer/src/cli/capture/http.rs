//! As much of an HTTP/1.1 client as one GET needs (RFC 9112).

use std::io::{self, BufRead, Read};

/// Longest head, bytes.
const HEAD_LIMIT: u64 = 16 * 1024;
/// Longest line with a chunk's size, bytes.
const SIZE_LIMIT: u64 = 64;

/// What comes before the body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// The status code.
    pub(super) status: u16,
    /// Whether the body comes in chunks; otherwise it ends with the connection or by its length.
    is_chunked: bool,
    length: Option<u64>,
}

impl Head {
    /// Reads up to the body.
    pub(super) fn read(connection: &mut impl BufRead) -> io::Result<Self> {
        let mut limited = connection.take(HEAD_LIMIT);
        let start = line(&mut limited)?;
        let mut words = start.split(' ');
        let is_http = words.next().is_some_and(|version| version.starts_with("HTTP/1."));
        let status = words.next().and_then(|status| status.parse().ok()).filter(|_| is_http);
        let status = status.ok_or_else(|| wrong("it does not speak HTTP/1"))?;
        let mut head = Self { status, is_chunked: false, length: None };
        loop {
            let header = line(&mut limited)?;
            if header.is_empty() {
                return Ok(head);
            }
            let (name, value) = header.split_once(':').unwrap_or_default();
            if name.eq_ignore_ascii_case("transfer-encoding") {
                head.is_chunked = value.trim().eq_ignore_ascii_case("chunked");
            } else if name.eq_ignore_ascii_case("content-length") {
                head.length = value.trim().parse().ok();
            }
        }
    }
}

/// A line without its end; a cut one is an error.
fn line(connection: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    connection.read_line(&mut line)?;
    let Some(whole) = line.strip_suffix('\n') else { return Err(io::ErrorKind::UnexpectedEof.into()) };
    Ok(whole.trim_end_matches('\r').to_owned())
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// A body as it was before it was put into chunks.
pub(super) struct Body<R> {
    connection: R,
    is_chunked: bool,
    /// Bytes left of the chunk, or of the body.
    left: u64,
    ended: bool,
}

impl<R: BufRead> Body<R> {
    /// Of the answer with this head.
    pub(super) fn new(head: &Head, connection: R) -> Self {
        let left = if head.is_chunked { 0 } else { head.length.unwrap_or(u64::MAX) };
        Self { connection, is_chunked: head.is_chunked, left, ended: false }
    }

    /// Goes to the next chunk.
    fn chunk(&mut self) -> io::Result<()> {
        let size = line(&mut self.connection.by_ref().take(SIZE_LIMIT))?;
        let digits = size.split(';').next().unwrap_or_default().trim();
        self.left = u64::from_str_radix(digits, 16).map_err(|_| wrong("a chunk has no size"))?;
        self.ended = self.left == 0;
        Ok(())
    }
}

impl<R: BufRead> Read for Body<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.is_chunked && self.left == 0 && !self.ended {
            self.chunk()?;
        }
        if self.ended || self.left == 0 || bytes.is_empty() {
            return Ok(0);
        }
        let room = bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = self.connection.read(bytes.get_mut(..room).unwrap_or_default())?;
        if read == 0 {
            let must_come = self.is_chunked || self.left < u64::MAX / 2;
            return if must_come { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(0) };
        }
        self.left -= read as u64;
        if self.is_chunked && self.left == 0 && !line(&mut self.connection.by_ref().take(2))?.is_empty() {
            return Err(wrong("a chunk is longer than it says"));
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(bytes: &[u8]) -> io::Result<(u16, Vec<u8>)> {
        let mut connection = bytes;
        let head = Head::read(&mut connection)?;
        let mut body = Vec::new();
        Body::new(&head, connection).read_to_end(&mut body)?;
        Ok((head.status, body))
    }

    #[test]
    fn chunks_become_a_body() {
        let whole = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0b;x\r\n0123456789a\r\n0\r\n\r\n";
        assert_eq!(answer(whole).unwrap(), (200, b"abc0123456789a".to_vec()));
        for cut in 0..whole.len() - 3 {
            assert!(answer(&whole[..cut]).is_err(), "{cut}");
        }
        assert!(answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n").is_err());
        assert!(answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n").is_err());
    }

    #[test]
    fn a_body_has_a_length_or_ends_with_the_connection() {
        assert_eq!(
            answer(b"HTTP/1.1 403 No\r\ncontent-length: 2\r\n\r\nabc").unwrap(),
            (403, b"ab".to_vec())
        );
        assert_eq!(answer(b"HTTP/1.0 200 OK\r\n\r\nabc").unwrap(), (200, b"abc".to_vec()));
        assert!(answer(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc").is_err());
    }

    #[test]
    fn what_is_not_http_is_refused() {
        assert!(answer(b"SSH-2.0-x\r\n\r\n").is_err());
        assert!(answer(&vec![b'a'; 100_000]).is_err());
    }
}
