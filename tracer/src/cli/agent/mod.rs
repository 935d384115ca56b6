//! `tracer agent`: the DaemonSet or sidecar process.

mod exporter;
mod server;

use std::{
    net::{SocketAddr, TcpListener},
    sync::mpsc::Receiver,
};

use anyhow::Context as _;

use self::{exporter::Exporter, server::Query};
use super::{
    options::{Target, start},
    stop::Stop,
};
use crate::{
    export::json,
    finding::Period,
    session::{Session, TICK},
};

/// Arguments of `tracer agent`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    target: Target,
    /// Address to serve /metrics, /healthz, /readyz and /api/v1/summary on
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9464", env = "TRACER_LISTEN")]
    listen: SocketAddr,
}

/// Traces and serves until stopped.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    // The port first: an occupied one must not cost an attach.
    let listener = TcpListener::bind(args.listen)
        .with_context(|| format!("cannot listen on {}: choose another address with --listen", args.listen))?;
    let mut exporter = Exporter::new()?;
    let mut session = start(&args.target.options(0)?, Period::LastMinute)?;
    let queries = server::start(listener)?;
    let stop = Stop::after(None)?;
    while !stop.is_now() {
        session.source().wait(TICK)?;
        session.tick(&mut exporter);
        answer(&queries, &session, &mut exporter);
    }
    session.finish(&mut exporter);
    let accounting = session.accounting()?;
    eprintln!(
        "tracer: stopped: {} events, {} dropped",
        accounting.emitted,
        accounting.dropped.values().sum::<u64>()
    );
    Ok(())
}

/// Answers what the server was asked since the last tick. Who asked may be gone by now: that is its affair.
fn answer(queries: &Receiver<Query>, session: &Session, exporter: &mut Exporter) {
    while let Ok(query) = queries.try_recv() {
        match query {
            Query::Alive(reply) => drop(reply.send(())),
            Query::Metrics(reply) => drop(reply.send(exporter.metrics(session))),
            Query::Summary(reply) => {
                let summary = session.summary().map_err(anyhow::Error::from);
                drop(reply.send(summary.map(|summary| format!("{:#}\n", json::summary(&summary)))));
            }
        }
    }
}
