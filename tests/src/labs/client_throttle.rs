//! Tiller: calls take as long as there are callers, because the service's own client of the API server sends
//! no more than 5 requests per second after a burst of 10.

use std::time::Duration;

use anyhow::Result;

use super::rpc::{Call, callers, compare, median, script, seconds};
use super::{Checks, Part, Seen, Stage, Story, Twin};
use crate::log::ExchangeLine;

pub(super) const STORY: Story = Story {
    name: "client-throttle",
    tells: "A gRPC service answers by asking an API server, through a client with a limit. It is called by 1, \
            by 5 and by 10 callers at a time.",
    parts: &[
        Part {
            twin: Twin::Sick,
            tells: "the client's limit is 5 per second after a burst of 10, and the API server takes 5 ms",
            expected: &["client-throttle"],
        },
        Part { twin: Twin::Healthy, tells: "the same with a limit of 500 per second", expected: &[] },
        Part {
            twin: Twin::NearMiss,
            tells: "a limit of 500 per second, but the API server takes 0.4 s",
            expected: &[],
        },
    ],
    pods: &["callers", "tiller", "apiserver"],
    subject: "tiller",
    set_up,
    traffic,
    check,
};

const METHOD: &str = "/hapi.services.tiller.ReleaseService/GetReleaseStatus";
const PORT: u16 = 44134;
/// Callers at a time, and calls that they make.
const PHASES: [(u32, usize); 3] = [(1, 20), (5, 30), (10, 40)];
/// By then the first calls have used the burst up.
const BURST: usize = 10;

fn set_up(stage: &mut Stage) -> Result<()> {
    let (qps, burst, delay) = match stage.twin {
        Twin::Sick => ("5", "10", "5"),
        Twin::Healthy => ("500", "1000", "5"),
        Twin::NearMiss => ("500", "1000", "400"),
    };
    let mut api = stage.role("apiserver", "answer", "apiserver");
    stage.serve("apiserver", 6443, api.args(["--listen", "0.0.0.0:6443", "--delay", delay]))?;
    let mut tiller = script(stage, "tiller", "tiller.py", "tiller");
    tiller.args(["--qps", qps, "--burst", burst]).arg(format!("--api={}:6443", stage.address("apiserver")));
    stage.serve("tiller", PORT, &mut tiller)
}

fn traffic(stage: &Stage) -> Result<()> {
    let target = format!("{}:{PORT}", stage.address("tiller"));
    for (parallel, calls) in PHASES {
        let mut command = callers(stage, "callers", "callers", &target, METHOD);
        command.arg(format!("--parallel={parallel}")).arg(format!("--calls={calls}"));
        Stage::finish("the callers", &mut command, Duration::from_secs(60))?;
    }
    Ok(())
}

fn check(stage: &Stage, seen: &Seen, checks: &mut Checks) -> Result<()> {
    let (called, served): (Vec<Call>, Vec<Call>) = (stage.read("callers")?, stage.read("tiller")?);
    let asked: Vec<ExchangeLine> = stage.read("apiserver")?;
    let due = PHASES.iter().map(|(_, calls)| calls).sum();
    checks.same(
        "calls made, and in the callers' log as answered",
        due,
        called.iter().filter(|call| call.is_ok()).count(),
    );
    checks.same("calls in the service's log, and requests in the API server's", served.len(), asked.len());
    for (parallel, _) in PHASES {
        let of_phase = called.iter().filter(|call| call.parallel == parallel).skip(if parallel == 1 {
            BURST
        } else {
            0
        });
        let took = median(of_phase.map(Call::seconds));
        let expected = match stage.twin {
            Twin::Sick => 0.2 * f64::from(parallel),
            Twin::Healthy => 0.01,
            Twin::NearMiss => 0.4,
        };
        checks.near(
            &format!("seconds per call, {parallel} callers at a time, and due"),
            took,
            expected,
            0.05,
        );
    }
    let waited: u64 = served.iter().map(|call| call.waited).sum();
    let total: f64 = served.iter().map(Call::seconds).sum();
    let share = seconds(waited) / total;
    checks.holds(
        (share > 0.9) == (stage.twin == Twin::Sick),
        format_args!("the service waited for its own limit {:.1} of {total:.1} s", seconds(waited)),
    );
    compare(checks, seen, METHOD, &called);
    breakdown(stage, seen, checks, share)
}

/// The waiting is the pod's own: `self`, and neither the API server's nor the network's. Without it there is
/// next to none.
fn breakdown(stage: &Stage, seen: &Seen, checks: &mut Checks, waited: f64) -> Result<()> {
    let local = stage.address("tiller").to_string();
    for (place, summary, name) in
        [("live", &seen.live, stage.pod("tiller").uid()), ("offline", &seen.offline, local.as_str())]
    {
        let pod = summary.pod(name)?;
        let (own, mean) = (pod.share("self"), pod.mean_seconds());
        let is_own = if stage.twin == Twin::Sick { (own - waited).abs() < 0.05 } else { own * mean < 0.1 };
        checks.holds(
            is_own,
            format_args!(
                "{place}: self is {own:.3} of {mean:.3} s per call, and waiting for the limit {waited:.3}"
            ),
        );
    }
    Ok(())
}
