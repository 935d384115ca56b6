//! Other people's tools read the tracer's files: tshark its capture, promtool its metrics.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tracer_lab::incident::{Incident, Settings};
use tracer_lab::process::run_with_input;
use tracer_lab::tracer::{Tracing, program};
use tracer_lab::wire::tshark;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tracer-lab");

#[test]
fn tshark_shows_an_interface_per_pod_and_the_comments() -> Result<()> {
    let incident = Incident::start(Settings::sick(Path::new(PROGRAM)))?;
    let file = incident.lab.dir().join("capture.pcapng");
    let capture = Tracing::start(&program()?, &incident.lab, "capture", &["-w", &file.to_string_lossy()])?;
    incident.run(20, 1)?;
    capture.finish()?;

    let packets = tshark(&file, "frame", &["frame.interface_name", "frame.interface_description"])?;
    let interfaces: BTreeSet<String> = packets.iter().map(|fields| fields.join(" ")).collect();
    for (pod, role, _) in incident.roles() {
        let own = interfaces.iter().filter(|interface| interface.contains(pod.uid())).count();
        ensure!(own == 1, "{own} interfaces of {role}: {interfaces:?}");
    }
    let comments = tshark(&file, "frame.comment", &["frame.interface_name", "frame.comment"])?;
    let of_backend = |word: &str| {
        let own = comments.iter().filter(|fields| fields.concat().contains(incident.backend.uid()));
        own.filter(|fields| fields[1].contains(word)).count()
    };
    for stage in ["metadata", "upstream", "dns"] {
        ensure!(
            of_backend(stage) > 0,
            "no comment of the backend names the stage {stage}: {:?}",
            comments.first()
        );
    }
    let proofs = of_backend("finding metadata-credentials ");
    ensure!(proofs > 0, "no packet of the backend is named as evidence for the finding");
    println!("{proofs} packets are named as evidence");
    let malformed = tshark(&file, "_ws.malformed", &["frame.number"])?;
    ensure!(malformed.is_empty(), "tshark calls frames malformed: {malformed:?}");
    Ok(())
}

#[test]
fn promtool_accepts_the_metrics() -> Result<()> {
    let incident = Incident::start(Settings::sick(Path::new(PROGRAM)))?;
    let agent = Tracing::start(&program()?, &incident.lab, "agent", &[])?;
    incident.run(20, 1)?;
    agent.settled(incident.backend.uid(), 20)?;
    let metrics = agent.get("/metrics")?;
    let said = run_with_input(Command::new("promtool").args(["check", "metrics"]), &metrics)?;
    ensure!(said.is_empty(), "promtool: {said}");
    let active = metrics
        .lines()
        .find(|line| line.starts_with("tracer_finding_active{") && line.contains("\"metadata-credentials\""));
    ensure!(active.context("no series of the finding")?.ends_with(" 1"), "{active:?}");
    let log = agent.stderr()?;
    let opened = |line: &&str| line.contains("a finding opened") && line.contains(incident.backend.uid());
    let line = log.lines().filter(opened).find(|line| line.contains("finding=\"metadata-credentials\""));
    println!("{}", line.with_context(|| format!("the log names no finding: {log}"))?);
    agent.finish().map(drop)
}
