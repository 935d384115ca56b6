//! Names of those whom pods call: services and the pods behind them, from the Kubernetes API.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use tracer_lab::cluster::api::{Api, Mood};
use tracer_lab::cluster::{Described, Exposed, NODE};
use tracer_lab::incident::{Incident, Settings};
use tracer_lab::tracer::{Live, live_with, program};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tracer-lab");
const REQUESTS: u64 = 5;

/// Names that calls of the backend to Elasticsearch have.
fn names(incident: &Incident, live: &Live) -> Result<BTreeSet<Option<String>>> {
    let elastic = format!("{}:", incident.elastic.addresses().v4);
    let requests = live.of(incident.backend.uid())?;
    let calls = requests.iter().flat_map(|request| &request.calls);
    let names: BTreeSet<_> =
        calls.filter(|call| call.peer.starts_with(&elastic)).map(|call| call.peer_name.clone()).collect();
    ensure!(!names.is_empty(), "no call to {elastic}");
    Ok(names)
}

#[test]
fn a_call_has_the_name_of_the_service_or_of_the_pod_behind_it() -> Result<()> {
    let incident = Incident::start(Settings::sick(Path::new(PROGRAM)))?;
    let api = Api::start(incident.lab.node(), Mood::Well)?;
    let kubeconfig = api.kubeconfig(incident.lab.dir())?;
    let kubeconfig = kubeconfig.to_str().context("a path that is text")?;
    let flags = ["--kubeconfig", kubeconfig, "--node-name", NODE, "--cri-socket", "none"];
    let traced =
        |flags: &[&str]| live_with(&program()?, &incident.lab, flags, || incident.run(REQUESTS, 1).map(drop));
    let service = Exposed { name: "search", address: incident.elastic.addresses().v4 };
    api.add_service(&service);
    ensure!(names(&incident, &traced(&flags)?)? == [Some("shop/search".to_owned())].into());
    let pod = Described::of(&incident.elastic, "elastic");
    api.add_endpoint(&service, &pod);
    ensure!(names(&incident, &traced(&flags)?)? == [Some(pod.shown())].into());
    let without = [&flags[..], &["--peer-names=false"]].concat();
    ensure!(names(&incident, &traced(&without)?)? == [None].into());
    Ok(())
}
