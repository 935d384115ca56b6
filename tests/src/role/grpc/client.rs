//! The client: many calls at once, all on one connection.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use tokio::time::Instant;
use tonic::codegen::Bytes;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::tokio_stream::{self as stream, StreamExt as _};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming, client::Grpc};

use super::codec::Plain;
use super::{Ask, CallLine, Kind, MESSAGE_LIMIT};
use crate::clock::unix_ns;
use crate::log::Log;

/// Between the beginnings of calls: they last half a second and more, so that more than 64 go on at once, and
/// the client has time to date each of them well.
const PACE: Duration = Duration::from_millis(10);

/// Before each message of a stream.
const PAUSE: Duration = Duration::from_millis(2);

/// Flags of the client.
#[derive(Args)]
pub struct Client {
    /// The service
    #[arg(long)]
    target: SocketAddr,
    /// Where each call is logged
    #[arg(long)]
    log: PathBuf,
    /// Calls in all
    #[arg(long, default_value_t = 640)]
    calls: u64,
    /// No message of more than 100 kB
    #[arg(long)]
    small: bool,
    /// Text inside secrets, which are sent then: in metadata, in paths' query strings and in messages
    #[arg(long)]
    canary: Option<String>,
}

/// One call.
#[derive(Clone, Copy)]
struct Plan {
    n: u64,
    kind: Kind,
    /// Messages, when the client streams, and their size.
    messages: u32,
    size: usize,
    ask: Ask,
}

impl Plan {
    /// Messages of 1 B to 8 MB both ways, some of them errors; always the same for the same number.
    fn of(n: u64, small: bool) -> Self {
        let pick = |salt: u64, from: &[u32]| {
            // Fibonacci hashing (Knuth): neighbours get different ones.
            let hash = (n * 4 + salt).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
            let at = usize::try_from(hash).unwrap_or(0) % from.len();
            from[at]
        };
        let sizes = [1, 16, 100, 1_000, 10_000, 100_000];
        let (mut size, mut answer) = (pick(0, &sizes), pick(1, &sizes));
        let mut messages = 3;
        match n % 160 {
            40 if !small => answer = 8_000_000,
            119 if !small => (size, messages) = (8_000_000, 1),
            _ => {}
        }
        let kind = Kind::ALL[usize::try_from(n % 4).unwrap_or(0)];
        let status = if n % 10 == 3 { pick(2, &[3, 5, 7, 13, 14, 16]) } else { 0 };
        let ask = Ask { wait: 500 + pick(3, &[0, 10, 40, 90, 190]), messages: 3, size: answer, status };
        Self { n, kind, messages, size: size as usize, ask }
    }
}

impl Client {
    /// Makes the calls.
    pub fn run(&self) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(self.calls())
    }

    /// Each call begins at its time, whatever became of those before it.
    async fn calls(&self) -> Result<()> {
        let log = Arc::new(Log::create(&self.log)?);
        let endpoint = Endpoint::from_shared(format!("http://{}", self.target))?;
        let channel = endpoint.connect().await.with_context(|| format!("connect to {}", self.target))?;
        let (began, mut tasks) = (Instant::now(), Vec::new());
        for n in 1..=self.calls {
            tokio::time::sleep_until(began + PACE * u32::try_from(n)?).await;
            let (log, channel, plan) = (Arc::clone(&log), channel.clone(), Plan::of(n, self.small));
            let secrets = Secrets { canary: self.canary.clone() };
            tasks.push(tokio::spawn(async move { log.write(&call(channel, plan, &secrets).await) }));
        }
        for task in tasks {
            task.await.context("a caller")?;
        }
        Ok(())
    }
}

/// What is secret in a call, if anything is.
struct Secrets {
    canary: Option<String>,
}

impl Secrets {
    fn path(&self, path: String) -> Result<PathAndQuery, Status> {
        let path = self.canary.iter().fold(path, |path, canary| format!("{path}?token={canary}-grpc-query"));
        PathAndQuery::try_from(path).map_err(|_| Status::internal("a path"))
    }

    fn message(&self, message: Bytes) -> Bytes {
        let Some(canary) = &self.canary else { return message };
        [&message, format!("{canary}-grpc-message").as_bytes()].concat().into()
    }

    fn request<T>(&self, message: T) -> Result<Request<T>, Status> {
        let mut request = Request::new(message);
        if let Some(canary) = &self.canary {
            let value = format!("Bearer {canary}-grpc-authorization");
            let value = value.parse().map_err(|_| Status::internal("a value of metadata"))?;
            request.metadata_mut().insert("authorization", value);
        }
        Ok(request)
    }
}

/// Makes one call and reads all of its answer.
async fn call(channel: Channel, plan: Plan, secrets: &Secrets) -> CallLine {
    let mut received = 0;
    let message = secrets.message(plan.ask.message(plan.size));
    let streams = matches!(plan.kind, Kind::ClientStream | Kind::Both);
    let messages = if streams { u64::from(plan.messages) } else { 1 };
    let sent = message.len() as u64 * messages;
    let start = unix_ns();
    let outcome = answered(channel, plan, secrets, message, &mut received).await;
    let status = outcome.err().map_or(0, |status| status.code() as u16);
    CallLine { n: plan.n, kind: plan.kind, status, start, end: unix_ns(), sent, received }
}

async fn answered(
    channel: Channel,
    plan: Plan,
    secrets: &Secrets,
    message: Bytes,
    received: &mut u64,
) -> Result<(), Status> {
    let mut grpc =
        Grpc::new(channel).max_decoding_message_size(MESSAGE_LIMIT).max_encoding_message_size(MESSAGE_LIMIT);
    grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let path = secrets.path(plan.kind.path(plan.n))?;
    // The head leaves before a message is encoded, which takes milliseconds for a large one.
    let messages = stream::iter(vec![message.clone(); plan.messages as usize]).then(|message| async {
        tokio::time::sleep(PAUSE).await;
        message
    });
    let messages = Box::pin(messages);
    match plan.kind {
        Kind::Unary => {
            let answer = grpc.unary(secrets.request(message)?, path, Plain).await?;
            *received = answer.into_inner().len() as u64;
        }
        Kind::ClientStream => {
            let answer = grpc.client_streaming(secrets.request(messages)?, path, Plain).await?;
            *received = answer.into_inner().len() as u64;
        }
        Kind::ServerStream => {
            let answers = grpc.server_streaming(secrets.request(message)?, path, Plain).await?;
            read(answers.into_inner(), received).await?;
        }
        Kind::Both => {
            let answers = grpc.streaming(secrets.request(messages)?, path, Plain).await?;
            read(answers.into_inner(), received).await?;
        }
    }
    Ok(())
}

async fn read(mut answers: Streaming<Bytes>, received: &mut u64) -> Result<(), Status> {
    while let Some(message) = answers.next().await {
        *received += message?.len() as u64;
    }
    Ok(())
}
