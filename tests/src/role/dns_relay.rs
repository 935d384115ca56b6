//! Relays DNS to the real server behind it and holds every answer for a while, as a busy resolver does.

use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;

use crate::clock::unix_ns;
use crate::log::{Log, QueryLine};
use crate::random::mix;

/// Flags of the relay.
#[derive(Args)]
pub struct DnsRelay {
    /// Address to listen on
    #[arg(long)]
    listen: SocketAddr,
    /// The real server
    #[arg(long)]
    upstream: SocketAddr,
    /// Shortest time before an answer, in milliseconds
    #[arg(long, default_value_t = 20)]
    shortest: u64,
    /// Longest time before an answer, in milliseconds
    #[arg(long, default_value_t = 40)]
    longest: u64,
    /// File for one JSON line per query
    #[arg(long)]
    log: PathBuf,
}

impl DnsRelay {
    /// Relays for ever, each query on a thread of its own.
    pub fn run(&self) -> Result<()> {
        let socket = UdpSocket::bind(self.listen).with_context(|| format!("listen on {}", self.listen))?;
        let log = Log::create(&self.log)?;
        std::thread::scope(|scope| {
            for number in 0.. {
                let mut query = vec![0; 4096];
                let (length, peer) = socket.recv_from(&mut query).context("receive a query")?;
                let received = unix_ns();
                query.truncate(length);
                let (socket, log) = (&socket, &log);
                scope.spawn(move || {
                    if let Err(error) = self.relay(socket, log, &query, Asked { number, peer, received }) {
                        eprintln!("tracer-lab: query of {peer}: {error:#}");
                    }
                });
            }
            Ok(())
        })
    }

    fn relay(&self, socket: &UdpSocket, log: &Log, query: &[u8], asked: Asked) -> Result<()> {
        let answer = self.ask(query)?;
        let line = describe(&answer, asked).context("an answer without a question")?;
        let spread = (self.longest.saturating_sub(self.shortest) * 1000).max(1);
        let hold = Duration::from_micros(self.shortest * 1000 + mix(asked.number) % spread);
        let elapsed = Duration::from_nanos(unix_ns().saturating_sub(asked.received));
        std::thread::sleep(hold.saturating_sub(elapsed));
        let answered = unix_ns();
        socket.send_to(&answer, asked.peer).context("send the answer")?;
        log.write(&QueryLine { answered, ..line });
        Ok(())
    }

    fn ask(&self, query: &[u8]) -> Result<Vec<u8>> {
        let socket = UdpSocket::bind("127.0.0.1:0").context("open a socket")?;
        socket.set_read_timeout(Some(Duration::from_secs(2)))?;
        socket.connect(self.upstream)?;
        socket.send(query).with_context(|| format!("ask {}", self.upstream))?;
        let mut answer = vec![0; 4096];
        let length = socket.recv(&mut answer).with_context(|| format!("answer of {}", self.upstream))?;
        answer.truncate(length);
        Ok(answer)
    }
}

/// A query on its way.
#[derive(Clone, Copy)]
struct Asked {
    number: u64,
    peer: SocketAddr,
    received: u64,
}

/// What an answer answers; its own time is filled in later.
fn describe(answer: &[u8], asked: Asked) -> Option<QueryLine> {
    let mut labels = Vec::new();
    let mut rest = answer.get(12..)?;
    loop {
        let (&length, after) = rest.split_first()?;
        rest = after;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(rest.get(..length.into())?).into_owned());
        rest = rest.get(length.into()..)?;
    }
    Some(QueryLine {
        name: labels.join("."),
        qtype: u16::from_be_bytes([*rest.first()?, *rest.get(1)?]),
        id: u16::from_be_bytes([answer[0], answer[1]]),
        peer_port: asked.peer.port(),
        rcode: answer[3] & 15,
        received: asked.received,
        answered: 0,
    })
}
