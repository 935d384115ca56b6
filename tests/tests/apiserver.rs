//! Pods by name from a real API server: what `names` tests with a stand-in that breaks as asked. Run by
//! `cargo xtask apiserver`.

use std::path::Path;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tracer_lab::cluster::api::Mood;
use tracer_lab::cluster::node::{self, Node, REQUESTS, failures, until, up};
use tracer_lab::cluster::server::Cluster;
use tracer_lab::cluster::{Exposed, NODE};
use tracer_lab::http;
use tracer_lab::tracer::Tracing;

fn start() -> Result<Node> {
    Node::start(Path::new(env!("CARGO_BIN_EXE_tracer-lab")))
}

/// An agent that has listed the pods of its node.
fn agent<'a>(node: &'a Node, cluster: &Cluster<'_>) -> Result<Tracing<'a>> {
    let agent = node.agent(&node::flags(&cluster.kubeconfig()))?;
    up(&agent, "kubernetes", 1.0)?;
    Ok(agent)
}

/// Waits until the agent watches.
fn watches(cluster: &Cluster<'_>) -> Result<()> {
    until("the agent watches", || Ok(cluster.counts()?.1 == 1))
}

/// Waits until the agent knows so many pods.
fn knows(agent: &Tracing<'_>, pods: f64) -> Result<()> {
    until(&format!("{pods} pods"), || {
        let known = agent.metric("tracer_pod_source_pods", &[("source", "kubernetes")])?;
        Ok((known - pods).abs() < 0.5)
    })
}

#[test]
fn pods_have_their_names_from_their_first_request_on() -> Result<()> {
    let node = start()?;
    let cluster = Cluster::start(&node.pair.lab)?;
    let _server = cluster.serve(&[])?;
    let agent = agent(&node, &cluster)?;
    node.pods().iter().try_for_each(|pod| cluster.add(pod))?;
    node.traffic()?;
    node.check_named(&agent, REQUESTS)?;
    ensure!(cluster.counts()? == (1, 1), "lists, watches: {:?}", cluster.counts()?);
    agent.finish().map(drop)
}

#[test]
fn a_server_that_stops_is_watched_again_and_no_name_is_lost() -> Result<()> {
    let node = start()?;
    let cluster = Cluster::start(&node.pair.lab)?;
    let server = cluster.serve(&[])?;
    cluster.add(&node.web)?;
    let agent = agent(&node, &cluster)?;
    watches(&cluster)?;

    // Nothing happened meanwhile: the watch goes on where it ended.
    server.stop()?;
    let server = cluster.serve(&[])?;
    watches(&cluster)?;
    ensure!(cluster.counts()?.0 == 0, "a watch that ended is taken up without a list");

    // A pod came meanwhile, and the server that is back knows only what there is now: what the watch asks for is gone.
    server.stop()?;
    cluster.add(&node.caller)?;
    node::failed(&agent, "kubernetes", "connection")?;
    let _server = cluster.serve(&[])?;
    knows(&agent, 2.0)?;
    watches(&cluster)?;
    node::failed(&agent, "kubernetes", "gone")?;
    ensure!(cluster.counts()?.0 == 1, "what is too old is listed again: {:?}", cluster.counts()?);
    up(&agent, "kubernetes", 1.0)?;
    node.traffic()?;
    node.check_named(&agent, REQUESTS)?;
    agent.finish().map(drop)
}

/// Names stay while the server is down, and requests are counted as ever.
#[test]
fn names_stay_while_the_server_is_down() -> Result<()> {
    let node = start()?;
    let cluster = Cluster::start(&node.pair.lab)?;
    let server = cluster.serve(&[])?;
    node.pods().iter().try_for_each(|pod| cluster.add(pod))?;
    let agent = agent(&node, &cluster)?;
    node.traffic()?;
    // At once, as by a power cut.
    drop(server);
    node::failed(&agent, "kubernetes", "connection")?;
    node.traffic()?;
    node.check_named(&agent, 2 * REQUESTS)?;
    let _server = cluster.serve(&[])?;
    watches(&cluster)?;
    node.traffic()?;
    node.check_named(&agent, 3 * REQUESTS)?;
    agent.finish().map(drop)
}

/// Without its cache the server reads watches from etcd, which has forgotten what happened.
#[test]
fn what_etcd_has_forgotten_is_listed_again() -> Result<()> {
    let node = start()?;
    let cluster = Cluster::start(&node.pair.lab)?;
    let from_etcd = ["-watch-cache=false"];
    let server = cluster.serve(&from_etcd)?;
    let agent = agent(&node, &cluster)?;
    watches(&cluster)?;
    server.stop()?;
    node.pods().iter().try_for_each(|pod| cluster.add(pod))?;
    cluster.compact()?;
    let _server = cluster.serve(&from_etcd)?;
    knows(&agent, 2.0)?;
    ensure!(failures(&agent, "kubernetes", "gone")? > 0.5, "etcd had the versions still");
    ensure!(cluster.counts()?.0 == 1, "lists, watches: {:?}", cluster.counts()?);
    node.traffic()?;
    node.check_named(&agent, REQUESTS)?;
    agent.finish().map(drop)
}

