//! A server with a thread for each connection.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use anyhow::{Context, Result};

use super::arrival::date;
use super::message::{Received, Reply, receive};
use super::pieces::write_pieces;
use crate::clock::unix_ns;

/// When an answer was written, in unix nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// Just before the first write.
    pub before: u64,
    /// Just after the last.
    pub after: u64,
}

/// What a server does with requests.
pub trait Service: Send + Sync + 'static {
    /// What the service keeps for each connection, on the connection's thread.
    type Connection;

    /// A connection was accepted.
    fn connected(&self, peer: SocketAddr) -> Self::Connection;

    /// A request arrived.
    fn answer(&self, connection: &mut Self::Connection, request: &Received) -> Reply;

    /// The answer to the request was written.
    fn answered(&self, connection: &mut Self::Connection, request: &Received, sent: Sent);
}

/// Accepts connections for ever.
pub fn serve<S: Service>(listener: &TcpListener, service: &Arc<S>) -> Result<()> {
    loop {
        let (stream, peer) = listener.accept().context("accept a connection")?;
        let service = Arc::clone(service);
        std::thread::spawn(move || {
            if let Err(error) = converse(stream, peer, &*service) {
                eprintln!("tracer-lab: connection of {peer}: {error:#}");
            }
        });
    }
}

fn converse<S: Service>(mut stream: TcpStream, peer: SocketAddr, service: &S) -> Result<()> {
    stream.set_nodelay(true)?;
    date(&stream).context("have arrivals dated")?;
    let mut connection = service.connected(peer);
    let mut buffer = Vec::new();
    while let Some(request) = receive(&stream, &mut buffer)? {
        let close = request.message.closes();
        let reply = service.answer(&mut connection, &request);
        if let Some(hops) = reply.hops {
            stream.set_ttl(hops).context("limit the hops of an answer")?;
        }
        let bytes = reply.bytes(close);
        let before = unix_ns();
        write_pieces(&mut stream, &bytes, reply.pause).context("answer")?;
        service.answered(&mut connection, &request, Sent { before, after: unix_ns() });
        if close {
            break;
        }
    }
    Ok(())
}
