//! Five servers behind one name, and all calls go to one of them: because a health checker hears from no
//! other, or because the client stays at the first one that it found.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use serde::Deserialize;

use super::dns::{Dns, queries, serve};
use super::rpc::{Call, callers, compare, script};
use super::{Checks, Part, Seen, Stage, Story, Twin};

pub(super) const HEARTBEATS: Story = Story {
    name: "endpoint-pinned",
    tells: "A client calls the servers behind a name that answer its heartbeats. There are five.",
    parts: &[
        Part {
            twin: Twin::Sick,
            tells: "only one of the five answers heartbeats, and gets all calls",
            expected: &["endpoint-pinned"],
        },
        Part { twin: Twin::Healthy, tells: "all five answer, and get their turn", expected: &[] },
        Part {
            twin: Twin::NearMiss,
            tells: "all five answer, and seven calls are spread at random: most go to one",
            expected: &[],
        },
    ],
    pods: &["checker", "dns", "s1", "s2", "s3", "s4", "s5"],
    subject: "checker",
    set_up: set_up_heartbeats,
    traffic: call_those_alive,
    check: check_heartbeats,
};

pub(super) const FIRST: Story = Story {
    name: "endpoint-pinned-first",
    tells: "A gRPC client calls the servers behind a name, which it resolves once.",
    parts: &[
        Part {
            twin: Twin::Sick,
            tells: "the name has five addresses, and gRPC's default policy stays at the first that it reaches",
            expected: &["endpoint-pinned"],
        },
        Part { twin: Twin::Healthy, tells: "the same with the policy round_robin", expected: &[] },
        Part {
            twin: Twin::NearMiss,
            tells: "the default policy, but the name has one address",
            expected: &[],
        },
    ],
    pods: &["client", "dns", "s1", "s2", "s3", "s4", "s5"],
    subject: "client",
    set_up: set_up_first,
    traffic: call_first,
    check: check_first,
};

const SERVERS: [&str; 5] = ["s1", "s2", "s3", "s4", "s5"];
const NAME: &str = "items.prod.svc.cluster.local";
const METHOD: &str = "/items.v1.Items/Get";
const PORT: u16 = 50051;
const CALLS: usize = 200;
const FEW: usize = 7;
/// From this seed, four of seven calls go to one of five servers.
const SEED: &str = "16";

fn set_up_heartbeats(stage: &mut Stage) -> Result<()> {
    let mute = if stage.twin == Twin::Sick { &SERVERS[1..] } else { &[] };
    set_up(stage, &SERVERS, mute, "checker")
}

fn set_up_first(stage: &mut Stage) -> Result<()> {
    let listed = if stage.twin == Twin::NearMiss { &SERVERS[..1] } else { &SERVERS };
    set_up(stage, listed, &[], "client")
}

/// Starts the servers, of which some are mute, and a DNS server that has the address of those listed.
fn set_up(stage: &mut Stage, listed: &[&str], mute: &[&str], client: &str) -> Result<()> {
    for server in SERVERS {
        let mut items = script(stage, server, "items.py", server);
        items.args(["--name", server]).args(mute.contains(&server).then_some("--mute"));
        stage.serve(server, PORT, &mut items)?;
    }
    let names: Vec<_> = listed.iter().map(|server| (NAME, stage.address(server))).collect();
    serve(stage, &Dns { names: &names, delay: (1, 2) })?;
    let file = format!("nameserver {}\n", stage.address("dns"));
    stage.pod(client).namespace().write_resolv_conf(&file)
}

fn call_those_alive(stage: &Stage) -> Result<()> {
    let mut checker = script(stage, "checker", "checker.py", "calls");
    checker.arg("--beats-log").arg(stage.log("beats")).args(["--name", NAME]);
    match stage.twin {
        Twin::NearMiss => checker.args(["--pause=0.5", "--random", SEED, &format!("--calls={FEW}")]),
        _ => checker.arg(format!("--calls={CALLS}")),
    };
    Stage::finish("the checker", &mut checker, Duration::from_secs(60)).map(drop)
}

fn call_first(stage: &Stage) -> Result<()> {
    let target = format!("dns:///{NAME}:{PORT}");
    let mut client = callers(stage, "client", "calls", &target, METHOD);
    client.args(["--pause=0.05", &format!("--calls={CALLS}")]);
    if stage.twin == Twin::Healthy {
        let policy = r#"grpc.service_config={"loadBalancingConfig":[{"round_robin":{}}]}"#;
        client.args(["--option", policy]);
    }
    Stage::finish("the client", &mut client, Duration::from_secs(60)).map(drop)
}

#[derive(Deserialize)]
struct Beat {
    server: String,
    ok: bool,
}

fn check_heartbeats(stage: &Stage, seen: &Seen, checks: &mut Checks) -> Result<()> {
    let beats: Vec<Beat> = stage.read("beats")?;
    let one = stage.address(SERVERS[0]).to_string();
    let asked = beats.iter().filter(|beat| beat.server == one).count();
    let alive = if stage.twin == Twin::Sick { 1 } else { SERVERS.len() };
    let answered = beats.iter().filter(|beat| beat.ok).count();
    checks.holds(
        answered.abs_diff(asked * alive) <= SERVERS.len() && asked > 2,
        format_args!("{answered} of {} heartbeats were answered, as those of {alive} servers", beats.len()),
    );
    check(stage, seen, checks)
}

fn check_first(stage: &Stage, seen: &Seen, checks: &mut Checks) -> Result<()> {
    let asked = queries(stage)?.iter().filter(|query| query.name == NAME && query.kind == "A").count();
    checks.holds(asked > 0, format_args!("{asked} queries of A for the name"));
    check(stage, seen, checks)
}

/// How the calls are spread, by the client's log and by each server's.
fn check(stage: &Stage, seen: &Seen, checks: &mut Checks) -> Result<()> {
    let calls: Vec<Call> = stage.read("calls")?;
    let mut shares = BTreeMap::new();
    for server in SERVERS {
        let served: Vec<Call> = stage.read(server)?;
        shares.insert(server, served.len());
    }
    checks.same("calls in the client's log, and in the servers'", calls.len(), shares.values().sum());
    let most = shares.values().copied().max().unwrap_or_default();
    let fits = match (stage.twin, calls.len()) {
        (Twin::Healthy, all) => most <= all / SERVERS.len() + SERVERS.len(),
        (Twin::NearMiss, FEW) => most < FEW && most > FEW / 2,
        (_, all) => most == all,
    };
    checks.holds(fits, format_args!("calls by server: {shares:?}"));
    compare(checks, seen, METHOD, &calls);
    Ok(())
}
