//! The same over IPv6: the client talks to the backend's IPv6 address.

use std::path::Path;

use anyhow::{Result, ensure};
use tracer_lab::incident::{Incident, Settings};
use tracer_lab::tracer::{live, program};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tracer-lab");

#[test]
fn requests_over_ipv6_have_the_same_breakdown() -> Result<()> {
    let incident = Incident::start(Settings::sick(Path::new(PROGRAM)))?;
    let backend = incident.backend.addresses().v6;
    let live = live(&program()?, &incident.lab, || incident.run_to(backend.into(), 20, 1).map(drop))?;
    let requests = live.of(incident.backend.uid())?;
    ensure!(requests.len() == 20, "{} requests were traced", requests.len());
    for request in requests {
        ensure!(request.peer.contains(&incident.client.addresses().v6.to_string()), "peer {}", request.peer);
    }
    let pod = live.summary.pod(incident.backend.uid())?;
    ensure!(pod.share("metadata") >= 0.7, "{:?}", pod.stages);
    Ok(())
}
