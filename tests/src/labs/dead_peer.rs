//! Timeouts at every rolling update: a long-lived gRPC connection to a pod that is gone, in the ways in which
//! pods go.

use std::net::SocketAddr;
use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;

use super::rpc::{Call, callers, count, script, seconds};
use super::{Checks, Part, Seen, Stage, Story, Twin};
use crate::process::{Running, Signal};

pub(super) const VANISHED: Story = Story {
    name: "dead-peer",
    tells: "A client calls a pod over one gRPC connection, without keepalive and with a deadline of 6 s.",
    parts: &[
        Part {
            twin: Twin::Sick,
            tells: "after 3 s the pod vanishes without FIN or RST: each call hangs until its deadline",
            expected: &["dead-peer"],
        },
        Part { twin: Twin::Healthy, tells: "the pod stays", expected: &[] },
        // Slow calls among quick ones are a cause of their own.
        Part {
            twin: Twin::NearMiss,
            tells: "the pod stays, but some calls take 4 s",
            expected: &["expensive-request"],
        },
    ],
    pods: PODS,
    subject: "client",
    set_up: set_up_slow,
    traffic: vanish,
    check: check_vanished,
};

pub(super) const KEEPALIVE: Story = Story {
    name: "dead-peer-keepalive",
    tells: "A client calls a pod over one gRPC connection, with a keepalive of 2 s that waits 3 s; it knows \
            another pod.",
    parts: &[
        Part {
            twin: Twin::Sick,
            tells: "after 3 s the pod vanishes: the keepalive ends the call that hangs",
            expected: &["dead-peer"],
        },
        Part { twin: Twin::Healthy, tells: "the pod stays", expected: &[] },
        Part {
            twin: Twin::NearMiss,
            tells: "the pod is out of reach for 0.7 s: a call takes longer, and goes on",
            expected: &[],
        },
    ],
    pods: PODS,
    subject: "client",
    set_up,
    traffic: vanish_kept_alive,
    check: check_kept_alive,
};

pub(super) const GOAWAY: Story = Story {
    name: "dead-peer-goaway",
    tells: "A client calls a pod over one gRPC connection, and knows no other pod. Calls wait for a connection, \
            6 s at most.",
    parts: &[
        Part {
            twin: Twin::Sick,
            tells: "after 3 s the pod says GOAWAY and vanishes: connecting to it again hangs",
            expected: &["dead-peer"],
        },
        Part {
            twin: Twin::Healthy,
            tells: "the pod says GOAWAY every 3 s, and takes new connections",
            expected: &[],
        },
        Part {
            twin: Twin::NearMiss,
            tells: "after 3 s the pod says GOAWAY, and another process takes its place within a second",
            expected: &[],
        },
    ],
    pods: PODS,
    subject: "client",
    set_up: set_up_ageing,
    traffic: go_away,
    check: check_gone_away,
};

pub(super) const REFUSED: Story = Story {
    name: "dead-peer-refused",
    tells: "A client calls a pod over one gRPC connection.",
    parts: &[
        Part {
            twin: Twin::Sick,
            tells: "after 3 s the server is killed: its address refuses, and the client knows no other",
            expected: &["dead-peer"],
        },
        Part {
            twin: Twin::Healthy,
            tells: "the server is killed too, but the client knows its successor",
            expected: &[],
        },
        Part {
            twin: Twin::NearMiss,
            tells: "the server is killed, and runs again within a second",
            expected: &[],
        },
    ],
    pods: PODS,
    subject: "client",
    set_up,
    traffic: kill,
    check: check_refused,
};

const PODS: &[&str] = &["client", "old", "new"];
const METHOD: &str = "/items.v1.Items/Get";
const PORT: u16 = 50051;
/// A call's, in seconds.
const DEADLINE: f64 = 6.0;
const KEEPALIVE_FLAGS: &[&str] = &[
    "--option=grpc.keepalive_time_ms=2000",
    "--option=grpc.keepalive_timeout_ms=3000",
    "--option=grpc.http2.max_pings_without_data=0",
];
/// How long the client begins calls.
const SECONDS: f64 = 15.0;
const BEFORE: Duration = Duration::from_secs(3);

fn set_up(stage: &mut Stage) -> Result<()> {
    for pod in ["old", "new"] {
        let mut items = server(stage, pod);
        stage.serve(pod, PORT, &mut items)?;
    }
    Ok(())
}

