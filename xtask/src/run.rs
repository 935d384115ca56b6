//! Running other programs: with the terminal, with a log and a heartbeat, and again when the network fails.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// How often a long step says that it is still at work.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Nothing xtask starts runs longer than this.
const LONGEST: Duration = Duration::from_hours(1);
/// How often a running child is looked at.
const POLL: Duration = Duration::from_millis(50);
/// Lines of a failed step's log that are shown.
const TAIL: usize = 40;

/// Says what xtask does, on stderr: stdout belongs to the results.
pub(crate) fn say(message: impl std::fmt::Display) {
    eprintln!("xtask: {message}");
}

/// Runs a program on the terminal and wants it to succeed.
pub(crate) fn on_terminal(command: &mut Command, what: &str) -> Result<()> {
    let status = command.status().with_context(|| not_started(command, what))?;
    if !status.success() {
        bail!("{what} failed: {} ended with {status}", line(command));
    }
    Ok(())
}

/// Runs a program and returns its standard output; its standard error is part of the error on failure.
pub(crate) fn output(command: &mut Command, what: &str) -> Result<String> {
    let output = command.output().with_context(|| not_started(command, what))?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr);
        bail!("{what} failed: {} ended with {}: {}", line(command), output.status, message.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The same, for a program that reads `input` from its standard input.
pub(crate) fn output_of_input(command: &mut Command, input: &str, what: &str) -> Result<String> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| not_started(command, what))?;
    let mut stdin = child.stdin.take().with_context(|| format!("{what}: no standard input"))?;
    let input = input.to_owned();
    // Beside the reading: a program may write before it has read everything. One that ends early says why.
    let writer = thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let output =
        child.wait_with_output().with_context(|| format!("{what}: waiting for {}", line(command)))?;
    drop(writer.join());
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr);
        bail!("{what} failed: {} ended with {}: {}", line(command), output.status, message.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a long program with its output in a log file: a line now and then says that it is at work,
/// and the end of the log is shown when it fails.
pub(crate) fn logged(command: &mut Command, what: &str, log: &Path) -> Result<()> {
    logged_within(command, what, log, LONGEST)
}

/// The same, but the program is killed after `limit`.
pub(crate) fn logged_within(command: &mut Command, what: &str, log: &Path, limit: Duration) -> Result<()> {
    let started = Instant::now();
    say(format_args!("{what} (log: {})", log.display()));
    let file = File::create(log).with_context(|| format!("creating the log {}", log.display()))?;
    let copy = file.try_clone().with_context(|| format!("opening the log {} twice", log.display()))?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(copy)
        .spawn()
        .with_context(|| not_started(command, what))?;
    let ended = match wait_with_heartbeat(&mut child, what, started, limit)? {
        Some(status) if status.success() => None,
        Some(status) => Some(format!("ended with {status}")),
        None => Some(format!("was stopped after {} s", limit.as_secs())),
    };
    if let Some(ended) = ended {
        eprintln!("{}", tail(log));
        bail!("{what} failed: {} {ended}; the whole log is {}", line(command), log.display());
    }
    say(format_args!("{what}: done in {:.0} s", started.elapsed().as_secs_f64()));
    Ok(())
}

/// Runs a program quietly with its output in a file, for as long as `limit`; whether it succeeded by then.
pub(crate) fn within(command: &mut Command, log: &Path, limit: Duration) -> Result<bool> {
    let file = File::create(log).with_context(|| format!("creating the log {}", log.display()))?;
    let copy = file.try_clone().with_context(|| format!("opening the log {} twice", log.display()))?;
    let child = command.stdin(Stdio::null()).stdout(file).stderr(copy).spawn();
    let mut child = child.with_context(|| not_started(command, "a trial"))?;
    Ok(wait_until(&mut child, Instant::now() + limit)?.is_some_and(|status| status.success()))
}

/// Tries a step that needs the network several times, with growing pauses.
pub(crate) fn retry<T>(what: &str, attempts: u32, mut step: impl FnMut() -> Result<T>) -> Result<T> {
    let mut pause = Duration::from_secs(2);
    for attempt in 1..attempts {
        match step() {
            Ok(value) => return Ok(value),
            Err(error) => say(format_args!(
                "{what}: attempt {attempt} of {attempts} failed, again in {} s: {error:#}",
                pause.as_secs()
            )),
        }
        thread::sleep(pause);
        pause *= 2;
    }
    step().with_context(|| format!("{what}, after {attempts} attempts"))
}

/// Waits for a child until a deadline, then kills it; `None` means that it was killed.
pub(crate) fn wait_until(child: &mut Child, deadline: Instant) -> Result<Option<ExitStatus>> {
    let status = wait_for(child, deadline)?;
    if status.is_none() {
        child.kill().context("killing a child process after its time was over")?;
        child.wait().context("waiting for a killed child process")?;
    }
    Ok(status)
}

/// The command as one would type it.
pub(crate) fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    format!("`{}`", words.join(" "))
}

/// `None` means that the child was killed after `limit`.
fn wait_with_heartbeat(
    child: &mut Child,
    what: &str,
    started: Instant,
    limit: Duration,
) -> Result<Option<ExitStatus>> {
    let mut beat = HEARTBEAT;
    while beat < limit {
        if let Some(status) = wait_for(child, started + beat)? {
            return Ok(Some(status));
        }
        say(format_args!("{what}: still at work after {} s", beat.as_secs()));
        beat += HEARTBEAT;
    }
    wait_until(child, started + limit)
}

/// `None` means that the child is still running at the deadline.
fn wait_for(child: &mut Child, deadline: Instant) -> Result<Option<ExitStatus>> {
    loop {
        let status = child.try_wait().context("waiting for a child process")?;
        if status.is_some() || Instant::now() >= deadline {
            return Ok(status);
        }
        thread::sleep(POLL);
    }
}

fn tail(log: &Path) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}

fn not_started(command: &Command, what: &str) -> String {
    format!("{what}: starting {} (is it installed and on the PATH?)", line(command))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_program_is_named_with_its_message() {
        let error = output(Command::new("sh").args(["-c", "echo why >&2; exit 3"]), "asking").unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("asking failed") && text.contains("why") && text.contains('3'), "{text}");
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = output(&mut Command::new("no-such-program-here"), "asking").unwrap_err();
        assert!(format!("{error:#}").contains("no-such-program-here"));
    }

    #[test]
    fn a_child_past_its_deadline_is_killed() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        assert!(wait_until(&mut child, Instant::now()).unwrap().is_none());
    }

    #[test]
    fn a_step_that_recovers_is_not_an_error() {
        let mut calls = 0;
        let value = retry("step", 1, || {
            calls += 1;
            Ok(calls)
        });
        assert_eq!(value.unwrap(), 1);
    }
}
