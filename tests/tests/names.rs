//! Pods by name: from the container runtime, from the Kubernetes API, from both and from neither, from the first
//! request on, and whatever breaks.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tracer_lab::cluster::api::{self, Api, Break};
use tracer_lab::cluster::cri::{self, Cri};
use tracer_lab::cluster::{Described, NODE};
use tracer_lab::pair::Pair;
use tracer_lab::process::run;
use tracer_lab::tracer::report::{PodSummary, Workload};
use tracer_lab::tracer::{Tracing, live_with, program};
use tracer_lab::wire::tshark;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tracer-lab");
const REQUESTS: u64 = 20;
/// Longer than a watch waits after a failure or two.
const PATIENCE: Duration = Duration::from_secs(15);

/// Two pods, and what the sources may know of them.
struct Node {
    pair: Pair,
    web: Described,
    caller: Described,
}

impl Node {
    fn start() -> Result<Self> {
        let pair = Pair::start(Path::new(PROGRAM), "answer", &[])?;
        let (web, caller) = (Described::of(&pair.server, "web"), Described::of(&pair.client, "caller"));
        Ok(Self { pair, web, caller })
    }

    fn socket(&self) -> PathBuf {
        self.pair.lab.dir().join("cri.sock")
    }

    fn cri(&self, mood: cri::Mood) -> Result<(Cri, [String; 2])> {
        let socket = self.socket();
        let flags = ["--cri-socket".to_owned(), socket.display().to_string()];
        Ok((Cri::start(&socket, mood)?, flags))
    }

    fn api(&self, mood: api::Mood) -> Result<(Api, Vec<String>)> {
        let api = Api::start(self.pair.lab.node(), mood)?;
        let kubeconfig = api.kubeconfig(self.pair.lab.dir())?;
        let flags = ["--kubeconfig", &kubeconfig.to_string_lossy(), "--node-name", NODE].map(str::to_owned);
        Ok((api, flags.into()))
    }

    fn agent(&self, flags: &[String]) -> Result<Tracing<'_>> {
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        Tracing::start(&program()?, &self.pair.lab, "agent", &flags)
    }

    fn traffic(&self) -> Result<()> {
        let log = self.pair.lab.dir().join("client.jsonl");
        let mut client = self.pair.client("client");
        run(client.args(["--requests", &REQUESTS.to_string(), "--log"]).arg(log)).map(drop)
    }

    /// Both pods, for a source to know.
    fn pods(&self) -> [Described; 2] {
        [self.web.clone(), self.caller.clone()]
    }

    /// Summary and metrics have the pods by name, and by nothing else.
    fn check_named(&self, agent: &Tracing<'_>, requests: u64) -> Result<()> {
        let summary = agent.settled(&self.web.shown(), requests)?;
        is_named(summary.pod(&self.web.shown())?, &self.web, requests)?;
        let name = self.web.name();
        let labels =
            [("namespace", &*self.web.namespace), ("pod", &*name), ("workload", &*self.web.workload)];
        let counted = agent.metric("tracer_request_duration_seconds_count", &labels)?;
        ensure!((counted - as_float(requests)).abs() < 0.5, "{counted} requests, {requests} made");
        let name = self.caller.name();
        let of_caller = [("pod", &*name), ("workload", "caller"), ("result", "established")];
        let connects = agent.metric("tracer_tcp_connects_total", &of_caller)?;
        ensure!(connects > 0.5, "{connects} connects");
        let metrics = agent.get("/metrics")?;
        let unnamed =
            metrics.lines().find(|line| line.contains(&self.web.uid) || line.contains(&self.caller.uid));
        ensure!(unnamed.is_none(), "a series without a name: {unnamed:?}");
        Ok(())
    }
}

fn is_named(pod: &PodSummary, described: &Described, requests: u64) -> Result<()> {
    ensure!(pod.requests == requests, "{} requests of {requests}: {pod:?}", pod.requests);
    ensure!(pod.uid == described.uid && pod.namespace.as_ref() == Some(&described.namespace), "{pod:?}");
    ensure!(pod.name == Some(described.name()), "{pod:?}");
    let workload = Workload { kind: "Deployment".to_owned(), name: described.workload.clone() };
    ensure!(pod.workload == Some(workload), "{pod:?}");
    Ok(())
}

/// The runtime alone: pods that start after the tracer are asked for when their first packet is seen, or told of.
#[test]
fn the_runtime_names_pods_from_their_first_request_on() -> Result<()> {
    let node = Node::start()?;
    for mood in [cri::Mood::Well, cri::Mood::WithoutEvents] {
        let (cri, flags) = node.cri(mood)?;
        let agent = node.agent(&flags)?;
        up(&agent, "cri", 1.0)?;
        node.pods().into_iter().for_each(|pod| cri.add(pod));
        node.traffic()?;
        node.check_named(&agent, REQUESTS)?;
        agent.finish()?;
        std::fs::remove_file(node.socket())?;
    }
    Ok(())
}

