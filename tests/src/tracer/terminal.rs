//! A terminal to run the tracer in as its users do: tmux, whose screen can be read.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::process::{Running, run};

/// Longer than anything takes to be seen.
const PATIENCE: Duration = Duration::from_secs(60);

/// A terminal with a program in it. Dropping it ends both.
pub struct Terminal {
    _server: Running,
    socket: PathBuf,
}

impl Terminal {
    /// Starts a command in a terminal of so many columns and lines; its socket lies in `dir`. When the command ends,
    /// the terminal says `exit code N` and how it is set, and stays.
    pub fn start(dir: &Path, command: &Command, (columns, lines): (u16, u16)) -> Result<Self> {
        let socket = dir.join("tmux.socket");
        let mut line = Command::new("setpriv");
        line.args(["--pdeathsig", "KILL", "--", "tmux", "-u", "-D", "-f", "/dev/null", "-S"]).arg(&socket);
        let server = Running::spawn("tmux", &mut line)?;
        let terminal = Self { _server: server, socket };
        terminal.wait_for_server()?;
        let mut line = terminal.tmux("new-session");
        line.args(["-d", "-x", &columns.to_string(), "-y", &lines.to_string(), "--"]);
        line.args(["sh", "-c", r#""$@"; echo "exit code $?"; stty -a; echo "that is all"; exec cat"#, "sh"]);
        line.arg(command.get_program()).args(command.get_args());
        run(&mut line)?;
        Ok(terminal)
    }

    fn wait_for_server(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !self.socket.exists() {
            ensure!(Instant::now() < deadline, "tmux does not start");
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn tmux(&self, command: &str) -> Command {
        let mut line = Command::new("tmux");
        line.args(["-u", "-S"]).arg(&self.socket).arg(command).env("LC_ALL", "C.UTF-8");
        line
    }

    /// Presses keys, by their names in tmux: a character, `Enter`, `Escape`.
    pub fn press(&self, keys: &[&str]) -> Result<()> {
        run(self.tmux("send-keys").args(keys)).map(drop)
    }

    /// What is on the screen.
    pub fn screen(&self) -> Result<String> {
        run(self.tmux("capture-pane").arg("-p"))
    }

    /// The screen once `is_seen` says so, at the latest after a minute.
    pub fn wait_for(&self, what: &str, is_seen: impl Fn(&str) -> bool) -> Result<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let screen = self.screen()?;
            if is_seen(&screen) {
                return Ok(screen);
            }
            if Instant::now() >= deadline {
                bail!("{what} is not on the screen:\n{screen}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The same for a text.
    pub fn wait_for_text(&self, text: &str) -> Result<String> {
        self.wait_for(text, |screen| screen.contains(text))
    }

    /// Waits for the program's end with this exit code, after which the terminal must be as it was before.
    pub fn given_back(&self, code: i32) -> Result<String> {
        let screen = self.wait_for_text("that is all")?;
        ensure!(screen.contains(&format!("exit code {code}\n")), "{screen}");
        for set in ["icanon", "echo", "isig", "icrnl", "opost"] {
            let is_set = screen.split_whitespace().any(|word| word == set);
            ensure!(is_set, "the terminal has no {set} any more:\n{screen}");
        }
        let state = self.ask("#{alternate_on} #{cursor_flag}")?;
        ensure!(state == "0 1", "alternate screen and cursor: {state}");
        Ok(screen)
    }

    /// The id of the process that the terminal's shell waits for.
    pub fn process(&self) -> Result<String> {
        let shell = self.ask("#{pane_pid}")?;
        let file = format!("/proc/{shell}/task/{shell}/children");
        let children = std::fs::read_to_string(&file).with_context(|| format!("read {file}"))?;
        children.split_whitespace().next().map(ToOwned::to_owned).context("the program has ended")
    }

    fn ask(&self, format: &str) -> Result<String> {
        let answer = run(self.tmux("display-message").args(["-p", format]))?;
        Ok(answer.trim().to_owned())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // The next terminal in this directory must not be looked for at the socket of this one.
        let _gone = std::fs::remove_file(&self.socket);
    }
}
