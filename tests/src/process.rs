//! Running other programs: their output or a clear error, and an end for those that keep running.

use std::fmt;
use std::io::Write;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// Runs a command to its end and returns what it wrote to stdout.
pub fn run(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| shown(command))?;
    stdout_of(&output, command)
}

/// Runs a command to its end with `input` on its stdin.
pub fn run_with_input(command: &mut Command, input: &str) -> Result<String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| shown(command))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).with_context(|| shown(command))?;
    }
    let output = child.wait_with_output().with_context(|| shown(command))?;
    stdout_of(&output, command)
}

/// Runs a command to its successful end and returns the most memory that it had, in bytes.
pub fn peak_memory(command: &mut Command) -> Result<u64> {
    let child = command.spawn().with_context(|| shown(command))?;
    let process = libc::pid_t::try_from(child.id()).context("the process id")?;
    let mut status = 0;
    // SAFETY: all-zero bytes are a valid rusage, which is plain integers.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are valid for the call and of the types that wait4 writes.
    let ended = unsafe { libc::wait4(process, &raw mut status, 0, &raw mut usage) };
    ensure!(ended == process, "{}: {}", shown(command), std::io::Error::last_os_error());
    ensure!(status == 0, "{}: wait status {status}", shown(command));
    // Kilobytes. It begins with the peak of the parent, which is small.
    Ok(u64::try_from(usage.ru_maxrss)? * 1024)
}

fn stdout_of(output: &Output, command: &Command) -> Result<String> {
    ensure!(
        output.status.success(),
        "{}: {}: {}",
        shown(command),
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// A running program that is killed and reaped when this value is dropped.
pub struct Running {
    name: String,
    child: Child,
}

impl Running {
    /// Starts the command; `name` is what errors call it.
    pub fn spawn(name: &str, command: &mut Command) -> Result<Self> {
        let child = command.spawn().with_context(|| format!("start {name}: {}", shown(command)))?;
        Ok(Self { name: name.to_owned(), child })
    }

    /// The process id. A pod's wrappers replace themselves, so it is that of the program itself.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The child itself, for its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// An error when the program has ended already.
    pub fn still_runs(&mut self) -> Result<()> {
        match self.child.try_wait().with_context(|| format!("look after {}", self.name))? {
            Some(status) => bail!("{} ended early: {status}", self.name),
            None => Ok(()),
        }
    }

    /// Sends a signal to the program.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let sent = run(Command::new("kill").arg(format!("-{signal}")).arg(self.id().to_string()));
        sent.map(drop).with_context(|| format!("send {signal} to {}", self.name))
    }

    /// Waits until the program ends by itself and returns its exit code (`None`: killed by a signal).
    pub fn wait(&mut self, at_most: Duration) -> Result<Option<i32>> {
        let deadline = Instant::now() + at_most;
        loop {
            if let Some(status) = self.child.try_wait().with_context(|| format!("wait for {}", self.name))? {
                return Ok(status.code());
            }
            ensure!(Instant::now() < deadline, "{} did not end within {at_most:?}", self.name);
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only when the program has ended and was reaped, which is what is wanted.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// The signals the lab sends, displayed as `kill` wants them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// End, with time to finish, as Ctrl-C asks for it.
    Interrupt,
    /// End, with time to finish, as Kubernetes asks for it.
    Terminate,
    /// End once what has begun is done, as nginx takes it.
    Quit,
    /// End at once.
    Kill,
    /// Stand still.
    Stop,
    /// Go on after [`Signal::Stop`].
    Continue,
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Interrupt => "INT",
            Self::Terminate => "TERM",
            Self::Quit => "QUIT",
            Self::Kill => "KILL",
            Self::Stop => "STOP",
            Self::Continue => "CONT",
        })
    }
}