#[test]
fn a_runtime_that_does_not_answer_holds_nothing_up_and_names_pods_later() -> Result<()> {
    let node = Node::start()?;
    let (cri, flags) = node.cri(cri::Mood::Silent)?;
    node.pods().into_iter().for_each(|pod| cri.add(pod));
    let agent = node.agent(&flags)?;
    let early = agent.get("/readyz").err().context("ready before the runtime has answered")?;
    ensure!(format!("{early:#}").contains("503"), "{early:#}");
    node.traffic()?;
    let summary = agent.settled(&node.web.uid, REQUESTS)?;
    ensure!(summary.pod(&node.web.uid)?.requests == REQUESTS, "{summary:?}");
    failed(&agent, "cri", "timeout")?;
    agent.get("/readyz").context("a runtime that fails does not keep the agent from being ready")?;
    cri.set(cri::Mood::Well);
    up(&agent, "cri", 1.0)?;
    agent.finish().map(drop)
}

/// The API alone, and `tracer live`.
#[test]
fn the_api_names_pods_from_their_first_request_on() -> Result<()> {
    let node = Node::start()?;
    let (api, flags) = node.api(api::Mood::Slow(Duration::from_millis(200)))?;
    let agent = node.agent(&flags)?;
    up(&agent, "kubernetes", 1.0)?;
    api.set(api::Mood::Well);
    node.pods().iter().for_each(|pod| api.add(pod));
    node.traffic()?;
    node.check_named(&agent, REQUESTS)?;
    agent.finish().map(drop)
}

#[test]
fn live_names_pods_by_both_and_neither() -> Result<()> {
    let node = Node::start()?;
    let (cri, of_cri) = node.cri(cri::Mood::Well)?;
    let (api, of_api) = node.api(api::Mood::Well)?;
    for pod in node.pods() {
        api.add(&pod);
        cri.add(pod);
    }
    let flags: Vec<&str> = of_cri.iter().chain(&of_api).map(String::as_str).collect();
    let seen = live_with(&program()?, &node.pair.lab, &flags, || node.traffic())?;
    is_named(seen.summary.pod(&node.web.shown())?, &node.web, REQUESTS)?;
    ensure!(seen.requests.iter().any(|request| request.pod == node.web.shown()), "requests are not named");

    let seen = live_with(&program()?, &node.pair.lab, &["--cri-socket", "none"], || node.traffic())?;
    let pod = seen.summary.pod(&node.web.uid)?;
    ensure!(pod.requests == REQUESTS && pod.pod == node.web.uid && pod.name.is_none(), "{pod:?}");
    Ok(())
}

/// Whatever the API server does: traffic is reported without names, and with the runtime's where that knows them.
#[test]
fn a_broken_api_server_is_counted_and_asked_again() -> Result<()> {
    let node = Node::start()?;
    let broken = [
        (api::Mood::Refusing(403), "forbidden"),
        (api::Mood::Refusing(500), "server"),
        (api::Mood::Silent, "timeout"),
    ];
    for (mood, reason) in broken {
        let (api, flags) = node.api(mood)?;
        node.pods().iter().for_each(|pod| api.add(pod));
        let agent = node.agent(&flags)?;
        node.traffic()?;
        let summary = agent.settled(&node.web.uid, REQUESTS)?;
        ensure!(summary.pod(&node.web.uid)?.requests == REQUESTS, "{mood:?}: {summary:?}");
        failed(&agent, "kubernetes", reason)?;
        up(&agent, "kubernetes", 0.0)?;
        let said = agent.stderr()?.matches("names do not come from this source").count();
        ensure!(said == 3, "said {said} times of three resources: {}", agent.stderr()?);
        // A server that never answers is asked again after half a minute: too long for this test.
        if mood != api::Mood::Silent {
            api.set(api::Mood::Well);
            up(&agent, "kubernetes", 1.0)?;
            node.traffic()?;
            node.check_renamed(&agent)?;
        }
        agent.finish()?;
    }
    Ok(())
}

impl Node {
    /// The sums go on under the name, and the series begin anew.
    fn check_renamed(&self, agent: &Tracing<'_>) -> Result<()> {
        let summary = agent.settled(&self.web.shown(), 2 * REQUESTS)?;
        is_named(summary.pod(&self.web.shown())?, &self.web, 2 * REQUESTS)?;
        let name = self.web.name();
        let counted = agent.metric("tracer_request_duration_seconds_count", &[("pod", &name)])?;
        ensure!((counted - as_float(REQUESTS)).abs() < 0.5, "{counted} requests since the pod has its name");
        ensure!(!agent.get("/metrics")?.contains(&self.web.uid), "series without a name stay");
        Ok(())
    }
}

