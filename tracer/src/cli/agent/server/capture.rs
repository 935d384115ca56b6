//! `/api/v1/capture`: a pcapng file that is made while it is read.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::mpsc::{SyncSender, TrySendError},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Query as Parameters, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use futures_core::Stream;
use tokio::{
    sync::{mpsc::Receiver, oneshot},
    time::timeout,
};

use crate::cli::capture::{Asked, Piece, Refusal};

/// How long the loop may take to begin.
const PATIENCE: Duration = Duration::from_secs(5);

/// A capture that is asked for, and who asked.
pub(in crate::cli::agent) struct CaptureQuery {
    /// What is asked for.
    pub(in crate::cli::agent) asked: Asked,
    /// Where the pieces come out.
    pub(in crate::cli::agent) reply: oneshot::Sender<Result<Receiver<Piece>, Refusal>>,
}

/// The route.
pub(super) fn router(captures: SyncSender<CaptureQuery>) -> Router {
    Router::new().route("/api/v1/capture", get(capture)).with_state(captures)
}

async fn capture(
    State(captures): State<SyncSender<CaptureQuery>>,
    Parameters(asked): Parameters<Asked>,
) -> Response {
    let refused = |status: StatusCode, why: &str| (status, format!("{why}\n")).into_response();
    let unavailable = |why: &str| refused(StatusCode::SERVICE_UNAVAILABLE, why);
    let (reply, answer) = oneshot::channel();
    match captures.try_send(CaptureQuery { asked, reply }) {
        Ok(()) => {}
        Err(TrySendError::Full(_)) => return unavailable("another capture is about to begin: one at a time"),
        Err(TrySendError::Disconnected(_)) => return unavailable("tracing has ended"),
    }
    match timeout(PATIENCE, answer).await {
        Ok(Ok(Ok(pieces))) => {
            ([(header::CONTENT_TYPE, "application/x-pcapng")], Body::from_stream(Pieces(pieces)))
                .into_response()
        }
        Ok(Ok(Err(refusal))) => refused(status(&refusal), &refusal.to_string()),
        Ok(Err(_)) => unavailable("tracing has ended"),
        Err(_) => unavailable("the tracing loop does not turn"),
    }
}

fn status(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::NotAllowed => StatusCode::FORBIDDEN,
        Refusal::Busy => StatusCode::CONFLICT,
        Refusal::Wrong(_) => StatusCode::BAD_REQUEST,
        Refusal::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The pieces as the body of an answer.
struct Pieces(Receiver<Piece>);

impl Stream for Pieces {
    type Item = Result<Piece, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context).map(|piece| piece.map(Ok))
    }
}
