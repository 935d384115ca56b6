//! The backend with few threads for all requests: a request's calls leave from whichever thread has time,
//! over connections that all requests share.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::state::{Ask, Calls, Ends, Served, State, locked, number, thread_id};
use crate::clock::unix_ns;
use crate::http::{Message, Received, Sent, pieces, take};

/// Threads for all requests.
const WORKERS: usize = 2;

/// Serves for ever.
pub(super) fn run(state: State) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build()?;
    runtime.block_on(async {
        let address = state.flags.listen;
        let listener = TcpListener::bind(address).await.with_context(|| format!("listen on {address}"))?;
        let server = Arc::new(Server { state, idle: Mutex::default() });
        loop {
            let (stream, peer) = listener.accept().await.context("accept a connection")?;
            let server = Arc::clone(&server);
            tokio::spawn(async move {
                if let Err(error) = server.converse(Connection::new(stream)).await {
                    eprintln!("tracer-lab: connection of {peer}: {error:#}");
                }
            });
        }
    })
}

/// The state, and connections to Elasticsearch that no request uses at the moment.
struct Server {
    state: State,
    idle: Mutex<Vec<Connection>>,
}

impl Server {
    async fn converse(self: Arc<Self>, mut connection: Connection) -> Result<()> {
        connection.stream.set_nodelay(true)?;
        while let Some(request) = connection.receive().await? {
            let (n, mut calls) = (number(&request), Calls::default());
            let outcome = self.item(n, &mut calls).await;
            let reply = self.state.reply(n, outcome);
            let close = request.message.closes();
            let bytes = reply.bytes(close);
            let before = unix_ns();
            connection.answer(&bytes, reply.pause).await.context("answer")?;
            let sent = Sent { before, after: unix_ns() };
            let served = Served { n, tid: thread_id(), status: reply.status, calls };
            self.state.write(&request, sent, served);
            if close {
                break;
            }
        }
        Ok(())
    }

    async fn item(self: &Arc<Self>, n: u64, calls: &mut Calls) -> Result<()> {
        if self.state.must_refresh() {
            if let Some(token) = self.state.token_request() {
                self.ask_metadata(calls, &token).await?;
            }
            let [role, credentials] = self.state.credentials_requests();
            self.ask_metadata(calls, &role).await?;
            self.state.keep_credentials(&self.ask_metadata(calls, &credentials).await?)?;
        }
        let address = match self.state.known_address() {
            Some(address) => address,
            None => self.resolve(calls, n).await?,
        };
        let idle = locked(&self.idle).pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => connect(calls, address).await?,
        };
        let search = self.state.search_request(n);
        exchange(calls, &mut connection, address, &search).await?;
        locked(&self.idle).push(connection);
        self.state.work();
        Ok(())
    }

    async fn ask_metadata(&self, calls: &mut Calls, ask: &Ask) -> Result<Message> {
        let peer = self.state.flags.metadata;
        let mut connection = connect(calls, peer).await?;
        exchange(calls, &mut connection, peer, ask).await
    }

    async fn resolve(self: &Arc<Self>, calls: &mut Calls, n: u64) -> Result<SocketAddr> {
        let start = unix_ns();
        let (server, name) = (Arc::clone(self), self.state.name(n));
        let resolved = tokio::task::spawn_blocking(move || (server.state.resolve(&name), name));
        let (address, name) = resolved.await?;
        calls.lookup(name, (start, unix_ns()));
        address
    }
}

async fn connect(calls: &mut Calls, peer: SocketAddr) -> Result<Connection> {
    let start = unix_ns();
    let stream = TcpStream::connect(peer).await.with_context(|| format!("connect to {peer}"))?;
    let end = unix_ns();
    stream.set_nodelay(true)?;
    calls.connect(Ends { local_port: stream.local_addr()?.port(), peer }, (start, end));
    Ok(Connection::new(stream))
}

async fn exchange(
    calls: &mut Calls,
    connection: &mut Connection,
    peer: SocketAddr,
    ask: &Ask,
) -> Result<Message> {
    let start = unix_ns();
    connection.stream.write_all(&ask.bytes).await.with_context(|| format!("ask {peer}"))?;
    let answer = connection.receive().await?.with_context(|| format!("{peer} did not answer"))?;
    let local_port = connection.stream.local_addr()?.port();
    calls.exchange(ask, Ends { local_port, peer }, (start, answer.last));
    let status = answer.message.status()?;
    ensure!(status == 200, "{peer} answered {status}");
    Ok(answer.message)
}

/// A connection on which messages follow each other.
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    /// Writes an answer with a pause in the middle.
    async fn answer(&mut self, bytes: &[u8], pause: Duration) -> std::io::Result<()> {
        let (first, rest) = pieces(bytes, pause);
        self.stream.write_all(first).await?;
        if rest.is_empty() {
            return Ok(());
        }
        tokio::time::sleep(pause).await;
        self.stream.write_all(rest).await
    }

    /// Reads one message; `None` when the other side ended the connection between messages.
    async fn receive(&mut self) -> Result<Option<Received>> {
        let mut first = None;
        loop {
            let count = self.stream.read_buf(&mut self.buffer).await.context("read")?;
            let last = unix_ns();
            if count == 0 && self.buffer.is_empty() {
                return Ok(None);
            } else if count == 0 {
                bail!("the connection ended within a message");
            }
            let first = *first.get_or_insert(last);
            if let Some(message) = take(&mut self.buffer)? {
                return Ok(Some(Received { message, first, last }));
            }
        }
    }
}
