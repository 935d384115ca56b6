//! The recipes of `docs/capture.md`, as a reader pastes them into a shell.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tracer_lab::incident::{Incident, Settings};
use tracer_lab::process::{Running, run};
use tracer_lab::tracer::program;
use tracer_lab::wire::tshark;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tracer-lab");
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/capture.md");
/// The pod in the page.
const UID: &str = "4938ec76-4523-43be-ae46-e6d46899eeb5";
/// Time for a capture to begin.
const BEGIN: Duration = Duration::from_secs(2);

/// The lines of the page's first section that begin so.
fn recipes(prompt: &str) -> Result<Vec<String>> {
    let page = fs::read_to_string(PAGE).with_context(|| PAGE.to_owned())?;
    let recipes = page.split("## ").nth(1).context("a section")?;
    let lines: Vec<String> =
        recipes.lines().filter_map(|line| line.strip_prefix(prompt)).map(str::to_owned).collect();
    ensure!(!lines.is_empty(), "no recipe in {recipes}");
    Ok(lines)
}

/// A shell with the tracer on its path, where the lab's pods are the node's.
fn shell(incident: &Incident, line: &str) -> Result<Command> {
    let program = program()?;
    let folder = program.parent().context("a folder")?.display().to_string();
    let path = format!("{folder}:{}", std::env::var("PATH")?);
    let mut shell = incident.lab.node().command("sh");
    shell.args(["-c", line]).current_dir(incident.lab.dir()).env("PATH", path);
    shell.env("TRACER_CGROUP", incident.lab.cgroup()).env("TRACER_CRI_SOCKET", "none");
    Ok(shell)
}

/// The recipe with the lab's pod, for some seconds, and with what can show packets without a screen.
fn fitted(recipe: &str, uid: &str) -> String {
    let recipe = recipe.replace(UID, uid).replace("500ms", "100ms").replace(" --duration 30", "");
    let recipe = recipe.replace("tracer capture", "tracer capture --duration 5");
    recipe.replace("| wireshark -k -i -", "| tshark -n -r - -w live.pcapng")
}

#[test]
fn each_capture_of_the_page_works_as_it_is_written() -> Result<()> {
    let incident = Incident::start(Settings::sick(Path::new(PROGRAM)))?;
    for recipe in recipes("# ")? {
        let line = fitted(&recipe, incident.backend.uid());
        let mut running = Running::spawn(&recipe, &mut shell(&incident, &line)?)?;
        std::thread::sleep(BEGIN);
        incident.run(8, 1)?;
        ensure!(running.wait(Duration::from_secs(30))? == Some(0), "failed: {line}");
    }
    let mut files: Vec<_> = fs::read_dir(incident.lab.dir())?.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "pcapng"));
    ensure!(files.len() >= 9, "{files:?}");
    for file in files {
        let packets = tshark(&file, "frame", &["frame.number"])?.len();
        // Nothing tells the lab's pods' labels.
        let is_empty = file.file_name().is_some_and(|name| name == "shop.pcapng");
        ensure!((packets == 0) == is_empty, "{packets} packets in {}", file.display());
    }
    for recipe in recipes("$ ")? {
        let said = run(&mut shell(&incident, &recipe)?)?;
        ensure!(said.contains("metadata"), "{recipe}: {said}");
    }
    Ok(())
}