/// The same for a story of which one part has an old pod with a flag.
fn set_up_with(stage: &mut Stage, twin: Twin, flag: &str) -> Result<()> {
    let mut items = server(stage, "old");
    items.args((stage.twin == twin).then_some(flag));
    stage.serve("old", PORT, &mut items)
}

fn set_up_slow(stage: &mut Stage) -> Result<()> {
    set_up_with(stage, Twin::NearMiss, "--slow-every=30")
}

fn set_up_ageing(stage: &mut Stage) -> Result<()> {
    set_up_with(stage, Twin::Healthy, "--connection-age=3000")
}

fn server(stage: &Stage, pod: &str) -> std::process::Command {
    let mut items = script(stage, pod, "items.py", pod);
    items.args(["--name", pod]);
    items
}

/// A client that calls until its time is over.
struct Client(Running);

impl Client {
    /// Calls the pods, of which gRPC takes the first that it reaches.
    fn start(stage: &Stage, pods: &[&str], flags: &[&str]) -> Result<Self> {
        let addresses = pods.iter().map(|pod| SocketAddr::new(stage.address(pod).into(), PORT).to_string());
        let target = format!("ipv4:{}", addresses.collect::<Vec<_>>().join(","));
        let mut command = callers(stage, "client", "calls", &target, METHOD);
        command.args(["--pause=0.05", &format!("--deadline={DEADLINE}"), &format!("--seconds={SECONDS}")]);
        // A second until a connect that nobody answers is given up, and between attempts.
        let backoff =
            ["initial", "min", "max"].map(|which| format!("grpc.{which}_reconnect_backoff_ms=1000"));
        for option in &backoff {
            command.args(["--option", option]);
        }
        command.args(flags);
        Ok(Self(Running::spawn("the client", &mut command)?))
    }

    /// Waits until it has ended.
    fn finish(mut self) -> Result<()> {
        let code = self.0.wait(Duration::from_secs(40))?;
        anyhow::ensure!(code == Some(0), "the client ended with {code:?}");
        Ok(())
    }
}

fn vanish(stage: &Stage) -> Result<()> {
    let client = Client::start(stage, &["old"], &[])?;
    sleep(BEFORE);
    if stage.twin == Twin::Sick {
        stage.lab.vanish(stage.pod("old"))?;
    }
    client.finish()
}

fn vanish_kept_alive(stage: &Stage) -> Result<()> {
    let client = Client::start(stage, &["old", "new"], KEEPALIVE_FLAGS)?;
    sleep(BEFORE);
    let old = stage.pod("old");
    if stage.twin != Twin::Healthy {
        stage.lab.vanish(old)?;
    }
    if stage.twin == Twin::NearMiss {
        sleep(Duration::from_millis(700));
        stage.lab.reappear(old)?;
    }
    client.finish()
}

fn go_away(stage: &Stage) -> Result<()> {
    let client = Client::start(stage, &["old"], &["--wait"])?;
    sleep(BEFORE);
    let mut successor = None;
    if stage.twin != Twin::Healthy {
        stage.signal("old", Signal::Terminate)?;
        // The server looks for signals every 50 ms, and says GOAWAY at once.
        sleep(Duration::from_millis(150));
    }
    match stage.twin {
        Twin::Sick => stage.lab.vanish(stage.pod("old"))?,
        Twin::NearMiss => successor = Some(stage.start("old", PORT, &mut server(stage, "old"))?),
        Twin::Healthy => {}
    }
    client.finish()?;
    drop(successor);
    Ok(())
}

fn kill(stage: &Stage) -> Result<()> {
    let pods: &[&str] = if stage.twin == Twin::Healthy { &["old", "new"] } else { &["old"] };
    let client = Client::start(stage, pods, &[])?;
    sleep(BEFORE);
    stage.signal("old", Signal::Kill)?;
    let successor = match stage.twin {
        Twin::NearMiss => Some(stage.start("old", PORT, &mut server(stage, "old"))?),
        _ => None,
    };
    client.finish()?;
    drop(successor);
    Ok(())
}

/// The client's log: what all of these stories are told by.
struct Told {
    calls: Vec<Call>,
    failed: Vec<Call>,
    /// The longest call, in seconds.
    longest: f64,
}

