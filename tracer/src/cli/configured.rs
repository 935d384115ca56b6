//! The configuration file of the commands that look for findings.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;

use super::file::read;
use crate::{
    config::{Config, SIZE_LIMIT},
    finding::{Period, Policy},
};

/// Which file.
#[derive(Debug, clap::Args)]
pub(super) struct Configured {
    /// JSON file with settings and the thresholds of findings: see docs/configuration.md
    #[arg(long, value_name = "FILE", env = "TRACER_CONFIG")]
    config: Option<PathBuf>,
}

impl Configured {
    /// What findings are judged by over a period.
    pub(super) fn policy(&self, period: Period) -> anyhow::Result<Policy> {
        Ok(Policy { period, settings: Arc::new(self.load()?.findings) })
    }

    /// The file's name.
    pub(super) fn path(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    /// Reads the file; without one everything is as by default.
    pub(super) fn load(&self) -> anyhow::Result<Config> {
        let Some(path) = &self.config else { return Ok(Config::default()) };
        let bytes = read(path, SIZE_LIMIT).context("the configuration cannot be used")?;
        Config::parse(&bytes).with_context(|| format!("cannot use the configuration {}", path.display()))
    }
}
