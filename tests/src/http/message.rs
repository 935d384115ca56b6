//! Requests and responses as bytes.

use std::fmt::{Display, Write as _};
use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::arrival;

/// More than any message of the lab: what is longer is an error, not a reason to grow.
const LONGEST: usize = 1 << 20;

/// A request or a response.
#[derive(Debug)]
pub struct Message {
    start: String,
    headers: Vec<(String, String)>,
    /// What followed the head.
    pub body: Vec<u8>,
}

impl Message {
    /// The value of a header, whose name is given in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether the connection ends with this message.
    #[must_use]
    pub fn closes(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// How many bytes follow the head.
    pub fn body_length(&self) -> Result<usize> {
        self.header("content-length").unwrap_or("0").parse().context("content-length")
    }

    /// A request's method and path, without parameters and query string.
    #[must_use]
    pub fn method_and_path(&self) -> (&str, &str) {
        let mut words = self.start.split(' ');
        let method = words.next().unwrap_or_default();
        (method, words.next().and_then(|target| target.split(['?', ';']).next()).unwrap_or_default())
    }

    /// A response's status.
    pub fn status(&self) -> Result<u16> {
        let word = self.start.split(' ').nth(1);
        word.and_then(|status| status.parse().ok())
            .with_context(|| format!("not a status line: {}", self.start))
    }
}

/// A message with the times of its bytes.
#[derive(Debug)]
pub struct Received {
    /// The message.
    pub message: Message,
    /// When its first byte arrived, in unix nanoseconds.
    pub first: u64,
    /// When its last byte arrived, in unix nanoseconds.
    pub last: u64,
}

/// Takes one complete message off the front of `buffer`; `None` while bytes are missing.
pub fn take(buffer: &mut Vec<u8>) -> Result<Option<Message>> {
    let Some((mut message, head)) = peek_head(buffer)? else { return Ok(None) };
    let length = message.body_length()?;
    ensure!(length <= LONGEST, "a body of {length} bytes");
    if buffer.len() < head + length {
        return Ok(None);
    }
    message.body = buffer[head..head + length].to_vec();
    buffer.drain(..head + length);
    Ok(Some(message))
}

/// Takes the head of a message off the front of `buffer` and leaves its body, however long.
fn take_head(buffer: &mut Vec<u8>) -> Result<Option<Message>> {
    let Some((message, head)) = peek_head(buffer)? else { return Ok(None) };
    buffer.drain(..head);
    Ok(Some(message))
}

/// The head at the front of `buffer`, and how long it is.
fn peek_head(buffer: &[u8]) -> Result<Option<(Message, usize)>> {
    ensure!(buffer.len() <= LONGEST, "a message of more than {LONGEST} bytes");
    let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&buffer[..end]).context("a head that is not text")?;
    let mut lines = head.split("\r\n");
    let start = lines.next().unwrap_or_default().to_owned();
    let headers = lines.map(header).collect::<Result<Vec<_>>>()?;
    Ok(Some((Message { start, headers, body: Vec::new() }, end + 4)))
}

fn header(line: &str) -> Result<(String, String)> {
    let (name, value) = line.split_once(':').ok_or_else(|| anyhow!("not a header: {line}"))?;
    Ok((name.to_ascii_lowercase(), value.trim().to_owned()))
}

/// Reads one message; `None` when the other side ended the connection between messages.
pub fn receive(stream: &TcpStream, buffer: &mut Vec<u8>) -> Result<Option<Received>> {
    receive_by(take, stream, buffer)
}

/// Reads the head of a message; the rest of what was read stays in `buffer`.
pub fn receive_head(stream: &TcpStream, buffer: &mut Vec<u8>) -> Result<Option<Received>> {
    receive_by(take_head, stream, buffer)
}

