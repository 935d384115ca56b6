//! A client with one connection.

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::arrival::date;
use super::message::{Received, receive, request};
use super::pieces::write_pieces;
use crate::clock::unix_ns;

/// Longer than any answer of the lab takes.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A connection on which requests are made one after the other.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// A connect that ended, well or not.
pub struct Attempt {
    /// Just before and just after it, in unix nanoseconds.
    pub times: (u64, u64),
    /// What came of it.
    pub outcome: Result<Connection>,
}

impl Attempt {
    /// Tries to connect for as long as `at_most`.
    #[must_use]
    pub fn start(address: SocketAddr, at_most: Duration) -> Self {
        let start = unix_ns();
        let connected = TcpStream::connect_timeout(&address, at_most);
        let times = (start, unix_ns());
        let connected = connected.with_context(|| format!("connect to {address}"));
        Self { times, outcome: connected.and_then(Connection::over) }
    }
}

impl Connection {
    /// Connects.
    pub fn open(address: SocketAddr) -> Result<Self> {
        Attempt::start(address, TIMEOUT).outcome
    }

    fn over(stream: TcpStream) -> Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        date(&stream).context("have arrivals dated")?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    /// The port on this side.
    pub fn local_port(&self) -> Result<u16> {
        Ok(self.stream.local_addr()?.port())
    }

    /// Writes a request.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.send_pieces(bytes, Duration::ZERO)
    }

    /// Writes a request with a pause in the middle.
    pub fn send_pieces(&mut self, bytes: &[u8], pause: Duration) -> Result<()> {
        write_pieces(&mut self.stream, bytes, pause).context("send a request")
    }

    /// Reads the response to the request sent before.
    pub fn receive(&mut self) -> Result<Received> {
        receive(&self.stream, &mut self.buffer)?.context("the connection ended instead of an answer")
    }
}

/// The body of one GET, which must succeed.
pub fn get(address: SocketAddr, path: &str) -> Result<String> {
    let (status, _, body) = fetch(address, path)?;
    ensure!(status == 200, "GET {path} of {address}: status {status}: {body}");
    Ok(body)
}

/// Status, head and body of one GET on a connection of its own, whose end is the end of the body.
pub fn fetch(address: SocketAddr, path: &str) -> Result<(u16, String, String)> {
    let mut connection = Connection::open(address)?;
    connection.send(&request("GET", path, &address.to_string(), &["Connection: close"]))?;
    let mut answer = String::new();
    connection.stream.read_to_string(&mut answer).with_context(|| format!("GET {path} of {address}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer without a head")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.with_context(|| format!("not a status line: {head}"))?;
    Ok((status, head.to_owned(), body.to_owned()))
}
