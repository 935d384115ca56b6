//! Secrets: canaries in headers, query strings, bodies and credentials are in nothing that the tracer
//! writes or serves.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use tracer_lab::incident::{Incident, Settings};
use tracer_lab::secret::find;
use tracer_lab::tracer::{Tracing, program};
use tracer_lab::wire::Tcpdump;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tracer-lab");

#[test]
fn no_canary_leaves_the_tracer() -> Result<()> {
    let incident = Incident::start(Settings::sick(Path::new(PROGRAM)))?;
    let (tracer, dir, canary) = (program()?, incident.lab.dir(), incident.canary());
    let file = |name: &str| dir.join(name).to_string_lossy().into_owned();
    let start = |command, flags: &[&str]| Tracing::start(&tracer, &incident.lab, command, flags);
    let tcpdump = Tcpdump::start(&incident.backend, dir.join("tcpdump.pcap"))?;
    let agent = start("agent", &[])?;
    let capture = start("capture", &["-w", &file("tracer-capture.pcapng")])?;
    let live = start("live", &["--waterfall", "5", "--requests", &file("tracer-requests.jsonl")])?;
    incident.run(40, 2)?;
    agent.settled(incident.backend.uid(), 40)?;

    let mut outputs: Vec<(String, Vec<u8>)> = Vec::new();
    let api =
        ["/api/v1/summary", "/api/v1/pods?minutes=60", "/api/v1/requests?limit=100", "/api/v1/findings"];
    for path in ["/metrics", "/healthz", "/readyz", "/"].into_iter().chain(api) {
        outputs.push((path.to_owned(), agent.get(path)?.into_bytes()));
    }
    outputs.push(("live's stdout".to_owned(), live.finish()?.into_bytes()));
    capture.finish()?;
    agent.finish()?;
    for entry in fs::read_dir(dir)?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("tracer-") {
            outputs.push((name, fs::read(entry.path()).with_context(|| format!("read {:?}", entry.path()))?));
        }
    }
    ensure!(
        find(&fs::read(tcpdump.finish()?)?, canary).is_some(),
        "no canary was on the wire: nothing is shown"
    );
    ensure!(outputs.iter().any(|(name, bytes)| name == "tracer-capture.pcapng" && bytes.len() > 1000));
    for (name, bytes) in &outputs {
        ensure!(find(bytes, canary).is_none(), "{name} holds a canary {:?}", find(bytes, canary));
    }
    Ok(())
}
