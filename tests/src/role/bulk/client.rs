//! The client: it reads or writes no faster than it is told to, and may stand still halfway.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;

use super::{CHUNK, Transfer};
use crate::clock::unix_ns;
use crate::http::{arrival, receive_head, request};

/// Flags of the client.
#[derive(Args)]
pub struct Client {
    /// The server
    #[arg(long)]
    target: SocketAddr,
    /// Number in the request's path
    #[arg(long)]
    number: u64,
    /// Bytes to send with a PUT; a GET without them
    #[arg(long, default_value_t = 0)]
    upload: usize,
    /// Bytes per second of the body
    #[arg(long)]
    rate: u32,
    /// Milliseconds to stand still in the middle of the body
    #[arg(long, default_value_t = 0)]
    pause: u64,
}

impl Client {
    /// Makes the request and prints its [`Transfer`].
    pub fn run(&self) -> Result<()> {
        let mut stream = TcpStream::connect(self.target).with_context(|| format!("{}", self.target))?;
        stream.set_nodelay(true)?;
        arrival::date(&stream)?;
        let sent_first = unix_ns();
        self.send(&mut stream).context("send the request")?;
        let sent_last = unix_ns();
        let transfer = self.receive(&stream, (sent_first, sent_last)).context("receive the response")?;
        println!("{}", serde_json::to_string(&transfer)?);
        Ok(())
    }

    fn send(&self, stream: &mut TcpStream) -> Result<()> {
        let path = format!("/v1/items/{}", self.number);
        let length = format!("Content-Length: {}", self.upload);
        let (method, headers) = if self.upload == 0 { ("GET", vec![]) } else { ("PUT", vec![&*length]) };
        stream.write_all(&request(method, &path, "bulk", &headers))?;
        let (chunk, mut pace) = (vec![b'x'; CHUNK], Pace::new(self, self.upload));
        while pace.done < self.upload {
            let count = chunk.len().min(self.upload - pace.done);
            stream.write_all(&chunk[..count])?;
            pace.wait(count);
        }
        Ok(())
    }

    fn receive(&self, stream: &TcpStream, (sent_first, sent_last): (u64, u64)) -> Result<Transfer> {
        let mut buffer = Vec::new();
        let head = receive_head(stream, &mut buffer)?.context("no answer")?;
        ensure!(head.message.status()? == 200, "{:?}", head.message);
        let (length, mut received_last) = (head.message.body_length()?, head.last);
        let (mut chunk, mut pace) = (vec![0; CHUNK], Pace::new(self, length));
        pace.wait(buffer.len());
        while pace.done < length {
            let (count, arrived) = arrival::read(stream, &mut chunk)?;
            ensure!(count > 0, "the body ended after {} of {length} bytes", pace.done);
            received_last = arrived;
            pace.wait(count);
        }
        Ok(Transfer { sent_first, sent_last, received_first: head.first, received_last, bytes: length })
    }
}

/// How far a body has come, and how fast it may go.
struct Pace {
    started: Instant,
    done: usize,
    half: usize,
    rate: f64,
    pause: Duration,
}

impl Pace {
    fn new(client: &Client, length: usize) -> Self {
        let (rate, pause) = (client.rate.into(), Duration::from_millis(client.pause));
        Self { started: Instant::now(), done: 0, half: length / 2, rate, pause }
    }

    /// Waits until more may follow the next `count` bytes.
    fn wait(&mut self, count: usize) {
        let before = self.done;
        self.done += count;
        if (before..self.done).contains(&self.half) {
            std::thread::sleep(self.pause);
            self.started += self.pause;
        }
        #[expect(clippy::cast_precision_loss, reason = "bytes of one test's body")]
        let due = Duration::from_secs_f64(self.done as f64 / self.rate);
        std::thread::sleep(due.saturating_sub(self.started.elapsed()));
    }
}