/// Reads until `take` finds what it wants.
fn receive_by(
    take: fn(&mut Vec<u8>) -> Result<Option<Message>>,
    stream: &TcpStream,
    buffer: &mut Vec<u8>,
) -> Result<Option<Received>> {
    let mut first = None;
    let mut chunk = [0; 16 * 1024];
    loop {
        // A reading is dated by the last packet it took bytes from: the first byte is read alone.
        let wanted = if first.is_some() { chunk.len() } else { 1 };
        let (count, last) = match arrival::read(stream, &mut chunk[..wanted]) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            other => other.context("read")?,
        };
        if count == 0 && buffer.is_empty() {
            return Ok(None);
        } else if count == 0 {
            bail!("the connection ended within a message");
        }
        buffer.extend_from_slice(&chunk[..count]);
        let first = *first.get_or_insert(last);
        if let Some(message) = take(buffer)? {
            return Ok(Some(Received { message, first, last }));
        }
    }
}

/// The bytes of a request without a body; `headers` are complete lines without their ends.
#[must_use]
pub fn request(method: &str, target: &str, host: &str, headers: &[&str]) -> Vec<u8> {
    let lines = lines(headers);
    format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n").into_bytes()
}

/// The lines with their ends.
fn lines(headers: &[impl Display]) -> String {
    headers.iter().fold(String::new(), |mut lines, header| {
        let _infallible = write!(lines, "{header}\r\n");
        lines
    })
}

/// What a server answers.
#[derive(Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// Further headers: complete lines without their ends.
    pub headers: Vec<String>,
    /// The body, sent as JSON.
    pub body: String,
    /// How many routers the answer passes before it is thrown away; the system's default when not given.
    pub hops: Option<u32>,
    /// How long the server pauses in the middle of the answer; it is written at once when zero.
    pub pause: Duration,
}

impl Reply {
    /// A successful answer.
    #[must_use]
    pub fn ok(body: String) -> Self {
        Self { status: 200, headers: Vec::new(), body, hops: None, pause: Duration::ZERO }
    }

    /// An answer that there is no such thing, or that it went wrong.
    #[must_use]
    pub fn error(status: u16, body: String) -> Self {
        Self { status, headers: Vec::new(), body, hops: None, pause: Duration::ZERO }
    }

    /// The bytes of the answer, which says whether the connection ends after it.
    #[must_use]
    pub fn bytes(&self, close: bool) -> Vec<u8> {
        let connection = if close { "close" } else { "keep-alive" };
        let reason = if self.status == 200 { "OK" } else { "Error" };
        format!(
            "HTTP/1.1 {} {reason}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: \
             {connection}\r\n{}\r\n{}",
            self.status,
            self.body.len(),
            lines(&self.headers),
            self.body
        )
        .into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::{Reply, request, take};

    #[test]
    fn a_message_is_taken_when_it_is_complete() {
        let bytes = Reply::ok("{\"a\":1}".to_owned()).bytes(true);
        let (head, tail) = bytes.split_at(bytes.len() - 1);
        let mut buffer = head.to_vec();
        assert!(take(&mut buffer).unwrap().is_none());
        buffer.extend_from_slice(tail);
        buffer.extend_from_slice(b"HTTP/1.1 ");
        let message = take(&mut buffer).unwrap().unwrap();
        assert_eq!((message.status().unwrap(), message.closes()), (200, true));
        assert_eq!(message.body, b"{\"a\":1}");
        assert_eq!(buffer, b"HTTP/1.1 ");
    }

    #[test]
    fn the_path_is_without_parameters_and_query() {
        let mut bytes = request("GET", "/v1/items/3;id=y?token=x", "backend", &["A: b"]);
        let message = take(&mut bytes).unwrap().unwrap();
        assert_eq!(message.method_and_path(), ("GET", "/v1/items/3"));
        assert_eq!(message.header("a"), Some("b"));
    }

    #[test]
    fn a_broken_head_is_an_error() {
        assert!(take(&mut b"GET / HTTP/1.1\r\nnonsense\r\n\r\n".to_vec()).is_err());
    }
}
