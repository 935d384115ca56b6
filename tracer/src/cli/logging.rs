//! The log on standard error.

use std::io;

use clap::ValueEnum;
use tracing_subscriber::{
    Layer as _,
    filter::{LevelFilter, Targets},
    fmt,
    layer::SubscriberExt as _,
    registry,
    util::SubscriberInitExt as _,
};

/// Form and amount of the log.
#[derive(Debug, clap::Args)]
pub(super) struct Logging {
    /// Form of the log
    #[arg(long, value_enum, default_value_t = Format::Text, env = "TRACER_LOG_FORMAT")]
    log_format: Format,
    /// The least important lines that are logged
    #[arg(long, value_enum, default_value_t = Level::Info, env = "TRACER_LOG_LEVEL")]
    log_level: Level,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Lines for people
    Text,
    /// A JSON object per line
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl Level {
    fn filter(self) -> LevelFilter {
        match self {
            Self::Error => LevelFilter::ERROR,
            Self::Warn => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
            Self::Trace => LevelFilter::TRACE,
        }
    }
}

impl Logging {
    /// Logs so from now on. Only the first of a process counts, and only what tracer says: kube says of every attempt that
    /// it failed, and we say it once.
    pub(super) fn begin(&self) {
        let lines = fmt::layer().with_writer(io::stderr).with_target(false).with_ansi(false);
        let lines = match self.log_format {
            Format::Text => lines.boxed(),
            Format::Json => lines.json().flatten_event(true).boxed(),
        };
        let own = Targets::new().with_target("tracer", self.log_level.filter());
        let _first = registry().with(lines).with(own).try_init();
    }
}

/// The log of commands without flags for it.
pub(super) fn begin() {
    Logging { log_format: Format::Text, log_level: Level::Info }.begin();
}