#[test]
fn a_broken_api_server_does_not_keep_the_runtime_from_naming() -> Result<()> {
    let node = Node::start()?;
    let (cri, of_cri) = node.cri(cri::Mood::Well)?;
    // Nobody listens there any more.
    let of_api = node.api(api::Mood::Well)?.1;
    let agent = node.agent(&[&of_cri[..], &of_api].concat())?;
    up(&agent, "cri", 1.0)?;
    node.pods().into_iter().for_each(|pod| cri.add(pod));
    node.traffic()?;
    node.check_named(&agent, REQUESTS)?;
    failed(&agent, "kubernetes", "connection")?;
    agent.finish().map(drop)
}

/// Watches that end, break and get too old: what comes after is known, too.
#[test]
fn watches_that_break_are_taken_up_again() -> Result<()> {
    let node = Node::start()?;
    let (api, flags) = node.api(api::Mood::Well)?;
    let agent = node.agent(&flags)?;
    up(&agent, "kubernetes", 1.0)?;
    api.bookmark();
    watches(&api, 1)?;
    api.break_watches(Break::Torn);
    watches(&api, 2)?;
    ensure!(api.counts().0 == 1, "a torn watch is taken up where it ended, without a list");
    api.break_watches(Break::Gone);
    watches(&api, 3)?;
    failed(&agent, "kubernetes", "gone")?;
    ensure!(api.counts().0 == 2, "what is too old is listed again: {:?}", api.counts());
    api.break_watches(Break::GoneAtStart);
    watches(&api, 5)?;
    ensure!(api.counts().0 == 3, "what is too old is listed again: {:?}", api.counts());
    up(&agent, "kubernetes", 1.0)?;
    node.pods().iter().for_each(|pod| api.add(pod));
    node.traffic()?;
    node.check_named(&agent, REQUESTS)?;
    agent.finish().map(drop)
}

/// A capture chooses by what a source told of the pods.
#[test]
fn a_capture_chooses_pods_by_name_label_and_container() -> Result<()> {
    let node = Node::start()?;
    let (cri, flags) = node.cri(cri::Mood::Well)?;
    node.pods().into_iter().for_each(|pod| cri.add(pod));
    let name = node.caller.name();
    let [web, caller] = [node.web.shown(), node.caller.shown()];
    for (choice, expected) in [
        (&["--label", "app=web"][..], vec![&web]),
        (&["--label", "app", "--container", "app"], vec![&caller, &web]),
        (&["--namespace", "shop", "--pod", &name], vec![&caller]),
        (&["--label", "app=web", "--container", "side"], vec![]),
    ] {
        let file = node.pair.lab.dir().join("chosen.pcapng");
        let written = file.to_string_lossy();
        let of_cri = flags.iter().map(String::as_str);
        let flags: Vec<&str> =
            ["-w", &written].into_iter().chain(of_cri).chain(choice.iter().copied()).collect();
        let tracing = Tracing::start(&program()?, &node.pair.lab, "capture", &flags)?;
        until("names", || Ok(tracing.stderr()?.contains("this source tells the names")))?;
        node.traffic()?;
        tracing.finish()?;
        let interfaces: BTreeSet<String> = tshark(&file, "frame", &["frame.interface_name"])?
            .into_iter()
            .map(|line| line.concat())
            .collect();
        let right = interfaces.len() == expected.len()
            && interfaces.iter().zip(&expected).all(|(found, wanted)| found.contains(wanted.as_str()));
        ensure!(right, "{choice:?}: {interfaces:?}");
    }
    Ok(())
}

/// Waits until watches were begun that often.
fn watches(api: &Api, count: u64) -> Result<()> {
    until(&format!("{count} watches"), || Ok(api.counts().1 >= count))
}

/// What a source says of this node's pods.
fn resource(source: &str) -> &'static str {
    if source == "cri" { "sandboxes" } else { "pods" }
}

/// Waits until the agent says so of a source.
fn up(agent: &Tracing<'_>, source: &str, value: f64) -> Result<()> {
    until(&format!("{source} up: {value}"), || {
        let is =
            agent.metric("tracer_pod_source_up", &[("source", source), ("resource", resource(source))])?;
        Ok((is - value).abs() < 0.5)
    })
}

/// Waits until the agent has counted such a failure.
fn failed(agent: &Tracing<'_>, source: &str, reason: &str) -> Result<()> {
    until(&format!("{source} failed: {reason}"), || {
        let labels = [("source", source), ("resource", resource(source)), ("reason", reason)];
        Ok(agent.metric("tracer_pod_source_errors_total", &labels)? > 0.5)
    })
}

fn until(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !holds().context(what.to_owned())? {
        ensure!(Instant::now() < deadline, "not after {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// A count as metrics have it.
fn as_float(count: u64) -> f64 {
    u32::try_from(count).map_or(f64::NAN, f64::from)
}
