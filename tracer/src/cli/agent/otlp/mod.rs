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
#[expect(clippy::struct_field_names, reason = "the flags' names are those of the fields")]
pub(super) struct OtlpArgs {
    /// Send breakdowns as spans, and the metrics, to this collector (OTLP over gRPC, `http://host:4317` or `https://host:4317`)
    #[arg(long, value_name = "URL", env = "TRACER_OTLP_ENDPOINT", value_parser = link::parse_endpoint)]
    otlp_endpoint: Option<tonic::transport::Uri>,
    /// Headers of each export, such as the collector's token: a file of lines NAME=VALUE
    #[arg(long, value_name = "FILE", env = "TRACER_OTLP_HEADERS_FILE")]
    otlp_headers_file: Option<PathBuf>,
    /// Certificate authority of the collector, PEM; the node's own ones when not given
    #[arg(long, value_name = "FILE", env = "TRACER_OTLP_CA")]
    otlp_ca: Option<PathBuf>,
    /// Send spans of requests that took at least this long; 0 for all
    #[arg(
        long,
        value_name = "SECONDS",
        env = "TRACER_OTLP_SLOWER_THAN",
        default_value = "0",
        value_parser = parse_threshold
    )]
    otlp_slower_than: Duration,
    /// Seconds between two exports of the metrics
    #[arg(
        long,
        value_name = "SECONDS",
        env = "TRACER_OTLP_METRICS_INTERVAL",
        default_value = "30",
        value_parser = parse_seconds
    )]
    otlp_metrics_interval: Duration,
}

/// Seconds, 0 included.
fn parse_threshold(text: &str) -> Result<Duration, String> {
    if text.trim() == "0" { Ok(Duration::ZERO) } else { parse_seconds(text) }
}

impl OtlpArgs {
    /// What takes less becomes no span.
    pub(super) fn slower_than(&self) -> Duration {
        if self.otlp_endpoint.is_some() { self.otlp_slower_than } else { Duration::MAX }
    }
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
    /// Begins, if an endpoint is given; spans and metrics say which `node` they are of. The collector need not be there yet.
    ///
    /// # Errors
    /// When a file cannot be used, or a thread cannot be started.
    pub(super) fn start(args: &OtlpArgs, node: Option<&str>) -> anyhow::Result<Option<Self>> {
        let Some(endpoint) = &args.otlp_endpoint else { return Ok(None) };
        let link = Link::new(endpoint, args.otlp_headers_file.as_deref(), args.otlp_ca.as_deref())?;
        Ok(Some(Self {
            sender: Sender::start(link)?,
            slower_than: u64::try_from(args.otlp_slower_than.as_nanos()).unwrap_or(u64::MAX),
            interval: args.otlp_metrics_interval,
            exported: Instant::now(),
            start: wall_clock().unix_ns(boot_time()),
            seed: Seed(RandomState::new().hash_one(std::process::id())),
            node: node.map(str::to_owned),
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
