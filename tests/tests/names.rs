//! Pods by name: from the container runtime, from the Kubernetes API, from both and from neither, from the first
//! request on, and whatever breaks.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tracer_lab::cluster::api::{self, Api, Break};
use tracer_lab::cluster::cri;
use tracer_lab::cluster::node::{Node, REQUESTS, failed, is_named, until, up};
use tracer_lab::tracer::{Tracing, live_with, program};
use tracer_lab::wire::tshark;

fn start() -> Result<Node> {
    Node::start(Path::new(env!("CARGO_BIN_EXE_tracer-lab")))
}

/// The runtime alone: pods that start after the tracer are asked for when their first packet is seen, or told of.
#[test]
fn the_runtime_names_pods_from_their_first_request_on() -> Result<()> {
    let node = start()?;
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
    let node = start()?;
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
    let node = start()?;
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
    let node = start()?;
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
    let node = start()?;
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
        node.check_refused(&agent, reason)?;
        // A server that never answers is asked again after half a minute: too long for this test.
        if mood != api::Mood::Silent {
            api.set(api::Mood::Well);
            up(&agent, "kubernetes", 1.0)?;
            node.traffic()?;
            node.check_renamed(&agent, REQUESTS, 2 * REQUESTS)?;
        }
        agent.finish()?;
    }
    Ok(())
}

#[test]
fn a_broken_api_server_does_not_keep_the_runtime_from_naming() -> Result<()> {
    let node = start()?;
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
    let node = start()?;
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
    api.break_watches(Break::Unreadable);
    watches(&api, 8)?;
    ensure!(api.counts().0 == 4, "what fails twice is listed again: {:?}", api.counts());
    up(&agent, "kubernetes", 1.0)?;
    node.pods().iter().for_each(|pod| api.add(pod));
    node.traffic()?;
    node.check_named(&agent, REQUESTS)?;
    agent.finish().map(drop)
}

/// A capture chooses by what a source told of the pods.
#[test]
fn a_capture_chooses_pods_by_name_label_and_container() -> Result<()> {
    let node = start()?;
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
