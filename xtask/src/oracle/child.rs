//! A program that runs on one capture, with its output in files: they never fill up as a pipe does.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::run;

/// How a program ended.
pub(super) struct Ended {
    /// `None` when it was killed because its time was over.
    pub(super) status: Option<ExitStatus>,
    /// Its standard output.
    pub(super) output: PathBuf,
    errors: PathBuf,
}

impl Ended {
    /// The last line it wrote about errors.
    pub(super) fn last_error(&self) -> String {
        let bytes = fs::read(&self.errors).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default().to_owned()
    }
}

/// Runs a program whose files lie in `folder`; those of its last run are replaced.
pub(super) fn run(command: &mut Command, folder: &Path, name: &str, limit: Duration) -> Result<Ended> {
    let create = |path: &Path| File::create(path).with_context(|| format!("creating {}", path.display()));
    let (output, errors) = (folder.join(format!("{name}.out")), folder.join(format!("{name}.err")));
    let mut child = command
        .stdin(Stdio::null())
        .stdout(create(&output)?)
        .stderr(create(&errors)?)
        .spawn()
        .with_context(|| format!("starting {} (is it installed and on the PATH?)", run::line(command)))?;
    let status = run::wait_until(&mut child, Instant::now() + limit)?;
    Ok(Ended { status, output, errors })
}
