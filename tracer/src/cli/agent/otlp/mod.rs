//! Sends breakdowns and metrics to an OpenTelemetry collector. Off unless an endpoint is given; never waited for.

mod counts;
mod link;
mod sender;

use std::{
    hash::{BuildHasher as _, RandomState},
    path::PathBuf,
    time::{Duration, Instant},
};

pub(super) use self::counts::Counts;
use self::{
    link::Link,
    sender::{Item, Sender},
};
use crate::{
    cli::stop::parse_seconds,
    clock::WallClock,
    export::{
        otlp::{
            metric::{Window, metrics},
            span::{Seed, spans},
        },
        prometheus::Metrics,
    },
    request::Request,
    source::live::{boot_time, wall_clock},
};

/// Where to send to, and what.
#[derive(Debug, clap::Args)]
pub(super) struct OtlpArgs {
    /// Send breakdowns as spans, and the metrics, to this collector (OTLP over gRPC, `http://host:4317` or `https://host:4317`)
    #[arg(id = "otlp_endpoint", long = "otlp-endpoint", value_name = "URL", env = "TRACER_OTLP_ENDPOINT", value_parser = link::parse_endpoint)]
    endpoint: Option<tonic::transport::Uri>,
    /// Headers of each export, such as the collector's token: a file of lines NAME=VALUE
    #[arg(
        id = "otlp_headers_file",
        long = "otlp-headers-file",
        value_name = "FILE",
        env = "TRACER_OTLP_HEADERS_FILE"
    )]
    headers_file: Option<PathBuf>,
    /// Certificate authority of the collector, PEM; the node's own ones when not given
    #[arg(id = "otlp_ca", long = "otlp-ca", value_name = "FILE", env = "TRACER_OTLP_CA")]
    ca: Option<PathBuf>,
    /// Send spans of requests that took at least this long; 0 for all
    #[arg(
        id = "otlp_slower_than", long = "otlp-slower-than",
        value_name = "SECONDS",
        env = "TRACER_OTLP_SLOWER_THAN",
        default_value = "0",
        value_parser = parse_threshold
    )]
    slower_than: Duration,
    /// Seconds between two exports of the metrics
    #[arg(
        id = "otlp_metrics_interval", long = "otlp-metrics-interval",
        value_name = "SECONDS",
        env = "TRACER_OTLP_METRICS_INTERVAL",
        default_value = "30",
        value_parser = parse_seconds
    )]
    metrics_interval: Duration,
}

/// Seconds, 0 included.
fn parse_threshold(text: &str) -> Result<Duration, String> {
    if text.trim() == "0" { Ok(Duration::ZERO) } else { parse_seconds(text) }
}

/// What is sent, and how much of it was.
pub(super) struct Otlp {
    sender: Sender,
    slower_than: u64,
    interval: Duration,
    exported: Instant,
    /// Unix nanoseconds of the start: counters grow from 0 since then.
    start: u64,
    seed: Seed,
    node: Option<String>,
}

impl Otlp {
    /// Begins, if an endpoint is given. The collector need not be there yet.
    ///
    /// # Errors
    /// When a file cannot be used, or a thread cannot be started.
    pub(super) fn start(args: &OtlpArgs) -> anyhow::Result<Option<Self>> {
        let Some(endpoint) = &args.endpoint else { return Ok(None) };
        let link = Link::new(endpoint, args.headers_file.as_deref(), args.ca.as_deref())?;
        Ok(Some(Self {
            sender: Sender::start(link)?,
            slower_than: u64::try_from(args.slower_than.as_nanos()).unwrap_or(u64::MAX),
            interval: args.metrics_interval,
            exported: Instant::now(),
            start: wall_clock().unix_ns(boot_time()),
            seed: Seed(RandomState::new().hash_one(std::process::id())),
            node: std::env::var("NODE_NAME").ok().filter(|node| !node.is_empty()),
        }))
    }

    /// Sends a request's spans, if it took long enough.
    pub(super) fn request(&self, request: &Request, clock: WallClock) {
        if request.total() >= self.slower_than {
            self.sender.send(Item::Spans(spans(request, clock, self.seed, self.node.as_deref())));
        }
    }

    /// Sends the metrics, when it is time to.
    pub(super) fn tick(&mut self, registry: &mut Metrics) {
        if self.exported.elapsed() >= self.interval {
            self.exported = Instant::now();
            self.export(registry);
        }
    }

    fn export(&self, registry: &mut Metrics) {
        let window = Window { start: self.start, end: wall_clock().unix_ns(boot_time()) };
        self.sender.send(Item::Metrics(metrics(&registry.gather(), self.node.as_deref(), window)));
    }

    /// What became of everything so far.
    pub(super) fn counts(&self) -> &Counts {
        self.sender.counts()
    }

    /// Sends the metrics once more and what waits, for two seconds at most.
    pub(super) fn finish(self, registry: &mut Metrics) {
        self.export(registry);
        self.sender.finish();
    }
}
