//! One outside name costs a round of NXDOMAIN per search domain, because of `ndots:5`.

use anyhow::Result;

use super::dns::{Dns, queries, serve};
use super::sdk::{Backend, Served, median_seconds, serve_backend, serve_store};
use super::{Checks, Part, Seen, Stage, Story, Twin};
use crate::incident::SEARCH;

pub(super) const STORY: Story = Story {
    name: "dns-search",
    tells: "A backend makes a client of the AWS SDK for each request, which resolves the object store's name \
            each time. dnsmasq takes 20 to 40 ms for an answer.",
    parts: &[
        Part {
            twin: Twin::Sick,
            tells: "a name with two dots, ndots:5 and three search domains: three rounds of NXDOMAIN first",
            expected: &["dns-search"],
        },
        Part { twin: Twin::Healthy, tells: "the same name with ndots:1", expected: &[] },
        Part {
            twin: Twin::NearMiss,
            tells: "ndots:5 and a short name, which the first search domain has: expanded, nothing wasted",
            expected: &[],
        },
    ],
    pods: &["client", "backend", "store", "dns"],
    subject: "backend",
    set_up,
    traffic,
    check,
};

const OUTSIDE: &str = "store.objects.example.com";
const SHORT: &str = "store";
const REQUESTS: u64 = 30;

fn set_up(stage: &mut Stage) -> Result<()> {
    let address = stage.address("store");
    let inside = format!("{SHORT}.{}", SEARCH[0]);
    serve(stage, &Dns { names: &[(OUTSIDE, address), (&inside, address)], delay: (20, 40) })?;
    serve_store(stage)?;
    let (ndots, name) = match stage.twin {
        Twin::Sick => (5, OUTSIDE),
        Twin::Healthy => (1, OUTSIDE),
        Twin::NearMiss => (5, SHORT),
    };
    let server = stage.address("dns");
    stage.pod("backend").namespace().write_resolv_conf(&format!(
        "nameserver {server}\nsearch {}\noptions ndots:{ndots}\n",
        SEARCH.join(" ")
    ))?;
    let python = stage.tools.aws_sdk.clone();
    serve_backend(
        stage,
        &Backend { python: &python, store: name, recycle: 0, fresh: true, credentials: true },
    )
}

fn traffic(stage: &Stage) -> Result<()> {
    stage.ask(1, REQUESTS, 1).map(drop)
}

fn check(stage: &Stage, seen: &Seen, checks: &mut Checks) -> Result<()> {
    let (served, queries): (Vec<Served>, _) = (stage.read("backend")?, queries(stage)?);
    let requests = usize::try_from(REQUESTS)?;
    checks.same("requests made, and in the backend's log", requests, served.len());
    let per_lookup = 2 * if stage.twin == Twin::Sick { SEARCH.len() + 1 } else { 1 };
    checks.same("queries of A and AAAA: due, and in dnsmasq's log", requests * per_lookup, queries.len());
    let wasted =
        |domain: &str| queries.iter().filter(|query| query.name == format!("{OUTSIDE}.{domain}")).count();
    for domain in SEARCH {
        let expected = if stage.twin == Twin::Sick { 2 * requests } else { 0 };
        checks.same(&format!("queries of {OUTSIDE}.{domain}: due, and in the log"), expected, wasted(domain));
    }
    let median = 1000.0 * median_seconds(&served);
    checks.holds(true, format_args!("a request took the SDK {median:.1} ms"));
    checks.evidence(seen, "dns-search", "lookups_expanded", 30.0, 0.0);
    checks.evidence(seen, "dns-search", "wasted_queries_per_lookup", 6.0, 0.0);
    checks.evidence(seen, "dns-search", "queries_per_lookup", 8.0, 0.0);
    Ok(())
}
