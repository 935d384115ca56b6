//! Reads that should be fast: a client of etcd that authenticates for each call, values of 1 MB, and a range
//! for which etcd sorts every key that there is.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::python::SYSTEM;
use super::rpc::{Call, compare, median, script};
use super::{Checks, Part, Seen, Stage, Story, Twin};

pub(super) const STORY: Story = Story {
    name: "etcd",
    tells: "A backend reads from an etcd with authentication: for each request one key linearizable and one \
            serializable, for some a value or a range.",
    parts: &[
        Part {
            twin: Twin::Sick,
            tells: "it authenticates for each read, reads 1 MB at a time, and has every key sorted",
            expected: &["etcd-authenticate", "expensive-request", "large-response"],
        },
        Part {
            twin: Twin::Healthy,
            tells: "it authenticates once, and reads 100 kB and 500 keys at a time",
            expected: &[],
        },
        Part {
            twin: Twin::NearMiss,
            tells: "the same, but the process is replaced after 10 requests, and each authenticates once",
            expected: &[],
        },
    ],
    pods: &["client", "backend", "etcd"],
    subject: "backend",
    set_up,
    traffic,
    check,
};

const AUTHENTICATE: &str = "/etcdserverpb.Auth/Authenticate";
const RANGE: &str = "/etcdserverpb.KV/Range";
const PORT: u16 = 2379;
const REQUESTS: u64 = 60;
const RECYCLE: usize = 10;
/// So many that sorting them takes more than 300 ms, also on a fast machine.
const KEYS: &str = "600000";
/// What makes an etcd that has users, of whom the backend is one.
const USERS: &str = "user add root:rootpw
user add app:apppw
role add app
role grant-permission app --prefix=true readwrite m
role grant-permission app --prefix=true readwrite l
role grant-permission app --prefix=true readwrite f
user grant-role app app
user grant-role root root
auth enable";

fn set_up(stage: &mut Stage) -> Result<()> {
    let address = format!("{}:{PORT}", stage.address("etcd"));
    let mut etcd = stage.command("etcd", "etcd");
    let url = format!("http://{address}");
    etcd.arg("--data-dir").arg(stage.lab.dir().join("etcd-data"));
    etcd.args(["--listen-client-urls", &format!("{url},http://127.0.0.1:{PORT}")]);
    etcd.args(["--advertise-client-urls", &url, "--logger", "zap", "--log-outputs"]);
    etcd.arg(stage.lab.dir().join("etcd.log"));
    etcd.args(["--max-txn-ops", "10000", "--max-request-bytes", "8000000"]);
    stage.serve("etcd", PORT, &mut etcd)?;
    let mut fill = script(stage, "etcd", "etcd.py", "fill");
    fill.args(["fill", "--keys", KEYS, "--address", &format!("127.0.0.1:{PORT}")]);
    Stage::finish("filling etcd", &mut fill, Duration::from_secs(60))?;
    for line in USERS.lines() {
        let mut etcdctl = stage.command("etcd", "etcdctl");
        Stage::finish("etcdctl", etcdctl.args(line.split(' ')), Duration::from_secs(20))?;
    }
    std::fs::write(before(stage), metrics(stage)?).context("keep etcd's metrics")?;
    let mut backend = script(stage, "backend", "etcd.py", "backend");
    backend.args(["serve", "--address", &address, "--calls-log"]).arg(stage.log("calls"));
    match stage.twin {
        Twin::Sick => backend.arg("--sick"),
        Twin::Healthy => &mut backend,
        Twin::NearMiss => backend.arg(format!("--recycle={RECYCLE}")),
    };
    stage.serve("backend", 8080, &mut backend)
}

fn traffic(stage: &Stage) -> Result<()> {
    stage.ask(1, REQUESTS, 1).map(drop)
}

fn check(stage: &Stage, seen: &Seen, checks: &mut Checks) -> Result<()> {
    let calls: Vec<Call> = stage.read("calls")?;
    checks.holds(calls.iter().all(Call::is_ok), format_args!("all of {} calls were answered", calls.len()));
    let earlier = std::fs::read_to_string(before(stage)).context("etcd's metrics")?;
    let later = metrics(stage)?;
    for method in [AUTHENTICATE, RANGE] {
        let logged = calls.iter().filter(|call| call.method == method).count();
        let handled = handled(&later, method)? - handled(&earlier, method)?;
        checks.same(&format!("{method}: the client's log, and etcd's own count"), logged, handled);
        compare(checks, seen, method, &calls);
    }
    let ranges = calls.iter().filter(|call| call.method == RANGE).count();
    let due = match stage.twin {
        Twin::Sick => ranges,
        Twin::Healthy => 1,
        Twin::NearMiss => usize::try_from(REQUESTS)? / RECYCLE,
    };
    checks.same("authentications that the story has, and that were made", due, calls.len() - ranges);
    shape(stage, checks, &calls);
    Ok(())
}

/// What takes how long, and how large it is.
fn shape(stage: &Stage, checks: &mut Checks, calls: &[Call]) {
    let took = |what: &str| median(calls.iter().filter(|call| call.what == what).map(Call::seconds));
    let (single, authenticate) = (took("linearizable"), took(""));
    checks.holds(
        authenticate > 10.0 * single,
        format_args!(
            "Authenticate takes {:.1} ms, a read of one key {:.2} ms",
            1e3 * authenticate,
            1e3 * single
        ),
    );
    let largest = calls.iter().map(|call| call.bytes).max().unwrap_or_default();
    let longest = calls.iter().filter(|call| call.method == RANGE).map(Call::seconds).fold(0.0, f64::max);
    let sick = stage.twin == Twin::Sick;
    checks.holds((largest > 1_000_000) == sick, format_args!("the largest answer has {largest} bytes"));
    checks
        .holds((took("sorted") > 0.3) == sick, format_args!("a sorted range takes {:.3} s", took("sorted")));
    checks.holds((longest > 0.3) == sick, format_args!("the longest range takes {longest:.3} s"));
}

fn before(stage: &Stage) -> std::path::PathBuf {
    stage.lab.dir().join("etcd-before.log")
}

/// What etcd says of itself.
fn metrics(stage: &Stage) -> Result<String> {
    let program = format!(
        "import urllib.request as r; print(r.urlopen('http://127.0.0.1:{PORT}/metrics', timeout=10).read().decode())"
    );
    let mut ask: Command = stage.command("etcd", SYSTEM);
    Stage::finish("reading etcd's metrics", ask.args(["-c", &program]), Duration::from_secs(20))
}

/// How many calls of a method etcd answered well, by its `grpc_server_handled_total`.
fn handled(metrics: &str, method: &str) -> Result<usize> {
    let (service, name) = method.trim_start_matches('/').split_once('/').context("not a method")?;
    let labels = format!(
        "grpc_server_handled_total{{grpc_code=\"OK\",grpc_method=\"{name}\",grpc_service=\"{service}\",grpc_type=\"unary\"}} "
    );
    let value = metrics.lines().find_map(|line| line.strip_prefix(&labels));
    value.map_or(Ok(0), |value| value.parse().with_context(|| format!("{labels}{value}")))
}

#[cfg(test)]
mod tests {
    use super::{RANGE, handled};

    #[test]
    fn what_etcd_handled_is_read_from_its_metrics() {
        let metrics = "grpc_server_handled_total{grpc_code=\"OK\",grpc_method=\"Range\",grpc_service=\"etcdserverpb.KV\",grpc_type=\"unary\"} 12\n";
        assert_eq!(handled(metrics, RANGE).unwrap(), 12);
        assert_eq!(handled("", RANGE).unwrap(), 0);
    }
}