fn told(stage: &Stage, seen: &Seen, checks: &mut Checks) -> Result<Told> {
    let calls: Vec<Call> = stage.read("calls")?;
    count(checks, seen, METHOD, &calls);
    let failed: Vec<_> = calls.iter().filter(|call| !call.is_ok()).cloned().collect();
    let longest = calls.iter().map(Call::seconds).fold(0.0, f64::max);
    checks.holds(calls.len() > 30, format_args!("{} of {} calls failed", failed.len(), calls.len()));
    checks.evidence(seen, "dead-peer", "longest_hang_seconds", longest, 0.1);
    Ok(Told { calls, failed, longest })
}

fn check_vanished(stage: &Stage, seen: &Seen, checks: &mut Checks) -> Result<()> {
    let Told { failed, longest, .. } = told(stage, seen, checks)?;
    let hung = failed.iter().filter(|call| call.code == "DEADLINE_EXCEEDED").count();
    checks.same("calls that failed, and that hung until their deadline", failed.len(), hung);
    checks.holds((hung > 1) == (stage.twin == Twin::Sick), format_args!("{hung} calls hung"));
    let due = match stage.twin {
        Twin::Sick => DEADLINE,
        Twin::Healthy => 0.0,
        Twin::NearMiss => 4.0,
    };
    checks.near("seconds that the longest call took, and that it was to take", longest, due, 0.5);
    Ok(())
}

fn check_kept_alive(stage: &Stage, seen: &Seen, checks: &mut Checks) -> Result<()> {
    let Told { calls, failed, longest } = told(stage, seen, checks)?;
    let last = calls.last().map(|call| call.what.clone()).unwrap_or_default();
    let (due, failures, by) = match stage.twin {
        Twin::Sick => (1.0..5.0, 1, "new"),
        Twin::Healthy => (0.0..0.5, 0, "old"),
        Twin::NearMiss => (0.5..2.0, 0, "old"),
    };
    checks.same("calls that failed, and that were to", failed.len(), failures);
    checks
        .holds(due.contains(&longest), format_args!("the longest call took {longest:.3} s, due is {due:?}"));
    checks.holds(last == by, format_args!("the last call was answered by the {last} pod"));
    Ok(())
}

fn check_gone_away(stage: &Stage, seen: &Seen, checks: &mut Checks) -> Result<()> {
    let Told { calls, failed, longest } = told(stage, seen, checks)?;
    // Python's server cancels a call that comes between its GOAWAY and its end.
    let hung = failed.iter().filter(|call| call.code != "CANCELLED").count();
    checks.holds(failed.len() - hung <= 1, format_args!("{} calls were cancelled", failed.len() - hung));
    let (hangs, due) = match stage.twin {
        Twin::Sick => (2, DEADLINE..DEADLINE + 0.2),
        Twin::Healthy => (0, 0.0..0.5),
        Twin::NearMiss => (0, 0.2..2.5),
    };
    checks.holds(hung >= hangs, format_args!("{hung} calls hung until their deadline"));
    checks.holds((hung > 0) == (hangs > 0), format_args!("{hangs} or more were to"));
    checks
        .holds(due.contains(&longest), format_args!("the longest call took {longest:.3} s, due is {due:?}"));
    let ok_at_last = calls.last().is_some_and(Call::is_ok);
    checks.holds(ok_at_last == (hangs == 0), format_args!("the last call was answered: {ok_at_last}"));
    Ok(())
}

/// How calls fail without a connection, when they do not wait for one.
fn check_refused(stage: &Stage, seen: &Seen, checks: &mut Checks) -> Result<()> {
    let Told { calls, failed, longest } = told(stage, seen, checks)?;
    let unavailable = failed.iter().all(|call| call.code == "UNAVAILABLE");
    checks.holds(unavailable, "whatever failed, failed as unavailable");
    let ends = failed.first().zip(failed.last());
    let outage = ends.map_or(0.0, |(first, last)| seconds(last.end.saturating_sub(first.start)));
    let ok_at_last = calls.last().is_some_and(Call::is_ok);
    let sick = stage.twin == Twin::Sick;
    checks.holds(ok_at_last != sick, format_args!("the last call was answered: {ok_at_last}"));
    checks.holds(
        (outage > 5.0) == sick,
        format_args!("calls failed over {outage:.1} s, the longest in {longest:.3} s"),
    );
    Ok(())
}
