//! `tracer top` in a real terminal: what its user sees of the metadata incident, and that the terminal is as before
//! when it ends.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use tracer_lab::incident::{Incident, Settings};
use tracer_lab::process::run;
use tracer_lab::tracer::program;
use tracer_lab::tracer::terminal::Terminal;
use tracer_lab::{Lab, say};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tracer-lab");
/// Wide enough for a pod's UID and its worst finding's name.
const SIZE: (u16, u16) = (160, 45);

/// `tracer top` on a lab, in a terminal.
fn top(lab: &Lab, flags: &[&str]) -> Result<Terminal> {
    let mut command = lab.node().command(&program()?.to_string_lossy());
    command.arg("top").arg("--cgroup").arg(lab.cgroup()).args(flags);
    Terminal::start(lab.dir(), &command, SIZE)
}

fn line<'a>(screen: &'a str, text: &str) -> Option<&'a str> {
    screen.lines().find(|line| line.contains(text))
}

/// Whether the bar in a pod's row is metadata for the most part.
fn is_mostly_metadata(row: &str) -> bool {
    let bars = row.split(' ').filter(|word| word.contains("MM"));
    bars.map(|bar| (bar.matches('M').count(), bar.len())).any(|(metadata, all)| metadata * 2 > all)
}

#[test]
fn it_shows_where_the_time_goes_why_and_in_which_requests() -> Result<()> {
    let incident = Incident::start(Settings::sick(Path::new(PROGRAM)))?;
    let uid = incident.backend.uid();
    let terminal = top(&incident.lab, &[])?;
    terminal.wait_for_text("tracer top")?;
    let client = incident.start_client(incident.backend.addresses().v4.into(), 200, 1)?;

    let screen = terminal.wait_for("the slow pod with its finding", |screen| {
        line(screen, uid).is_some_and(|row| row.contains("metadata-credentials") && is_mostly_metadata(row))
    })?;
    say(line(&screen, uid).unwrap_or_default());
    ensure!(screen.contains("none lost"), "{screen}");

    terminal.press(&["/"])?;
    terminal.press(&["-l", uid])?;
    terminal.press(&["Enter"])?;
    let filter = format!("filter \"{uid}\"");
    let other = incident.elastic.uid();
    terminal
        .wait_for("only the filtered pod", |screen| screen.contains(&filter) && !screen.contains(other))?;

    terminal.press(&["Enter"])?;
    let screen = terminal.wait_for("the pod's metadata calls", |screen| {
        screen.contains("169.254.169.254:80") && screen.contains("/v1/items/")
    })?;
    let metadata = line(&screen, "M metadata").context("the pod's stages")?;
    let share = metadata.split_whitespace().rev().skip_while(|word| *word != "%").nth(1);
    let share: f64 = share.context("the share")?.parse()?;
    ensure!(share > 60.0, "metadata is {share} % of the time:\n{screen}");

    terminal.press(&["Enter"])?;
    terminal.wait_for("a waterfall", |screen| {
        screen.contains("GET /v1/items/") && screen.contains("credentials GET") && screen.contains("ms\n")
    })?;
    terminal.press(&["f"])?;
    let screen = terminal.wait_for_text("docs/findings/metadata-credentials.md")?;
    for said in ["because", "evidence", "remedy", "15 minutes"] {
        ensure!(screen.contains(said), "{said}:\n{screen}");
    }

    terminal.press(&["p"])?;
    terminal.wait_for_text("PAUSED")?;
    terminal.press(&["q"])?;
    terminal.given_back(0)?;
    client.finish().map(drop)
}

#[test]
fn a_signal_gives_the_terminal_back_too() -> Result<()> {
    for signal in ["-TERM", "-INT"] {
        let lab = Lab::new()?;
        let terminal = top(&lab, &["--interval", "0.2"])?;
        terminal.wait_for_text("tracer top")?;
        run(Command::new("kill").arg(signal).arg(terminal.process()?))?;
        terminal.given_back(0)?;
    }
    Ok(())
}

#[test]
fn without_a_terminal_it_says_what_to_use_instead() -> Result<()> {
    let output = Command::new(program()?)
        .args(["top", "--cgroup", "/sys/fs/cgroup/none"])
        .stdin(Stdio::null())
        .output()
        .context("run tracer top")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.code() == Some(1) && said.contains("`tracer live`"), "{}: {said}", output.status);
    ensure!(output.stdout.is_empty());
    Ok(())
}