/// etcd has the next version still, but not what was before: the server says 500 in a watch that begins there, each time.
#[test]
fn a_watch_that_always_fails_is_begun_anew() -> Result<()> {
    let node = start()?;
    let cluster = Cluster::start(&node.pair.lab)?;
    let from_etcd = ["-watch-cache=false"];
    let server = cluster.serve(&from_etcd)?;
    cluster.add(&node.web)?;
    let agent = agent(&node, &cluster)?;
    watches(&cluster)?;
    server.stop()?;
    cluster.patch(&node.web, &json!({ "metadata": { "labels": { "changed": "once" } } }), &[])?;
    cluster.compact()?;
    cluster.add(&node.caller)?;
    let _server = cluster.serve(&from_etcd)?;
    knows(&agent, 2.0)?;
    ensure!(failures(&agent, "kubernetes", "server")? > 0.5, "etcd had what was before");
    node.traffic()?;
    node.check_named(&agent, REQUESTS)?;
    agent.finish().map(drop)
}

/// With the role of the manifests, and without.
#[test]
fn an_agent_that_may_not_list_pods_says_so_and_names_them_when_it_may() -> Result<()> {
    let node = start()?;
    let cluster = Cluster::start(&node.pair.lab)?;
    cluster.allow(false)?;
    let _server = cluster.serve(&[])?;
    node.pods().iter().try_for_each(|pod| cluster.add(pod))?;
    let agent = node.agent(&node::flags(&cluster.kubeconfig()))?;
    node.traffic()?;
    node.check_refused(&agent, "forbidden")?;
    cluster.allow(true)?;
    up(&agent, "kubernetes", 1.0)?;
    node.traffic()?;
    node.check_renamed(&agent, REQUESTS, 2 * REQUESTS)?;
    agent.finish().map(drop)
}

/// A watch that goes on is not asked again whether it may; the next one is.
#[test]
fn an_agent_whose_role_is_taken_away_keeps_the_names_that_it_knows() -> Result<()> {
    let node = start()?;
    let cluster = Cluster::start(&node.pair.lab)?;
    let server = cluster.serve(&[])?;
    node.pods().iter().try_for_each(|pod| cluster.add(pod))?;
    let agent = agent(&node, &cluster)?;
    cluster.allow(false)?;
    server.stop()?;
    let _server = cluster.serve(&[])?;
    node::failed(&agent, "kubernetes", "forbidden")?;
    up(&agent, "kubernetes", 0.0)?;
    node.traffic()?;
    node.check_named(&agent, REQUESTS)?;
    cluster.allow(true)?;
    watches(&cluster)?;
    // That the watch works shows when it tells of something.
    cluster.patch(&node.web, &json!({ "metadata": { "labels": { "changed": "once" } } }), &[])?;
    up(&agent, "kubernetes", 1.0)?;
    agent.finish().map(drop)
}

#[test]
fn pods_of_this_node_are_listed_over_pages() -> Result<()> {
    let node = start()?;
    let cluster = Cluster::start(&node.pair.lab)?;
    let _server = cluster.serve(&[])?;
    let pod = |number: usize, of: &str| {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": format!("{of}-{number}"), "namespace": "crowd" },
            "spec": { "nodeName": of, "containers": [{ "name": "app", "image": "registry.test/app:1" }] },
        })
    };
    let items: Vec<_> =
        (0..500).map(|number| pod(number, NODE)).chain((0..20).map(|number| pod(number, "node-2"))).collect();
    cluster.create(&json!({ "apiVersion": "v1", "kind": "List", "items": items }))?;
    // Their namespace comes last, on the second page.
    node.pods().iter().try_for_each(|pod| cluster.add(pod))?;
    let agent = agent(&node, &cluster)?;
    knows(&agent, 502.0)?;
    ensure!(cluster.counts()? == (2, 1), "lists, watches: {:?}", cluster.counts()?);
    node.traffic()?;
    node.check_named(&agent, REQUESTS)?;
    agent.finish().map(drop)
}

/// What `names` and `peers` are tested with has to be like this server.
#[test]
fn the_stand_in_lists_objects_as_this_server_does() -> Result<()> {
    let node = start()?;
    let cluster = Cluster::start(&node.pair.lab)?;
    let (stand_in, _flags) = node.api(Mood::Well)?;
    // As they come in lists: by namespace and name.
    for pod in [&node.caller, &node.web] {
        cluster.add(pod)?;
        stand_in.add(pod);
    }
    let service = Exposed { name: "web", address: node.pair.server.addresses().v4 };
    cluster.add_service(&service)?;
    stand_in.add_service(&service);
    cluster.add_endpoint(&service, &node.web)?;
    stand_in.add_endpoint(&service, &node.web);
    for path in [
        &format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{NODE}&limit=500"),
        "/api/v1/services?limit=500",
        "/apis/discovery.k8s.io/v1/endpointslices?limit=500",
    ] {
        let real = listed(&cluster.get(path)?)?;
        let told = listed(&node.pair.lab.node().enter(|| http::get(stand_in.address(), path))?)?;
        ensure!(real == told, "{path}: the server: {real:#}\n the stand-in: {told:#}");
    }
    Ok(())
}

/// A list without what is different each time, and what the lab alone needs.
fn listed(text: &str) -> Result<Value> {
    let mut list: Value = serde_json::from_str(text)?;
    let items = list["items"].as_array_mut().into_iter().flatten();
    for metadata in items.map(|item| &mut item["metadata"]).filter_map(Value::as_object_mut) {
        for own in ["annotations", "creationTimestamp", "managedFields", "resourceVersion", "uid"] {
            metadata.remove(own);
        }
    }
    list["metadata"]["resourceVersion"] = Value::Null;
    Ok(list)
}
