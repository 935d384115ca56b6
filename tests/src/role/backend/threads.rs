//! The backend with a thread per connection, which makes its calls itself and waits for them.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::state::{Ask, Calls, Ends, Served, State, number, thread_id};
use crate::clock::unix_ns;
use crate::http::{Attempt, Connection, Message, Received, Reply, Sent, Service, serve};

/// Serves for ever.
pub(super) fn run(state: State) -> Result<()> {
    let address = state.flags.listen;
    let listener = TcpListener::bind(address).with_context(|| format!("listen on {address}"))?;
    serve(&listener, &Arc::new(state))
}

/// What a connection's thread keeps.
pub(super) struct Worker {
    tid: u32,
    elastic: Option<Connection>,
    served: Option<Served>,
}

impl Service for State {
    type Connection = Worker;

    fn connected(&self, _peer: SocketAddr) -> Worker {
        Worker { tid: thread_id(), elastic: None, served: None }
    }

    fn answer(&self, worker: &mut Worker, request: &Received) -> Reply {
        let (n, mut calls) = (number(request), Calls::default());
        let outcome = self.item(n, &mut worker.elastic, &mut calls);
        if outcome.is_err() {
            worker.elastic = None;
        }
        let reply = self.reply(n, outcome);
        worker.served = Some(Served { n, tid: worker.tid, status: reply.status, calls });
        reply
    }

    fn answered(&self, worker: &mut Worker, request: &Received, sent: Sent) {
        if let Some(served) = worker.served.take() {
            self.write(request, sent, served);
        }
    }
}

impl State {
    fn item(&self, n: u64, elastic: &mut Option<Connection>, calls: &mut Calls) -> Result<()> {
        if self.must_refresh() {
            if let Some(token) = self.token_request() {
                self.ask_metadata(calls, &token)?;
            }
            let [role, credentials] = self.credentials_requests();
            self.ask_metadata(calls, &role)?;
            self.keep_credentials(&self.ask_metadata(calls, &credentials)?)?;
        }
        let address = match self.known_address() {
            Some(address) => address,
            None => self.resolve_logged(calls, n)?,
        };
        let connection = match elastic {
            Some(open) => open,
            None => elastic.insert(self.connect_elastic(calls, address)?),
        };
        exchange(calls, connection, address, &self.search_request(n))?;
        self.work();
        Ok(())
    }

    /// Tries the addresses of servers that are gone, then the right one.
    fn connect_elastic(&self, calls: &mut Calls, address: SocketAddr) -> Result<Connection> {
        for &peer in &self.flags.stale {
            let attempt = Attempt::start(peer, Duration::from_millis(self.flags.connect_timeout));
            ensure!(attempt.outcome.is_err(), "{peer} is not stale at all");
            calls.connect(Ends { local_port: 0, peer }, attempt.times);
        }
        connect(calls, address)
    }

    fn ask_metadata(&self, calls: &mut Calls, ask: &Ask) -> Result<Message> {
        let peer = self.flags.metadata;
        let mut connection = connect(calls, peer)?;
        exchange(calls, &mut connection, peer, ask)
    }

    fn resolve_logged(&self, calls: &mut Calls, n: u64) -> Result<SocketAddr> {
        let (name, start) = (self.name(n), unix_ns());
        let address = self.resolve(&name)?;
        calls.lookup(name, (start, unix_ns()));
        Ok(address)
    }
}

fn connect(calls: &mut Calls, peer: SocketAddr) -> Result<Connection> {
    let attempt = Attempt::start(peer, Duration::from_secs(10));
    let connection = attempt.outcome?;
    calls.connect(Ends { local_port: connection.local_port()?, peer }, attempt.times);
    Ok(connection)
}

fn exchange(calls: &mut Calls, connection: &mut Connection, peer: SocketAddr, ask: &Ask) -> Result<Message> {
    let start = unix_ns();
    connection.send(&ask.bytes)?;
    let answer = connection.receive().with_context(|| format!("ask {peer}"))?;
    calls.exchange(ask, Ends { local_port: connection.local_port()?, peer }, (start, answer.last));
    let status = answer.message.status()?;
    ensure!(status == 200, "{peer} answered {status}");
    Ok(answer.message)
}
