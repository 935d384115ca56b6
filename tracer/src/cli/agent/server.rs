//! The HTTP endpoints. The server owns no data: it asks the tracing loop, so that an answer also says that the
//! loop turns.

use std::{
    net::TcpListener,
    sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    thread,
    time::Duration,
};

use anyhow::Context as _;
use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::{sync::oneshot, time::timeout};

use crate::export::prometheus;

/// Queries that wait at once; beyond it the answer is 503.
pub(super) const QUEUE: usize = 64;
/// How long the loop may take to answer before it counts as stuck. It turns twenty times a second.
const PATIENCE: Duration = Duration::from_secs(5);

/// A question to the tracing loop.
pub(super) enum Query {
    /// Does it turn?
    Alive(oneshot::Sender<()>),
    /// The metrics.
    Metrics(oneshot::Sender<anyhow::Result<String>>),
    /// The summary as JSON.
    Summary(oneshot::Sender<anyhow::Result<String>>),
}

type Loop = State<SyncSender<Query>>;

/// Serves on a thread of its own for as long as the process lives; the queries come out of the receiver.
pub(super) fn start(listener: TcpListener) -> anyhow::Result<Receiver<Query>> {
    let (sender, receiver) = sync_channel(QUEUE);
    listener.set_nonblocking(true).context("cannot make the listener non-blocking")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the HTTP server")?;
    thread::Builder::new()
        .name("http".to_owned())
        .spawn(move || {
            if let Err(error) = runtime.block_on(serve(listener, sender)) {
                tracing::error!("the HTTP server ended: {error}");
            }
        })
        .context("cannot start the HTTP server's thread")?;
    Ok(receiver)
}

async fn serve(listener: TcpListener, queries: SyncSender<Query>) -> std::io::Result<()> {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(alive))
        .route("/readyz", get(alive))
        .route("/api/v1/summary", get(summary))
        .with_state(queries);
    axum::serve(tokio::net::TcpListener::from_std(listener)?, router).await
}

async fn alive(queries: Loop) -> Response {
    match ask(queries, Query::Alive).await {
        Ok(()) => "ok\n".into_response(),
        Err(response) => *response,
    }
}

async fn metrics(queries: Loop) -> Response {
    text(queries, Query::Metrics, prometheus::CONTENT_TYPE).await
}

async fn summary(queries: Loop) -> Response {
    text(queries, Query::Summary, "application/json").await
}

async fn text(
    queries: Loop,
    query: fn(oneshot::Sender<anyhow::Result<String>>) -> Query,
    content_type: &'static str,
) -> Response {
    match ask(queries, query).await {
        Ok(Ok(text)) => ([(CONTENT_TYPE, content_type)], text).into_response(),
        Ok(Err(error)) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}\n")).into_response(),
        Err(response) => *response,
    }
}

/// Asks the loop; the error is the response to give when it does not answer.
async fn ask<T>(State(queries): Loop, query: fn(oneshot::Sender<T>) -> Query) -> Result<T, Box<Response>> {
    let unavailable =
        |why: &str| Box::new((StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response());
    let (reply, answer) = oneshot::channel();
    queries.try_send(query(reply)).map_err(|error| match error {
        TrySendError::Full(_) => unavailable("too many requests wait for the tracing loop"),
        TrySendError::Disconnected(_) => unavailable("tracing has ended"),
    })?;
    match timeout(PATIENCE, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) => Err(unavailable("tracing has ended")),
        Err(_) => Err(unavailable("the tracing loop does not turn")),
    }
}
