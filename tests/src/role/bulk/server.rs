//! The server: a GET is answered with a long body, any other method's body is read to its end.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use clap::Args;

use super::CHUNK;
use crate::clock::unix_ns;
use crate::http::{Received, arrival, receive_head};
use crate::log::{Log, RequestLine};

/// Flags of the server.
#[derive(Args)]
pub struct Server {
    /// Address to listen on
    #[arg(long)]
    listen: SocketAddr,
    /// Bytes of each answer to a GET
    #[arg(long, default_value_t = 50_000_000)]
    bytes: usize,
    /// File for one JSON line per request
    #[arg(long)]
    log: PathBuf,
}

impl Server {
    /// Serves for ever.
    pub fn run(&self) -> Result<()> {
        let listener =
            TcpListener::bind(self.listen).with_context(|| format!("listen on {}", self.listen))?;
        let log = Arc::new(Log::create(&self.log)?);
        loop {
            let (stream, peer) = listener.accept().context("accept a connection")?;
            let (log, bytes) = (Arc::clone(&log), self.bytes);
            std::thread::spawn(move || {
                if let Err(error) = converse(stream, bytes, &log) {
                    eprintln!("tracer-lab: connection of {peer}: {error:#}");
                }
            });
        }
    }
}

fn converse(mut stream: TcpStream, bytes: usize, log: &Log) -> Result<()> {
    stream.set_nodelay(true)?;
    arrival::date(&stream)?;
    let mut buffer = Vec::new();
    while let Some(mut request) = receive_head(&stream, &mut buffer)? {
        let left = request.message.body_length()?.saturating_sub(buffer.len());
        buffer.clear();
        read_body(&stream, left, &mut request)?;
        let (method, path) = request.message.method_and_path();
        let n = path.rsplit('/').next().and_then(|number| number.parse().ok()).unwrap_or(0);
        let length = if method == "GET" { bytes } else { 0 };
        let t2 = unix_ns();
        answer(&mut stream, length).context("answer")?;
        let (t0, t1, t3) = (request.first, request.last, unix_ns());
        log.write(&RequestLine { n, t0, t1, t2, t3, tid: 0, status: 200, calls: Vec::new() });
    }
    Ok(())
}

/// Reads the rest of a body and moves the time of the last byte.
fn read_body(stream: &TcpStream, mut left: usize, request: &mut Received) -> Result<()> {
    let mut chunk = vec![0; CHUNK];
    while left > 0 {
        let wanted = left.min(chunk.len());
        let (count, arrived) = arrival::read(stream, &mut chunk[..wanted]).context("read a body")?;
        ensure!(count > 0, "the connection ended {left} bytes before the body's end");
        left -= count;
        request.last = arrived;
    }
    Ok(())
}

fn answer(stream: &mut TcpStream, mut left: usize) -> Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {left}\r\nConnection: keep-alive\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    let chunk = vec![b'x'; CHUNK];
    while left > 0 {
        let count = left.min(chunk.len());
        stream.write_all(&chunk[..count])?;
        left -= count;
    }
    Ok(())
}
