//! The HTTP endpoint. The server owns no data: it asks the tracing loop, so that an answer also says that the
//! loop turns. It reads little from each client, and waits for none for long.

mod auth;
mod capture;
mod connection;
mod routes;
mod security;
mod slots;
mod web;

use std::{
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use anyhow::Context as _;
use tokio::{
    sync::{oneshot, watch},
    time::{interval, sleep},
};

pub(super) use self::{
    capture::CaptureQuery,
    security::{Files, Security},
};
use self::{connection::Door, slots::Slots};
use super::api::Wanted;

/// Queries that wait at once; beyond it the answer is 503.
pub(super) const QUEUE: usize = 64;
/// How often the files for TLS and users are looked at.
const LOOK_AT_FILES: Duration = Duration::from_secs(1);
/// How long answers may still take when the agent ends.
const FAREWELL: Duration = Duration::from_millis(500);

/// What the tracing loop can be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// Whether it turns.
    Alive,
    /// The metrics.
    Metrics,
    /// The summary.
    Summary,
    /// The pods with their breakdowns over time.
    Pods(Wanted),
    /// The slowest requests.
    Requests(Wanted),
    /// The open findings.
    Findings(Wanted),
}

/// A question, and who asked.
pub(super) struct Query {
    /// What is asked.
    pub(super) question: Question,
    /// Where the answer goes.
    pub(super) reply: oneshot::Sender<anyhow::Result<String>>,
}

/// The server's thread.
pub(super) struct Server {
    stop: watch::Sender<bool>,
    ended: Receiver<()>,
}

impl Server {
    /// Serves until told to end; the queries come out of the receivers. When `reload` turns true, the files of `security`
    /// are read again.
    pub(super) fn start(
        listener: TcpListener,
        security: Security,
        reload: Arc<AtomicBool>,
    ) -> anyhow::Result<(Self, Receiver<Query>, Receiver<CaptureQuery>)> {
        let (queries, asked) = sync_channel(QUEUE);
        let (captures, captures_asked) = sync_channel(1);
        let (stop, stopped) = watch::channel(false);
        let (end, ended) = sync_channel::<()>(1);
        listener.set_nonblocking(true).context("cannot make the listener non-blocking")?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(auth::CHECKS)
            .build()
            .context("cannot start the HTTP server")?;
        let serve = move || {
            if let Err(error) =
                runtime.block_on(serve(listener, security, reload, (queries, captures), stopped))
            {
                tracing::error!("the HTTP server ended: {error}");
            }
            runtime.shutdown_background();
            drop(end);
        };
        thread::Builder::new()
            .name("http".to_owned())
            .spawn(serve)
            .context("cannot start the HTTP server's thread")?;
        Ok((Self { stop, ended }, asked, captures_asked))
    }

    /// Closes the listener; answers that are being sent go on.
    pub(super) fn close(&self) {
        let _ended_already = self.stop.send(true);
    }

    /// Waits until the last answer is sent, but not for long.
    pub(super) fn wait(self) {
        if matches!(self.ended.recv_timeout(FAREWELL * 2), Err(RecvTimeoutError::Timeout)) {
            tracing::warn!("the HTTP server did not end in time");
        }
    }
}

async fn serve(
    listener: TcpListener,
    security: Security,
    reload: Arc<AtomicBool>,
    (queries, captures): (SyncSender<Query>, SyncSender<CaptureQuery>),
    stopped: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let security = Arc::new(security);
    let door = Door { router: routes::router(queries, captures, Arc::clone(&security)), security, stopped };
    tokio::spawn(look_at_files(Arc::clone(&door.security), reload));
    let slots = Slots::default();
    accept(&listener, &door, &slots).await;
    drop(listener);
    let mut left = FAREWELL;
    while slots.taken() > 0 && !left.is_zero() {
        sleep(FAREWELL / 50).await;
        left = left.saturating_sub(FAREWELL / 50);
    }
    Ok(())
}

async fn accept(listener: &tokio::net::TcpListener, door: &Door, slots: &Slots) {
    let mut stopped = door.stopped.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.changed() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                if let Some(slot) = slots.take(peer.ip()) {
                    drop(tokio::spawn(door.clone().receive(stream, slot)));
                } else {
                    tracing::debug!(%peer, "closed a connection: too many are open");
                }
            }
            Err(error) => {
                // Out of descriptors: some connection ends soon.
                tracing::warn!("cannot accept a connection: {error}");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn look_at_files(security: Arc<Security>, reload: Arc<AtomicBool>) {
    let mut ticks = interval(LOOK_AT_FILES);
    loop {
        ticks.tick().await;
        security.renew(reload.swap(false, Ordering::Relaxed));
    }
}
