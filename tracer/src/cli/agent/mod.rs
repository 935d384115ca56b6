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
    configured::Configured,
    naming::Naming,
    options::{Target, start},
    stop::Stop,
};
use crate::{
    export::json,
    finding::Period,
    session::{Session, TICK},
    source::live::wall_clock,
};

/// Arguments of `tracer agent`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    naming: Naming,
    #[command(flatten)]
    configured: Configured,
    /// Say whether the configuration can be used, and end
    #[arg(long)]
    check_config: bool,
    /// Address to serve /metrics, /healthz, /readyz and /api/v1/summary on
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9464", env = "TRACER_LISTEN")]
    listen: SocketAddr,
}

/// Traces and serves until stopped.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let policy = args.configured.policy(Period::LastMinute)?;
    if args.check_config {
        eprintln!("tracer: the configuration can be used");
        return Ok(());
    }
    // The port first: an occupied one must not cost an attach.
    let listener = TcpListener::bind(args.listen)
        .with_context(|| format!("cannot listen on {}: choose another address with --listen", args.listen))?;
    let mut exporter = Exporter::new(&policy.settings)?;
    let mut session = start(&args.target.options(0)?, policy, &args.naming)?;
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

/// What waits, and not what comes meanwhile: who asks all the time must not keep the loop from tracing.
fn waiting(queries: &Receiver<Query>) -> impl Iterator<Item = Query> {
    queries.try_iter().take(server::QUEUE)
}

/// Answers what the server was asked since the last tick. Who asked may be gone by now: that is its affair.
fn answer(queries: &Receiver<Query>, session: &Session, exporter: &mut Exporter) {
    for query in waiting(queries) {
        match query {
            Query::Alive(reply) => drop(reply.send(())),
            Query::Metrics(reply) => drop(reply.send(exporter.metrics(session))),
            Query::Summary(reply) => {
                let summary = session.summary().map_err(anyhow::Error::from);
                drop(
                    reply.send(
                        summary.map(|summary| format!("{:#}\n", json::summary(&summary, wall_clock()))),
                    ),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use tokio::sync::oneshot;

    use super::*;

    #[test]
    fn who_asks_all_the_time_gets_no_more_than_a_queue_of_answers() {
        let (sender, queries) = sync_channel(server::QUEUE);
        let ask = || sender.try_send(Query::Alive(oneshot::channel().0)).is_ok();
        while ask() {}
        let answered = waiting(&queries).take(10 * server::QUEUE).inspect(|_| assert!(ask())).count();
        assert_eq!(answered, server::QUEUE);
    }
}
