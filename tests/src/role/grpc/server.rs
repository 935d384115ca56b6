//! The service.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context as Task, Poll};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use tonic::body::Body;
use tonic::codegen::tokio_stream::{self as stream, StreamExt as _};
use tonic::codegen::{Bytes, http};
use tonic::server::{ClientStreamingService, Grpc, ServerStreamingService, StreamingService, UnaryService};
use tonic::{Code, Request, Response, Status, Streaming};

use super::codec::Plain;
use super::{Ask, Kind, MESSAGE_LIMIT};

/// Between the messages of a stream.
const PACE: Duration = Duration::from_millis(5);

/// Flags of the service.
#[derive(Args)]
pub struct Server {
    /// Where it listens
    #[arg(long)]
    listen: SocketAddr,
    /// Not written: its clients keep the log
    #[arg(long)]
    log: Option<PathBuf>,
    /// Text inside a secret, which each answer has in its metadata then
    #[arg(long)]
    canary: Option<String>,
}

impl Server {
    /// Serves until it is killed.
    pub fn run(&self) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let cookie = self.canary.as_ref().map(|canary| format!("session={canary}-grpc-cookie").parse());
        let service = Service { cookie: cookie.transpose().context("a cookie")? };
        let served = runtime.block_on(tonic::transport::Server::builder().serve(self.listen, service));
        served.with_context(|| format!("serve on {}", self.listen))
    }
}

/// Answers every call.
#[derive(Clone)]
struct Service {
    /// What each answer sets.
    cookie: Option<http::HeaderValue>,
}

/// What the answers are.
struct Answers;

type Answer<T> = Pin<Box<dyn Future<Output = Result<Response<T>, Status>> + Send>>;
type Messages = Pin<Box<dyn stream::Stream<Item = Result<Bytes, Status>> + Send>>;

impl tonic::codegen::Service<http::Request<Body>> for Service {
    type Response = http::Response<Body>;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _task: &mut Task<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let cookie = self.cookie.clone();
        Box::pin(async move {
            let mut grpc =
                Grpc::new(Plain).apply_max_message_size_config(Some(MESSAGE_LIMIT), Some(MESSAGE_LIMIT));
            let mut answer = match Kind::of(request.uri().path()) {
                Some(Kind::Unary) => grpc.unary(Answers, request).await,
                Some(Kind::ServerStream) => grpc.server_streaming(Answers, request).await,
                Some(Kind::ClientStream) => grpc.client_streaming(Answers, request).await,
                Some(Kind::Both) => grpc.streaming(Answers, request).await,
                None => Status::unimplemented("no such method").into_http(),
            };
            answer.headers_mut().extend(cookie.map(|cookie| (http::header::SET_COOKIE, cookie)));
            Ok(answer)
        })
    }
}

impl UnaryService<Bytes> for Answers {
    type Response = Bytes;
    type Future = Answer<Bytes>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        Box::pin(async move { one(asked(request.get_ref())?).await })
    }
}

impl ClientStreamingService<Bytes> for Answers {
    type Response = Bytes;
    type Future = Answer<Bytes>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        Box::pin(async move {
            let (mut messages, mut last) = (request.into_inner(), None);
            while let Some(message) = messages.next().await {
                last = Some(message?);
            }
            one(asked(&last.unwrap_or_default())?).await
        })
    }
}

impl ServerStreamingService<Bytes> for Answers {
    type Response = Bytes;
    type ResponseStream = Messages;
    type Future = Answer<Messages>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        Box::pin(async move { many(asked(request.get_ref())?).await })
    }
}

impl StreamingService<Bytes> for Answers {
    type Response = Bytes;
    type ResponseStream = Messages;
    type Future = Answer<Messages>;

    /// Answers each message as it comes.
    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        let answers = request.into_inner().then(|message| async {
            let ask = asked(&message?)?;
            wait(ask).await;
            end(ask)?;
            Ok(message_of(ask))
        });
        let answers: Messages = Box::pin(answers);
        Box::pin(async { Ok(Response::new(answers)) })
    }
}

fn asked(message: &[u8]) -> Result<Ask, Status> {
    Ask::read(message).ok_or_else(|| Status::invalid_argument("a message that asks for nothing"))
}

async fn wait(ask: Ask) {
    tokio::time::sleep(Duration::from_millis(ask.wait.into())).await;
}

fn message_of(ask: Ask) -> Bytes {
    vec![0; ask.size as usize].into()
}

fn end(ask: Ask) -> Result<(), Status> {
    if ask.status == 0 {
        return Ok(());
    }
    Err(Status::new(Code::from(ask.status.cast_signed()), "as asked for"))
}

async fn one(ask: Ask) -> Result<Response<Bytes>, Status> {
    wait(ask).await;
    end(ask)?;
    Ok(Response::new(message_of(ask)))
}

async fn many(ask: Ask) -> Result<Response<Messages>, Status> {
    wait(ask).await;
    let answers = (0..ask.messages).map(move |_| Ok(message_of(ask))).chain(end(ask).err().map(Err));
    let paced = stream::iter(answers).then(|answer| async {
        tokio::time::sleep(PACE).await;
        answer
    });
    Ok(Response::new(Box::pin(paced)))
}
