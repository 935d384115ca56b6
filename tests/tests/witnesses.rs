//! The witnesses of the scenario tests, without the tracer: tcpdump and tshark, the paced load.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use tracer_lab::incident::{Incident, Settings};
use tracer_lab::log::Kind;
use tracer_lab::nginx::Nginx;
use tracer_lab::oracle::Differences;
use tracer_lab::wire::{Exchange, Tcpdump, dns, http};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tracer-lab");
/// Enough for one that waited for a core: 99 of 100 readings must agree.
const REQUESTS: usize = 100;

#[test]
fn tshark_sees_each_exchange_of_the_incident() -> Result<()> {
    let incident = Incident::start(Settings::sick(Path::new(PROGRAM)))?;
    let tcpdump = Tcpdump::start(&incident.backend, incident.lab.dir().join("tcpdump.pcap"))?;
    incident.run(REQUESTS as u64, 1)?;
    let file = tcpdump.finish()?;
    ensure!(http(&file, 8080)?.len() == REQUESTS && http(&file, 80)?.len() == 2 * REQUESTS);
    let searches = http(&file, 9200)?;
    ensure!(searches.len() == REQUESTS);
    let mut differences = Differences::default();
    for call in incident.requests()?.iter().filter(|line| line.n > 0).flat_map(|line| &line.calls) {
        // The backend reads its clock before it sends, and may wait for a core in between.
        let within = |search: &&Exchange| {
            (call.start..=call.end).contains(&search.start) && search.client_port == call.local_port
        };
        if call.kind == Kind::Upstream {
            let search = searches.iter().find(within).with_context(|| format!("tshark has no {call:?}"))?;
            differences.add(format!("{call:?}"), call.end - call.start, search.end - search.start, 1_000_000);
        }
    }
    ensure!(differences.len() == REQUESTS);
    differences.check("the backend's clock and tshark's")?;
    let queries = dns(&file)?;
    ensure!(!queries.is_empty() && queries.len().is_multiple_of(8), "{} answers", queries.len());
    ensure!(queries.iter().all(|query| (20_000_000..45_000_000).contains(&(query.end - query.start))));
    Ok(())
}

#[test]
fn the_load_keeps_its_pace() -> Result<()> {
    let nginx = Nginx::start()?;
    let summary = nginx.start_load(Path::new(PROGRAM), 20_000, 2)?.finish()?;
    ensure!(summary.ok == 40_000 && summary.seconds < 3.0, "{summary:?}");
    Ok(())
}
