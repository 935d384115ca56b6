//! A client that goes on at a steady rate: unary calls to a service that restarts now and then, streams of another one;
//! all calls to one service share a connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use tonic::codegen::Bytes;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::tokio_stream::{self as stream, StreamExt as _};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status, client::Grpc};

use super::codec::Plain;
use super::{Ask, Kind};
use crate::role::steady::{Common, Counts, Pace};

/// What the service that restarts is asked.
const GET: &str = "/items.v1.Items/Get";
/// Streams until their connection is renewed.
const RENEW: u64 = 300;
/// One stream in so many is a subscription, with messages for ten seconds.
const SUBSCRIPTION: u64 = 40;
/// Tries of one call, and the pause between them: longer than a server takes to restart.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(100);
/// Longer than any answer takes.
const DEADLINE: Duration = Duration::from_secs(30);

/// Flags of the client.
#[derive(Args)]
pub struct Steady {
    /// The service that answers unary calls, and restarts
    #[arg(long)]
    items: SocketAddr,
    /// The service that answers streams
    #[arg(long)]
    feed: SocketAddr,
    #[command(flatten)]
    common: Common,
}

impl Steady {
    /// Calls until it is killed.
    pub fn run(&self) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(async {
            let counts = Counts::written_to(&self.common.count)?;
            let streams = tokio::spawn(stream_on(self.feed, self.common.clone(), counts.clone()));
            call_on(self.items, &self.common, &counts).await?;
            streams.await?
        })
    }
}

/// Unary calls, each at its time, whatever became of those before it.
async fn call_on(items: SocketAddr, common: &Common, counts: &Counts) -> Result<()> {
    let channel = lazily(items)?;
    let mut pace = Pace::new(common.rate * 0.85, common.seed);
    loop {
        let (wait, random) = pace.step();
        tokio::time::sleep(wait).await;
        let (channel, counts) = (channel.clone(), counts.clone());
        tokio::spawn(async move {
            let message = Bytes::from(format!("item-{}", random % 1000));
            let outcome = persist(&channel, GET, message, &counts).await;
            counts.add("a unary call", &outcome.map_err(anyhow::Error::from));
        });
    }
}

/// Streams of all kinds, and unary calls that fail as they should.
async fn stream_on(feed: SocketAddr, common: Common, counts: Counts) -> Result<()> {
    let mut channel = lazily(feed)?;
    let mut pace = Pace::new(common.rate * 0.15, common.seed ^ 1);
    for n in 1_u64.. {
        let (wait, random) = pace.step();
        tokio::time::sleep(wait).await;
        if n.is_multiple_of(RENEW) {
            channel = lazily(feed)?;
        }
        let (channel, counts) = (channel.clone(), counts.clone());
        tokio::spawn(async move {
            let kind = Kind::ALL[usize::try_from(n % 4).unwrap_or(0)];
            let outcome = tokio::time::timeout(DEADLINE, one(channel, kind, random)).await;
            let outcome = outcome.unwrap_or_else(|_| Err(Status::deadline_exceeded("no end of a stream")));
            counts.add("a stream", &outcome.map_err(anyhow::Error::from));
        });
    }
    Ok(())
}

fn lazily(server: SocketAddr) -> Result<Channel> {
    Ok(Endpoint::from_shared(format!("http://{server}"))?.timeout(DEADLINE).connect_lazy())
}

/// Calls until there is an answer, as clients do that wait until a server is ready.
pub(super) async fn persist(
    channel: &Channel,
    path: &'static str,
    message: Bytes,
    counts: &Counts,
) -> Result<Bytes, Status> {
    let mut outcome = unary(channel, path, message.clone()).await;
    for _ in 1..TRIES {
        match &outcome {
            // A server that ends cancels what comes between its GOAWAY and its end.
            Err(status) if matches!(status.code(), Code::Unavailable | Code::Cancelled | Code::Unknown) => {}
            _ => break,
        }
        counts.again();
        tokio::time::sleep(PAUSE).await;
        outcome = unary(channel, path, message.clone()).await;
    }
    outcome
}

async fn unary(channel: &Channel, path: &'static str, message: Bytes) -> Result<Bytes, Status> {
    let mut grpc = ready(channel.clone()).await?;
    Ok(grpc.unary(Request::new(message), PathAndQuery::from_static(path), Plain).await?.into_inner())
}

async fn ready(channel: Channel) -> Result<Grpc<Channel>, Status> {
    let mut grpc = Grpc::new(channel);
    grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    Ok(grpc)
}

async fn one(channel: Channel, kind: Kind, random: u64) -> Result<(), Status> {
    let ask = Ask {
        wait: u32::try_from(random % 20).unwrap_or(0),
        messages: if random.is_multiple_of(SUBSCRIPTION) { 2000 } else { 5 },
        size: 100 + u32::try_from(random % 5000).unwrap_or(0),
        status: if random % 10 == 3 { Code::NotFound as u32 } else { 0 },
    };
    let due = if ask.status == 0 { Code::Ok } else { Code::NotFound };
    match answered(channel, kind, ask).await.err().map_or(Code::Ok, |status| status.code()) {
        code if code == due => Ok(()),
        code => Err(Status::new(code, format!("{kind:?} should have ended with {due:?}"))),
    }
}

async fn answered(channel: Channel, kind: Kind, ask: Ask) -> Result<(), Status> {
    let mut grpc = ready(channel).await?;
    let path = PathAndQuery::try_from(kind.path(0)).map_err(|_| Status::internal("a path"))?;
    let message = ask.message(200);
    let messages = stream::iter(vec![message.clone(); 3]);
    let mut answers = match kind {
        Kind::Unary => return grpc.unary(Request::new(message), path, Plain).await.map(drop),
        Kind::ClientStream => {
            return grpc.client_streaming(Request::new(messages), path, Plain).await.map(drop);
        }
        Kind::ServerStream => grpc.server_streaming(Request::new(message), path, Plain).await?.into_inner(),
        Kind::Both => grpc.streaming(Request::new(messages), path, Plain).await?.into_inner(),
    };
    while let Some(answer) = answers.next().await {
        answer?;
    }
    Ok(())
}

/// Follows a stream for as long as it goes on, and counts its messages.
pub(super) async fn follow(
    channel: Channel,
    path: &'static str,
    first: Bytes,
    counts: Arc<Counts>,
) -> Result<(), Status> {
    let mut grpc = ready(channel).await?;
    let asked = stream::iter([first]).chain(stream::pending());
    let answers = grpc.streaming(Request::new(asked), PathAndQuery::from_static(path), Plain).await?;
    let mut answers = answers.into_inner();
    while let Some(answer) = answers.next().await {
        answer?;
        counts.add("an event", &Ok(()));
    }
    Err(Status::unavailable("the stream ended"))
}
