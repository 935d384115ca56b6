//! Paths, and what is answered there.

use std::{
    sync::{
        Arc,
        mpsc::{SyncSender, TrySendError},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::{Query as Parameters, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::{sync::oneshot, time::timeout};

use super::{
    CaptureQuery, Query, Question, Security,
    auth::{Users, Verdict},
    capture, web,
};
use crate::{cli::agent::api::Wanted, export::prometheus};

/// How long the loop may take to answer before it counts as stuck. It turns twenty times a second.
const PATIENCE: Duration = Duration::from_secs(5);
/// What anybody may ask: probes have no password, and the answer says nothing else.
const OPEN: [&str; 2] = ["/healthz", "/readyz"];

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

type Loop = State<SyncSender<Query>>;

/// Everything that is served.
pub(super) fn router(
    queries: SyncSender<Query>,
    captures: SyncSender<CaptureQuery>,
    security: Arc<Security>,
) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(alive))
        .route("/readyz", get(alive))
        .route("/api/v1/summary", get(summary))
        .route("/api/v1/pods", get(pods))
        .route("/api/v1/requests", get(requests))
        .route("/api/v1/findings", get(findings))
        .with_state(queries)
        .merge(capture::router(captures))
        .merge(web::router())
        .layer(middleware::from_fn_with_state(security, guard))
}

async fn alive(queries: Loop) -> Response {
    ask(queries, Question::Alive, TEXT).await
}

async fn metrics(queries: Loop) -> Response {
    ask(queries, Question::Metrics, prometheus::CONTENT_TYPE).await
}

async fn summary(queries: Loop) -> Response {
    ask(queries, Question::Summary, JSON).await
}

async fn pods(queries: Loop, wanted: Parameters<Wanted>) -> Response {
    wanted_of(queries, wanted, Question::Pods).await
}

async fn requests(queries: Loop, wanted: Parameters<Wanted>) -> Response {
    wanted_of(queries, wanted, Question::Requests).await
}

async fn findings(queries: Loop, wanted: Parameters<Wanted>) -> Response {
    wanted_of(queries, wanted, Question::Findings).await
}

async fn wanted_of(
    queries: Loop,
    Parameters(wanted): Parameters<Wanted>,
    of: fn(Wanted) -> Question,
) -> Response {
    match wanted.wrong() {
        Some(why) => (StatusCode::BAD_REQUEST, format!("{why}\n")).into_response(),
        None => ask(queries, of(wanted), JSON).await,
    }
}

/// Asks the loop.
async fn ask(State(queries): Loop, question: Question, content_type: &'static str) -> Response {
    let unavailable = |why: &str| (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response();
    let (reply, answer) = oneshot::channel();
    match queries.try_send(Query { question, reply }) {
        Ok(()) => {}
        Err(TrySendError::Full(_)) => return unavailable("too many requests wait for the tracing loop"),
        Err(TrySendError::Disconnected(_)) => return unavailable("tracing has ended"),
    }
    match timeout(PATIENCE, answer).await {
        Ok(Ok(Ok(text))) => ([(header::CONTENT_TYPE, content_type)], text).into_response(),
        Ok(Ok(Err(error))) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}\n")).into_response(),
        Ok(Err(_)) => unavailable("tracing has ended"),
        Err(_) => unavailable("the tracing loop does not turn"),
    }
}

/// What holds for every request, before and after its route.
async fn guard(State(security): State<Arc<Security>>, request: Request, next: Next) -> Response {
    let is_open = OPEN.contains(&request.uri().path());
    let mut response = if has_body(request.headers()) {
        let why = "requests have no body here\n";
        (StatusCode::PAYLOAD_TOO_LARGE, [(header::CONNECTION, "close")], why).into_response()
    } else {
        let users = if is_open { None } else { security.users() };
        let said = request.headers().get(header::AUTHORIZATION).cloned();
        match refused(users.as_deref(), said.as_ref()).await {
            Some(refusal) => refusal,
            None => next.run(request).await,
        }
    };
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

async fn refused(users: Option<&Users>, said: Option<&HeaderValue>) -> Option<Response> {
    match users?.check(said).await {
        Verdict::Known => None,
        Verdict::Busy => {
            Some((StatusCode::SERVICE_UNAVAILABLE, "too many passwords are being checked\n").into_response())
        }
        Verdict::Unknown => {
            let how = [(header::WWW_AUTHENTICATE, "Basic realm=\"tracer\", charset=\"UTF-8\"")];
            Some((StatusCode::UNAUTHORIZED, how, "user and password are needed\n").into_response())
        }
    }
}

fn has_body(headers: &HeaderMap) -> bool {
    let length = headers.get(header::CONTENT_LENGTH);
    headers.contains_key(header::TRANSFER_ENCODING) || length.is_some_and(|length| length != "0")
}
