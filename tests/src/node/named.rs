//! Pods of each class, whose requests must all be there under their names.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use serde_json::json;

use super::agent::Agent;
use super::kubelet::{Kubelet, Pod};
use super::manifest::PodSpec;
use super::{LAB_IMAGE, identity, said};
use crate::http::Connection;
use crate::http::request;

/// Where the pods answer.
pub(super) const PORT: u16 = 8080;
/// From the node, and from another pod.
const REQUESTS: u64 = 20;
/// Longer than requests take to settle.
const PATIENCE: Duration = Duration::from_secs(20);
/// Resources that make each class.
const CLASSES: [(&str, &str); 3] = [
    ("guaranteed", r#"{"limits": {"cpu": "500m", "memory": "64Mi"}}"#),
    ("burstable", r#"{"requests": {"memory": "16Mi"}, "limits": {"memory": "64Mi"}}"#),
    ("besteffort", "{}"),
];

/// What the agent said of one pod.
#[derive(Debug, Serialize)]
pub(super) struct Named {
    pod: String,
    class: &'static str,
    /// Requests made, and those that the agent has under the pod's name.
    made: u64,
    summed: u64,
    counted: u64,
    /// Connections of the pod that called it, under that pod's name.
    callers_connects: u64,
}

/// A pod that answers requests, of the class numbered.
pub(super) fn server(class: usize) -> Result<(&'static str, PodSpec)> {
    let (name, resources) = CLASSES[class % CLASSES.len()];
    let listen = format!("--listen=0.0.0.0:{PORT}");
    Ok((name, spec(resources, &["answer", &listen, "--log=/dev/null"])?))
}

fn spec(resources: &str, args: &[&str]) -> Result<PodSpec> {
    let resources: serde_json::Value = serde_json::from_str(resources)?;
    PodSpec::of(&json!({
        "containers": [{ "name": "app", "image": LAB_IMAGE, "args": args, "resources": resources }],
    }))
}

/// Makes requests from the node: the first as soon as the pod listens.
pub(super) fn requests(pod: &Pod, count: u64) -> Result<()> {
    let address = SocketAddr::new(pod.address, PORT);
    let deadline = Instant::now() + PATIENCE;
    let mut connection = loop {
        match Connection::open(address) {
            Ok(connection) => break connection,
            Err(error) => ensure!(Instant::now() < deadline, "{}: {error:#}", pod.identity),
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    for n in 0..count {
        connection.send(&request("GET", &format!("/v1/items/{n}"), "web", &[]))?;
        let status = connection.receive()?.message.status()?;
        ensure!(status == 200, "{}: status {status}", pod.identity);
    }
    Ok(())
}

/// Runs a pod of each class and a caller of it, and reads what the agent says of them.
pub(super) fn run(kubelet: &Kubelet, agent: &Agent) -> Result<(Vec<Named>, Vec<String>)> {
    let mut pods = Vec::new();
    for (class, (_, resources)) in CLASSES.iter().enumerate() {
        let (name, spec) = server(class)?;
        said(&format!("a pod of class {name}, and a caller"));
        let server = kubelet.run(identity("shop", &format!("web-{name}")), &spec)?;
        requests(&server, REQUESTS)?;
        let caller = call(kubelet, &server, resources, name)?;
        pods.push((name, server, caller));
    }
    said("their requests settle");
    let done = settle(agent, &pods)?;
    said("they are removed");
    let mut problems: Vec<String> =
        done.iter().filter(|named| !named.is_complete()).map(|named| format!("{named:?}")).collect();
    let known =
        pods.iter().flat_map(|(_, server, caller)| [server.identity.known(), caller.identity.known()]);
    let known: Vec<_> = known.chain([agent.pod.identity.known()]).collect();
    let strays = agent.seen()?.names().into_iter().filter(|name| !known.contains(name));
    problems.extend(strays.map(|name| format!("the agent speaks of {name:?}")));
    for (_, server, caller) in &pods {
        kubelet.remove(caller)?;
        kubelet.remove(server)?;
    }
    Ok((done, problems))
}

/// A pod that calls another one and ends.
fn call(kubelet: &Kubelet, server: &Pod, resources: &str, class: &str) -> Result<Pod> {
    let target = format!("--target={}:{PORT}", server.address);
    let requests = format!("--requests={REQUESTS}");
    let spec = spec(resources, &["client", &target, &requests, "--log=/dev/null"])?;
    let caller = kubelet.run(identity("shop", &format!("caller-{class}")), &spec)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        match kubelet.status(&caller)?.exited {
            Some(code) => {
                ensure!(code == 0, "{} ended with {code}", caller.identity);
                return Ok(caller);
            }
            None => ensure!(Instant::now() < deadline, "{} did not end", caller.identity),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn settle(agent: &Agent, pods: &[(&'static str, Pod, Pod)]) -> Result<Vec<Named>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let seen = agent.seen().context("read what the agent says of the pods")?;
        let named = pods.iter().map(|(class, server, caller)| {
            let (name, callers) = (server.identity.known(), caller.identity.known());
            Named {
                pod: server.identity.to_string(),
                class,
                made: 2 * REQUESTS,
                summed: seen.summed(&name),
                counted: seen.counted(&name),
                callers_connects: seen.metric(
                    "tracer_tcp_connects_total",
                    &callers,
                    "result=\"established\"",
                ),
            }
        });
        let named: Vec<_> = named.collect();
        if named.iter().all(Named::is_complete) || Instant::now() > deadline {
            return Ok(named);
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

impl Named {
    fn is_complete(&self) -> bool {
        self.summed == self.made && self.counted == self.made && self.callers_connects == 1
    }
}

#[cfg(test)]
mod tests {
    use super::{CLASSES, server};

    #[test]
    fn the_classes_are_what_they_are_called() {
        for (number, (name, _)) in CLASSES.iter().enumerate() {
            let class = server(number).unwrap().1.class();
            assert_eq!(format!("{class:?}").to_lowercase(), *name);
        }
    }
}
