//! A server that takes requests and ends their connections instead of answering.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};

use crate::clock::unix_ns;
use crate::http::{arrival, receive, reset_on_close};
use crate::log::{ExchangeLine, Log};

/// Flags of the broken server.
#[derive(Args)]
pub struct Broken {
    /// Address to listen on
    #[arg(long)]
    listen: SocketAddr,
    /// How it ends a connection
    #[arg(long, value_enum)]
    how: How,
    /// Milliseconds between a request and the end
    #[arg(long, default_value_t = 30)]
    delay: u64,
    /// File for one JSON line per request
    #[arg(long)]
    log: PathBuf,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum How {
    /// With a FIN, as a process that is shut down.
    Close,
    /// With a RST, as a process that crashes.
    Reset,
}

impl How {
    /// As the flag's value.
    #[must_use]
    pub fn flag(self) -> &'static str {
        match self {
            Self::Close => "close",
            Self::Reset => "reset",
        }
    }
}

impl Broken {
    /// Serves for ever.
    pub fn run(&self) -> Result<()> {
        let listener =
            TcpListener::bind(self.listen).with_context(|| format!("listen on {}", self.listen))?;
        let log = Log::create(&self.log)?;
        std::thread::scope(|scope| {
            loop {
                let (stream, peer) = listener.accept().context("accept a connection")?;
                let log = &log;
                scope.spawn(move || {
                    if let Err(error) = self.fail(stream, peer, log) {
                        eprintln!("tracer-lab: connection of {peer}: {error:#}");
                    }
                });
            }
        })
    }

    fn fail(&self, stream: TcpStream, peer: SocketAddr, log: &Log) -> Result<()> {
        arrival::date(&stream)?;
        let Some(request) = receive(&stream, &mut Vec::new())? else { return Ok(()) };
        std::thread::sleep(Duration::from_millis(self.delay));
        if self.how == How::Reset {
            reset_on_close(&stream)?;
        }
        let before = unix_ns();
        drop(stream);
        log.write(&ExchangeLine {
            path: request.message.method_and_path().1.to_owned(),
            peer_port: peer.port(),
            t0: request.first,
            t1: request.last,
            t2: before,
            t3: unix_ns(),
        });
        Ok(())
    }
}
