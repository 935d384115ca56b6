//! A client with one connection.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use socket2::{Domain, Socket, Type};

use super::arrival::date;
use super::message::{Received, receive, request};
use crate::clock::unix_ns;

/// Longer than any answer of the lab takes.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A connection on which requests are made one after the other.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Just before and just after the connect, in unix nanoseconds.
    pub connected: (u64, u64),
}

impl Connection {
    /// Connects.
    pub fn open(address: SocketAddr) -> Result<Self> {
        let socket =
            Socket::new(Domain::for_address(address), Type::STREAM, None).context("open a socket")?;
        // With these set before, nothing but the connect lies between the two readings of the clock.
        socket.set_tcp_nodelay(true)?;
        socket.set_read_timeout(Some(TIMEOUT))?;
        let start = unix_ns();
        let connected = socket.connect_timeout(&address.into(), TIMEOUT);
        let end = unix_ns();
        connected.with_context(|| format!("connect to {address}"))?;
        let stream = TcpStream::from(socket);
        date(&stream).context("have arrivals dated")?;
        Ok(Self { stream, buffer: Vec::new(), connected: (start, end) })
    }

    /// The port on this side.
    pub fn local_port(&self) -> Result<u16> {
        Ok(self.stream.local_addr()?.port())
    }

    /// Writes a request.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).context("send a request")
    }

    /// Reads the response to the request sent before.
    pub fn receive(&mut self) -> Result<Received> {
        receive(&self.stream, &mut self.buffer)?.context("the connection ended instead of an answer")
    }
}

/// The body of one GET on a connection of its own, whose end is the end of the body.
pub fn get(address: SocketAddr, path: &str) -> Result<String> {
    let mut connection = Connection::open(address)?;
    connection.send(&request("GET", path, &address.to_string(), &["Connection: close"]))?;
    let mut answer = String::new();
    connection.stream.read_to_string(&mut answer).with_context(|| format!("GET {path} of {address}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer without a head")?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    ensure!(status == "200", "GET {path} of {address}: status {status}: {body}");
    Ok(body.to_owned())
}
