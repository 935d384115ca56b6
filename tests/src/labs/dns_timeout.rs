//! The first name server of a pod never answers: each lookup waits 5 s and then asks the second one.

use anyhow::Result;

use super::dns::{Dns, queries, serve};
use super::sdk::{Backend, Served, serve_backend, serve_store};
use super::{Checks, Part, Seen, Stage, Story, Twin};
use crate::Lab;

pub(super) const STORY: Story = Story {
    name: "dns-timeout",
    tells: "A backend makes a client of the AWS SDK for each request, which resolves the object store's name \
            each time. It has two name servers.",
    parts: &[
        Part {
            twin: Twin::Sick,
            tells: "the first name server never answers: glibc gives it 5 s, each time",
            expected: &["dns-timeout"],
        },
        Part { twin: Twin::Healthy, tells: "the first name server answers", expected: &[] },
        Part { twin: Twin::NearMiss, tells: "the first name server answers after 1.5 s", expected: &[] },
    ],
    pods: &["client", "backend", "store", "dns"],
    subject: "backend",
    set_up,
    traffic,
    check,
};

const NAME: &str = "store.objects.example.com";
/// At 5 s each, three at a time, 20 s of traffic.
const REQUESTS: u64 = 12;
const PARALLEL: u64 = 3;

fn set_up(stage: &mut Stage) -> Result<()> {
    let delay = if stage.twin == Twin::NearMiss { (1500, 1510) } else { (20, 40) };
    let address = stage.address("store");
    serve(stage, &Dns { names: &[(NAME, address)], delay })?;
    serve_store(stage)?;
    stage.lab.add_silence()?;
    let answering = stage.address("dns");
    let (first, second) =
        if stage.twin == Twin::Sick { (Lab::SILENCE, answering) } else { (answering, Lab::SILENCE) };
    let file = format!("nameserver {first}\nnameserver {second}\noptions ndots:1\n");
    stage.pod("backend").namespace().write_resolv_conf(&file)?;
    let python = stage.tools.aws_sdk.clone();
    serve_backend(
        stage,
        &Backend { python: &python, store: NAME, recycle: 0, fresh: true, credentials: true },
    )
}

fn traffic(stage: &Stage) -> Result<()> {
    stage.ask(1, REQUESTS, PARALLEL).map(drop)
}

fn check(stage: &Stage, seen: &Seen, checks: &mut Checks) -> Result<()> {
    let (served, queries): (Vec<Served>, _) = (stage.read("backend")?, queries(stage)?);
    let requests = usize::try_from(REQUESTS)?;
    checks.same("requests made, and in the backend's log", requests, served.len());
    checks.same("queries of A and AAAA: due, and in dnsmasq's log", 2 * requests, queries.len());
    checks.holds(queries.iter().all(|query| query.name == NAME), "all of them of the name itself");
    let slow = served.iter().filter(|line| line.end - line.start > 5_000_000_000).count();
    let due = if stage.twin == Twin::Sick { requests } else { 0 };
    checks.same("requests of more than 5 s, and how many should be", slow, due);
    checks.evidence(seen, STORY.name, "lookups_timed_out", 12.0, 0.0);
    checks.evidence(seen, STORY.name, "longest_wait_seconds", 5.0, 0.1);
    Ok(())
}
