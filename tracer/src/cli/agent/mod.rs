//! `tracer agent`: the DaemonSet or sidecar process.

mod api;
mod args;
mod exporter;
mod history;
mod layers;
mod memory;
mod otlp;
mod recent;
mod server;

use std::{
    env,
    net::TcpListener,
    process::ExitCode,
    sync::{Arc, atomic::AtomicBool, mpsc::Receiver},
};

use anyhow::Context as _;
use signal_hook::{consts::SIGHUP, flag};

pub(super) use self::args::Args;
use self::{
    exporter::Exporter,
    memory::Memory,
    otlp::Otlp,
    server::{CaptureQuery, Query, Question, Security, Server},
};
use super::{
    FAILURE,
    capture::Captures,
    options::{begin, ready},
    stop::Stop,
};
use crate::{
    config::Config,
    export::json,
    finding::{Period, Policy},
    session::{Session, TICK},
    source::live::{boot_time, pod_cgroup::Places, wall_clock},
};

/// Traces and serves until stopped. Its messages are its log.
pub(super) fn run(args: &Args) -> ExitCode {
    let configured =
        args.configured.load().and_then(|config| layered(args, &config).map(|args| (args, config)));
    let (args, config) = match configured {
        Ok(configured) => configured,
        Err(error) => {
            eprintln!("tracer: {error:#}");
            return ExitCode::from(FAILURE);
        }
    };
    if args.check_config {
        eprintln!("tracer: the configuration can be used");
        return ExitCode::SUCCESS;
    }
    args.logging.begin();
    match trace(&args, &config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::from(FAILURE)
        }
    }
}

/// The settings of flags, environment and file together, which fit each other.
fn layered(args: &Args, config: &Config) -> anyhow::Result<Args> {
    // The command's name stands where a program's would.
    let file = args.configured.path().map(|path| path.display().to_string()).unwrap_or_default();
    let layered = layers::with_file(&config.agent, env::args_os().skip(1))
        .with_context(|| format!("cannot use the configuration {file}"))?;
    layered.check().context("cannot use the settings")?;
    Ok(layered)
}

fn trace(args: &Args, config: &Config) -> anyhow::Result<()> {
    let policy = Policy { period: Period::LastMinute, settings: Arc::new(config.findings.clone()) };
    // Before anything is attached: what cannot work must not cost that.
    let security = Security::load(args.files())?;
    let listener = TcpListener::bind(args.listen)
        .with_context(|| format!("cannot listen on {}: choose another address with --listen", args.listen))?;
    let mut exporter = Exporter::new(&policy.settings, args.metrics_pod_label, Otlp::start(&args.otlp)?)?;
    let stop = Stop::after(None)?;
    let reload = Arc::new(AtomicBool::new(false));
    flag::register(SIGHUP, Arc::clone(&reload)).context("cannot handle signals")?;
    let options = args.options()?;
    let mut session = begin(&options, policy)?;
    if let Some(own) = Places(options.cgroups.clone()).own_cgroup() {
        session.leave_out(own);
    }
    let (server, queries, captures_asked) = Server::start(listener, security, reload)?;
    let mut captures = Captures::new(options.snap_length, options.metadata.clone());
    tracing::info!("{}", ready(&options, &session));
    while !stop.is_now() {
        session.source().wait(TICK)?;
        captures.tick(&mut session, &mut exporter);
        exporter.tick();
        session.forget_gone(args.pod_retention, &mut exporter);
        exporter.captures_dropped(captures.readers_dropped);
        answer(&queries, &session, &mut exporter);
        for CaptureQuery { asked, reply } in captures_asked.try_iter().take(1) {
            // Who asked may be gone by now.
            drop(reply.send(captures.begin(&mut session, &asked)));
        }
    }
    server.close();
    session.finish(&mut exporter);
    exporter.finish();
    // Who asked last gets the last numbers.
    answer(&queries, &session, &mut exporter);
    drop(queries);
    let accounting = session.accounting()?;
    tracing::info!(
        "stopped: {} events, {} dropped",
        accounting.emitted,
        accounting.dropped.values().sum::<u64>()
    );
    server.wait();
    Ok(())
}

/// What waits, and not what comes meanwhile: who asks all the time must not keep the loop from tracing.
fn waiting(queries: &Receiver<Query>) -> impl Iterator<Item = Query> {
    queries.try_iter().take(server::QUEUE)
}

/// Answers what the server was asked since the last tick. Who asked may be gone by now: that is its affair.
fn answer(queries: &Receiver<Query>, session: &Session, exporter: &mut Exporter) {
    for Query { question, reply } in waiting(queries) {
        let answer = match question {
            Question::Alive => Ok("ok\n".to_owned()),
            Question::Metrics => exporter.metrics(session),
            Question::Summary => summary(session),
            Question::Pods(_) | Question::Requests(_) | Question::Findings(_) => {
                drop(reply.send(told(&question, session, &mut exporter.memory)));
                // These can be long: the ring is drained before the next one.
                return;
            }
        };
        drop(reply.send(answer));
    }
}

fn told(question: &Question, session: &Session, memory: &mut Memory) -> anyhow::Result<String> {
    let (now, clock) = (boot_time(), wall_clock());
    match question {
        Question::Pods(wanted) => Ok(api::pods(&session.summary()?, memory, wanted, now, clock)),
        Question::Requests(wanted) => Ok(api::requests(memory, wanted, now, clock)),
        Question::Findings(wanted) => Ok(api::findings(&session.summary()?, wanted, clock)),
        Question::Alive | Question::Metrics | Question::Summary => summary(session),
    }
}

fn summary(session: &Session) -> anyhow::Result<String> {
    Ok(format!("{:#}\n", json::summary(&session.summary()?, wall_clock())))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use tokio::sync::oneshot;

    use super::*;

    #[test]
    fn who_asks_all_the_time_gets_no_more_than_a_queue_of_answers() {
        let (sender, queries) = sync_channel(server::QUEUE);
        let ask = || {
            let reply = oneshot::channel().0;
            sender.try_send(Query { question: Question::Alive, reply }).is_ok()
        };
        while ask() {}
        let answered = waiting(&queries).take(10 * server::QUEUE).inspect(|_| assert!(ask())).count();
        assert_eq!(answered, server::QUEUE);
    }
}
