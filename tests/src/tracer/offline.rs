//! Running the commands that read captures.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use serde::de::DeserializeOwned;

use super::report::Summary;
use super::{Live, program};
use crate::{Pod, log};

/// The tracer's view on captures; nothing is attached.
pub struct Offline {
    program: PathBuf,
    /// The pod's address; `None` for files that say whose their packets are.
    local: Option<String>,
}

impl Offline {
    /// From the view of a pod.
    pub fn of(pod: &Pod) -> Result<Self> {
        Ok(Self { program: program()?, local: Some(pod.addresses().v4.to_string()) })
    }

    /// From the view of the pods that the files name.
    pub fn of_named() -> Result<Self> {
        Ok(Self { program: program()?, local: None })
    }

    /// Runs `tracer COMMAND [--local ADDRESS] FLAGS… FILES…` to its end, however it ends.
    pub fn run(&self, command: &str, flags: &[&str], files: &[&Path]) -> Result<Output> {
        self.command(command, flags, files).stdin(Stdio::null()).output().context("run the tracer")
    }

    /// The same on standard input, into which the file is poured.
    pub fn run_piped(&self, command: &str, flags: &[&str], file: &Path) -> Result<Output> {
        let file = File::open(file).with_context(|| format!("open {}", file.display()))?;
        // Through a pipe, which cannot be rewound and has no size.
        let mut cat = Command::new("cat").stdin(file).stdout(Stdio::piped()).spawn().context("start cat")?;
        let pipe = cat.stdout.take().context("the pipe")?;
        let output = self.command(command, flags, &[Path::new("-")]).stdin(pipe).output();
        cat.wait().context("wait for cat")?;
        output.context("run the tracer")
    }

    fn command(&self, command: &str, flags: &[&str], files: &[&Path]) -> Command {
        let mut line = Command::new("timeout");
        line.arg("60").arg(&self.program).arg(command);
        line.args(self.local.iter().flat_map(|local| ["--local", local])).args(flags).args(files);
        line
    }

    /// What `tracer analyze` says of undamaged captures.
    pub fn analyze(&self, files: &[&Path]) -> Result<Live> {
        let (output, requests) = self.analyzed(files)?;
        succeeded(&output)?;
        let summary = Summary::parse(&String::from_utf8_lossy(&output.stdout))?;
        Ok(Live { summary, requests })
    }

    /// The output of `tracer analyze` on any captures, and the requests that it wrote to a file.
    pub fn analyzed<T: DeserializeOwned>(&self, files: &[&Path]) -> Result<(Output, Vec<T>)> {
        let first = files.first().context("no capture")?;
        let requests = first.with_extension("analyzed.jsonl");
        let flags = ["--output", "json", "--requests", &requests.to_string_lossy()];
        let output = self.run("analyze", &flags, files)?;
        let read = if requests.exists() { log::read(&requests)? } else { Vec::new() };
        // What another run on the same capture wrote must not be taken for this one's.
        let _absent = fs::remove_file(&requests);
        Ok((output, read))
    }
}

/// Checks that the tracer ended well, and returns what it printed.
pub fn succeeded(output: &Output) -> Result<String> {
    ensure!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
