//! Captures through a running agent.

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::{LISTEN, program};
use crate::Lab;
use crate::process::Running;

/// `tracer capture --agent URL -w FILE FLAGS…` on the lab's node.
pub fn capture(lab: &Lab, file: &Path, flags: &[&str]) -> Result<Command> {
    let mut command = lab.node().command(&program()?.to_string_lossy());
    command.args(["capture", "--agent", &format!("http://{LISTEN}"), "-w"]).arg(file).args(flags);
    Ok(command)
}

/// Starts such a command, and waits until it captures.
pub fn start(command: &mut Command) -> Result<Running> {
    let mut running = Running::spawn("a capture through the agent", command.stderr(Stdio::piped()))?;
    let stderr = running.child().stderr.as_mut().context("its stderr")?;
    let (mut said, mut byte) = (String::new(), [0]);
    while !said.contains("ready: capturing") {
        ensure!(stderr.read(&mut byte)? == 1, "it ended: {said}");
        said.push(byte[0].into());
    }
    Ok(running)
}
