//! The same over IPv6: requests, lookups, and the calls to the metadata service and Elasticsearch.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use tracer_lab::incident::{Incident, SEARCH, Settings};
use tracer_lab::oracle::{Differences, breakdown, line_of};
use tracer_lab::pod::network::Family;
use tracer_lab::tracer::report::STAGES;
use tracer_lab::tracer::{live, program};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tracer-lab");
const REQUESTS: u64 = 60;

#[test]
fn the_incident_over_ipv6_has_the_same_breakdown_and_findings() -> Result<()> {
    let incident = Incident::start(Settings { family: Family::V6, ..Settings::sick(Path::new(PROGRAM)) })?;
    let live = live(&program()?, &incident.lab, || incident.run(REQUESTS, 1).map(drop))?;
    let requests = live.of(incident.backend.uid())?;
    ensure!(requests.len() as u64 == REQUESTS, "{} requests were traced", requests.len());
    let (logged, queries) = (incident.requests()?, incident.queries()?);
    for stage in STAGES {
        let mut differences = Differences::default();
        for request in &requests {
            differences.add_stage(request, stage, breakdown(line_of(request, &logged)?, &queries)[stage]);
        }
        differences.check(&format!("stage {stage}"))?;
    }
    let metadata: IpAddr = "fd00:ec2::254".parse()?;
    for request in &requests {
        ensure!(
            address(&request.peer)? == IpAddr::from(incident.client.addresses().v6),
            "peer {}",
            request.peer
        );
        for call in &request.calls {
            let peer = address(&call.peer)?;
            ensure!(peer.is_ipv6() && (peer == metadata) == (call.kind == "metadata"), "{call:?}");
        }
    }
    let pod = live.summary.pod(incident.backend.uid())?;
    ensure!(pod.share("metadata") >= 0.7, "{:?}", pod.stages);
    ensure!(pod.attribution["thread"] > 0 && pod.attribution["none"] == 0, "{:?}", pod.attribution);
    let lifetime = pod.finding("metadata-credentials")?.number("credentials_lifetime_seconds")?;
    ensure!((lifetime - 900.0).abs() <= 1.0, "a lifetime of {lifetime} s");
    let search = pod.finding("dns-search")?;
    ensure!(SEARCH.iter().all(|domain| search.explanation.contains(domain)), "{search:?}");
    Ok(())
}

fn address(text: &str) -> Result<IpAddr> {
    Ok(text.parse::<SocketAddr>().with_context(|| format!("not an address: {text}"))?.ip())
}
