//! The demonstration leaves and prints what the README promises of it.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tracer_lab::Lab;
use tracer_lab::process::{run, run_with_input};
use tracer_lab::tracer::program;
use tracer_lab::tracer::report::STAGES;
use tracer_lab::wire::tshark;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tracer-lab");
const REQUESTS: u64 = 60;

/// The program itself checks the numbers: the share of the metadata service, both findings, the healthy twin's silence.
#[test]
fn one_command_names_the_cause_and_leaves_the_evidence() -> Result<()> {
    let place = Lab::new()?;
    let out = place.dir().join("demo");
    let mut demo = Command::new(PROGRAM);
    demo.args(["demo", "--requests", &REQUESTS.to_string(), "--tracer"]).arg(program()?);
    let said = run(demo.arg("--out").arg(&out))?;
    println!("{said}");
    for line in [
        &format!("{REQUESTS} requests, mean ") as &str,
        "  stage      mean ms    share",
        "  finding metadata-credentials (critical) of pod ",
        "  finding dns-search (warning) of pod ",
        "credentials lifetime: 900 s",
        "--session-duration=60m",
        "wasted queries per lookup: 6",
        "ndots",
        "  offset  duration  0 ",
        "│ metadata thread     credentials GET /l",
    ] {
        ensure!(said.contains(line), "it does not print: {line}");
    }
    let text = |name: &str| fs::read_to_string(out.join(name)).with_context(|| format!("read {name}"));
    has_the_documented_shape(&serde_json::from_str(&text("summary.json")?)?)?;
    ensure!(
        run_with_input(Command::new("promtool").args(["check", "metrics"]), &text("metrics.txt")?)?
            .is_empty()
    );
    let metadata = "http.request && ip.dst == 169.254.169.254";
    let asked = tshark(&out.join("capture.pcapng"), metadata, &["frame.interface_name", "frame.comment"])?;
    let asked = asked.iter().filter(|fields| fields[1].contains("finding metadata-credentials ")).count();
    ensure!(asked > 0, "no packet of the capture is named as evidence");
    ensure!(text("requests.jsonl")?.lines().count() as u64 == REQUESTS);
    Ok(())
}

/// Every name that programs read.
fn has_the_documented_shape(summary: &Value) -> Result<()> {
    let has = |at: &str, names: &[&str]| {
        let object = summary.pointer(at).and_then(Value::as_object);
        let object = object.with_context(|| format!("no object {at} in {summary}"))?;
        let missing: Vec<_> = names.iter().filter(|name| !object.contains_key(**name)).collect();
        ensure!(missing.is_empty(), "{at} has no {missing:?}");
        Ok(())
    };
    let pods = summary["pods"].as_array().context("no pods")?;
    let slow = pods.iter().position(|pod| pod["findings"].as_array().is_some_and(|found| found.len() == 2));
    let slow = format!("/pods/{}", slow.context("no pod has both findings")?);
    has("", &["pods", "accounting"])?;
    has(&slow, &["pod", "requests", "total_seconds", "stages", "attribution", "calls", "findings"])?;
    has(&format!("{slow}/stages"), &STAGES)?;
    has(&format!("{slow}/attribution"), &["thread", "exclusive", "shared", "none"])?;
    has(&format!("{slow}/calls"), &["dns", "connect", "metadata", "upstream"])?;
    for finding in ["0", "1"] {
        let names = ["id", "severity", "subject", "evidence", "explanation", "remedy"];
        has(&format!("{slow}/findings/{finding}"), &names)?;
        has(&format!("{slow}/findings/{finding}/evidence"), &["flows"])?;
    }
    has("/accounting", &["emitted", "consumed", "dropped"])
}
