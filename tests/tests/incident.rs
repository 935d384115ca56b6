//! The incident alone, without the tracer: it takes what its story says, by its own servers' logs.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Result, ensure};
use tracer_lab::incident::{Incident, NAME, SEARCH, Settings};
use tracer_lab::log::{Kind, RequestLine};
use tracer_lab::role::backend::Mode;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tracer-lab");

#[test]
fn the_sick_twin_asks_for_credentials_each_time_and_for_four_names() -> Result<()> {
    let incident = Incident::start(Settings::sick(Path::new(PROGRAM)))?;
    incident.run(30, 1)?;
    let requests: Vec<_> = incident.requests()?.into_iter().filter(|request| request.n > 0).collect();
    ensure!(requests.len() == 30);
    for request in &requests {
        ensure!(
            spent(request, Kind::Metadata) > 86.0 && spent(request, Kind::Upstream) > 18.0,
            "{request:?}"
        );
    }
    let median = median(requests.iter().map(total).collect());
    println!("sick: a request without DNS takes {median:.2} ms");
    ensure!((105.0..110.0).contains(&median), "a request takes {median} ms");

    let queries = incident.queries()?;
    let of = |name: &str| queries.iter().filter(|query| query.name == name).collect::<Vec<_>>();
    ensure!(of(NAME).iter().all(|query| query.rcode == 0) && !of(NAME).is_empty());
    for domain in SEARCH {
        let expanded = of(&format!("{NAME}.{domain}"));
        ensure!(
            expanded.len() == of(NAME).len() && expanded.iter().all(|query| query.rcode == 3),
            "{expanded:?}"
        );
    }
    let lookups: Vec<_> =
        requests.iter().map(|request| spent(request, Kind::Dns)).filter(|&ms| ms > 0.0).collect();
    println!("sick: lookups take {lookups:.2?} ms");
    ensure!(!lookups.is_empty() && lookups.iter().all(|&milliseconds| milliseconds > 80.0));
    Ok(())
}

#[test]
fn the_healthy_twin_asks_once() -> Result<()> {
    let incident = Incident::start(Settings::healthy(Path::new(PROGRAM)))?;
    incident.run(30, 1)?;
    let requests: Vec<_> = incident.requests()?.into_iter().filter(|request| request.n > 0).collect();
    ensure!(requests.iter().all(|request| spent(request, Kind::Metadata) == 0.0));
    ensure!(incident.queries()?.iter().all(|query| query.name == NAME && query.rcode == 0));
    let median = median(requests.iter().map(total).collect());
    println!("healthy: a request takes {median:.2} ms");
    ensure!((19.0..22.0).contains(&median), "a request takes {median} ms");
    Ok(())
}

#[test]
fn sixteen_at_once_and_over_ipv6_are_answered_by_threads_and_by_tokio() -> Result<()> {
    for mode in [Mode::Thread, Mode::Async] {
        let incident = Incident::start(Settings { mode, ..Settings::sick(Path::new(PROGRAM)) })?;
        incident.run(160, 16)?;
        incident.run_to(incident.backend.addresses().v6.into(), 5, 1)?;
        let requests: Vec<_> = incident.requests()?.into_iter().filter(|request| request.n > 0).collect();
        ensure!(requests.len() == 165 && requests.iter().all(|request| request.status == 200));
        let threads: BTreeSet<_> = requests.iter().map(|request| request.tid).collect();
        let expected = if mode == Mode::Thread { 17 } else { 2 };
        ensure!(threads.len() == expected, "{mode:?}: answered by {} threads", threads.len());
    }
    Ok(())
}

/// Milliseconds that a request spent in calls of a kind.
fn spent(request: &RequestLine, kind: Kind) -> f64 {
    request
        .calls
        .iter()
        .filter(|call| call.kind == kind)
        .map(|call| milliseconds(call.end - call.start))
        .sum()
}

fn total(request: &RequestLine) -> f64 {
    milliseconds(request.t3 - request.t0)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

fn milliseconds(nanoseconds: u64) -> f64 {
    std::time::Duration::from_nanos(nanoseconds).as_secs_f64() * 1000.0
}
