//! Bounded memory: whatever a capture holds, reading it takes no more than a fixed amount.

use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tracer_lab::hostile::{Attack, SERVER, write};
use tracer_lab::process::peak_memory;
use tracer_lab::tracer::program;
use tracer_lab::{Lab, say};

/// What reading a capture may take, bytes.
const LIMIT: u64 = 200 << 20;

/// Reads a capture with so many connections of each attack. The peak of its memory, and the oddities.
fn read(attacks: &[(Attack, u32)]) -> Result<(u64, Value)> {
    let lab = Lab::new()?;
    let [capture, summary] = ["hostile.pcap", "summary.json"].map(|name| lab.dir().join(name));
    write(&capture, attacks).context("write the capture")?;
    let local = SERVER.map(|byte| byte.to_string()).join(".");
    let mut command = Command::new(program()?);
    command.args(["analyze", "--output", "json", "--local", &local]).arg(&capture);
    let output = fs::File::create(&summary).context("the summary's file")?;
    let peak = peak_memory(command.stdin(Stdio::null()).stdout(output).stderr(Stdio::null()))?;
    let summary: Value = serde_json::from_slice(&fs::read(&summary)?).context("the summary")?;
    Ok((peak, summary["accounting"]["oddities"].clone()))
}

#[test]
fn a_hostile_capture_takes_bounded_memory() -> Result<()> {
    for attack in Attack::ALL {
        let connections = if attack == Attack::Idle { 70_000 } else { 3_000 };
        let (peak, oddities) = read(&[(attack, connections)]).with_context(|| format!("{attack:?}"))?;
        say(&format!("{connections} of {attack:?}: {} MiB; {oddities}", peak >> 20));
        ensure!(peak < LIMIT, "{connections} connections of {attack:?} take {} MiB", peak >> 20);
        let cap = if attack == Attack::Idle { "flows_evicted" } else { "readers_shed" };
        ensure!(oddities[cap].as_u64().is_some_and(|count| count > 0), "{cap}: {oddities}");
    }
    let all = Attack::ALL.map(|attack| (attack, if attack == Attack::Idle { 40_000 } else { 2_000 }));
    let (peak, oddities) = read(&all)?;
    say(&format!("all: {} MiB; {oddities}", peak >> 20));
    ensure!(peak < LIMIT, "all together take {} MiB", peak >> 20);
    Ok(())
}
