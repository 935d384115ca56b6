//! A thread that exports what a bounded queue holds.

use std::{
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use opentelemetry_proto::tonic::{metrics::v1::ResourceMetrics, trace::v1::ResourceSpans};
use tokio::{
    sync::mpsc::{Receiver, Sender as Queue, channel, error::TrySendError},
    time::{sleep, timeout_at},
};
use tonic::{Code, Status, transport::Channel};

use super::{
    counts::{Counts, Fate},
    link::Link,
};

/// Requests that wait, each with its spans.
const QUEUE: usize = 2048;
/// Requests of one export.
const BATCH: usize = 256;
/// How long an export waits for more.
const LINGER: Duration = Duration::from_secs(1);
/// Waits between the tries of one export; then it has failed.
const WAITS: [Duration; 4] =
    [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];
/// How long the end waits for what is left.
const GRACE: Duration = Duration::from_secs(2);

/// What is sent.
pub(super) enum Item {
    /// A request.
    Spans(ResourceSpans),
    /// All metrics.
    Metrics(ResourceMetrics),
}

impl Item {
    fn count(&self, counts: &Counts, fate: Fate) {
        match self {
            Self::Spans(spans) => counts.spans(fate, number(spans)),
            Self::Metrics(_) => counts.metrics(fate, 1),
        }
    }
}

fn number(spans: &ResourceSpans) -> u64 {
    spans.scope_spans.iter().map(|scope| scope.spans.len() as u64).sum()
}

/// The queue's end in the tracing loop.
pub(super) struct Sender {
    queue: Queue<Item>,
    counts: Arc<Counts>,
    thread: JoinHandle<()>,
}

impl Sender {
    /// Starts the thread.
    pub(super) fn start(link: Link) -> anyhow::Result<Self> {
        let (queue, items) = channel(QUEUE);
        let counts = Arc::new(Counts::default());
        let exporter = Exporter { link, counts: Arc::clone(&counts), failing: false };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the OTLP exporter")?;
        let thread = thread::Builder::new()
            .name("otlp".to_owned())
            .spawn(move || runtime.block_on(exporter.run(items)))
            .context("cannot start the OTLP exporter's thread")?;
        Ok(Self { queue, counts, thread })
    }

    /// Hands over, or counts what has no room. Never waits.
    pub(super) fn send(&self, item: Item) {
        if let Err(TrySendError::Full(item) | TrySendError::Closed(item)) = self.queue.try_send(item) {
            item.count(&self.counts, Fate::QueueFull);
        }
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Lets the thread send what waits, for a while.
    pub(super) fn finish(self) {
        let Self { queue, thread, .. } = self;
        drop(queue);
        let until = Instant::now() + GRACE;
        while !thread.is_finished() && Instant::now() < until {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

struct Exporter {
    link: Link,
    counts: Arc<Counts>,
    /// The last export failed, and the log says so.
    failing: bool,
}

impl Exporter {
    async fn run(mut self, mut items: Receiver<Item>) {
        let channel = self.link.channel();
        while let Some(first) = items.recv().await {
            let (spans, metrics) = batch(first, &mut items).await;
            if !spans.is_empty() {
                self.spans(&channel, spans, &items).await;
            }
            if let Some(metrics) = metrics {
                self.metrics(&channel, metrics, &items).await;
            }
        }
    }

    async fn spans(&mut self, channel: &Channel, spans: Vec<ResourceSpans>, items: &Receiver<Item>) {
        let all = spans.iter().map(number).sum::<u64>();
        let link = self.link.clone();
        let result = self.persist(items, || link.spans(channel.clone(), spans.clone())).await;
        match result {
            Ok(rejected) => {
                let rejected = rejected.min(all);
                self.counts.spans(Fate::Sent, all - rejected);
                self.counts.spans(Fate::Rejected, rejected);
            }
            Err(fate) => self.counts.spans(fate, all),
        }
    }

    async fn metrics(&mut self, channel: &Channel, metrics: ResourceMetrics, items: &Receiver<Item>) {
        let link = self.link.clone();
        let result = self.persist(items, || link.metrics(channel.clone(), metrics.clone())).await;
        self.counts.metrics(result.map_or_else(|fate| fate, |_| Fate::Sent), 1);
    }

    /// Tries again what may succeed later, unless the agent stops.
    async fn persist<F>(&mut self, items: &Receiver<Item>, export: impl Fn() -> F) -> Result<u64, Fate>
    where
        F: Future<Output = Result<u64, Status>>,
    {
        let mut waits = WAITS.into_iter();
        loop {
            let error = match export().await {
                Ok(rejected) => {
                    self.note_success();
                    return Ok(rejected);
                }
                Err(error) => error,
            };
            self.note_failure(&error);
            if !is_passing(error.code()) {
                return Err(Fate::Rejected);
            }
            match waits.next() {
                Some(wait) if !items.is_closed() => sleep(wait).await,
                _ => return Err(Fate::Failed),
            }
        }
    }

    /// One line when it begins to fail, one when it works again.
    fn note_failure(&mut self, error: &Status) {
        if !self.failing {
            let (collector, code) = (self.link.uri(), error.code());
            tracing::warn!(%collector, ?code, "cannot export to the OpenTelemetry collector: {}", error.message());
        }
        self.failing = true;
    }

    fn note_success(&mut self) {
        if self.failing {
            tracing::info!(collector = %self.link.uri(), "exports to the OpenTelemetry collector again");
        }
        self.failing = false;
    }
}

/// What there is, at most [`BATCH`] requests, and what comes within [`LINGER`].
async fn batch(first: Item, items: &mut Receiver<Item>) -> (Vec<ResourceSpans>, Option<ResourceMetrics>) {
    let until = tokio::time::Instant::now() + LINGER;
    let (mut spans, mut next) = (Vec::new(), Some(first));
    while let Some(item) = next {
        match item {
            Item::Spans(one) => spans.push(one),
            Item::Metrics(metrics) => return (spans, Some(metrics)),
        }
        if spans.len() >= BATCH {
            break;
        }
        next = timeout_at(until, items.recv()).await.ok().flatten();
    }
    (spans, None)
}

/// Codes after which an export may be tried again (OTLP specification, section "Failures").
fn is_passing(code: Code) -> bool {
    matches!(
        code,
        Code::Cancelled
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unavailable
            | Code::DataLoss
            | Code::ResourceExhausted
    )
}
