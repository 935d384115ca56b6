//! A real Prometheus reads the agent: the documented expressions say what the agent says, and the dashboards show
//! something.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tracer_lab::incident::{Incident, Settings};
use tracer_lab::prometheus::Prometheus;
use tracer_lab::tracer::report::STAGES;
use tracer_lab::tracer::{LISTEN, Tracing, program};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tracer-lab");
/// Requests before the first scrape, so that Prometheus knows every series from the start, and after it.
const BEFORE: u64 = 5;
const AFTER: u64 = 100;
/// `rate` extends each series to the edges of its window, by up to the time between two scrapes: here a second of
/// ten between the first and the last.
const ACCURACY: f64 = 0.1;
/// What Grafana puts in place of its variables.
const VARIABLES: [(&str, &str); 4] =
    [("$__rate_interval", "1m"), ("$__range", "5m"), ("$namespace", ".*"), ("$pod", ".*")];
/// Panels without a value in this lab.
const EMPTY: [(&str, &str); 1] =
    [("Time of a run", "the kernel counts the programs' time only with kernel.bpf_stats_enabled=1")];

#[test]
fn prometheus_shows_the_breakdown_that_the_agent_has() -> Result<()> {
    let incident = Incident::start(Settings::sick(Path::new(PROGRAM)))?;
    let agent = Tracing::start(&program()?, &incident.lab, "agent", &[])?;
    let uid = incident.backend.uid();
    incident.run(BEFORE, 1)?;
    let before = agent.settled(uid, BEFORE)?.pod(uid)?.clone();
    let prometheus = Prometheus::start(&incident.lab, LISTEN.parse()?)?;
    let count = format!("tracer_request_duration_seconds_count{{pod=\"{uid}\"}}");
    prometheus.wait_for(&count, to_float(before.requests))?;
    incident.run(AFTER, 2)?;
    let after = agent.settled(uid, BEFORE + AFTER)?.pod(uid)?.clone();
    prometheus.wait_for(&count, to_float(after.requests))?;

    let requests = to_float(after.requests - before.requests);
    let breakdown = prometheus.query(&expressions("README.md")?[0])?;
    for stage in STAGES {
        let of_stage = |labels: &Value| labels["pod"] == uid && labels["stage"] == stage;
        let found = breakdown.iter().find(|sample| of_stage(&sample.labels));
        let found = found.with_context(|| format!("no {stage} in {breakdown:?}"))?.value;
        let expected = (after.stages[stage] - before.stages[stage]) / requests;
        tracer_lab::say(&format!(
            "{stage}: {:.3} ms by Prometheus, {:.3} ms by the agent",
            found * 1e3,
            expected * 1e3
        ));
        ensure!((found - expected).abs() < 1e-6 + expected * ACCURACY, "{stage}: {found} s and {expected} s");
        let counter = format!("tracer_request_stage_seconds_total{{pod=\"{uid}\",stage=\"{stage}\"}}");
        prometheus.wait_for(&counter, after.stages[stage])?;
    }

    for page in ["README.md", "docs/metrics.md"] {
        for expression in expressions(page)? {
            ensure!(has_value(&prometheus, &expression)?, "{page}: {expression} has no value");
        }
    }
    check_dashboards(&prometheus)?;
    agent.finish().map(drop)
}

/// Every panel has a value, other than those that are known to have none here.
fn check_dashboards(prometheus: &Prometheus<'_>) -> Result<()> {
    let (mut shown, mut empty) = (0, BTreeSet::new());
    let folder = repository("manifests/components/dashboards");
    for entry in fs::read_dir(&folder).with_context(|| format!("list {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let dashboard: Value = serde_json::from_str(&fs::read_to_string(&path)?)?;
        for panel in dashboard["panels"].as_array().context("no panels")? {
            let title = panel["title"].as_str().unwrap_or_default();
            for target in panel["targets"].as_array().into_iter().flatten() {
                let expression = target["expr"].as_str().unwrap_or_default();
                let expression = VARIABLES
                    .iter()
                    .fold(expression.to_owned(), |text, (name, value)| text.replace(name, value));
                if has_value(prometheus, &expression)? {
                    shown += 1;
                } else {
                    empty.insert(title.to_owned());
                }
            }
        }
    }
    tracer_lab::say(&format!("{shown} expressions of dashboards have values; without: {empty:?}"));
    let expected: BTreeSet<String> = EMPTY.iter().map(|(title, _)| (*title).to_owned()).collect();
    ensure!(empty.is_subset(&expected), "panels without a value: {empty:?}; expected: {EMPTY:?}");
    ensure!(shown > 30, "only {shown} expressions have values");
    Ok(())
}

fn has_value(prometheus: &Prometheus<'_>, expression: &str) -> Result<bool> {
    let samples = prometheus.query(expression).with_context(|| expression.to_owned())?;
    Ok(samples.iter().any(|sample| sample.value.is_finite()))
}

/// The expressions on a page.
fn expressions(page: &str) -> Result<Vec<String>> {
    let text = fs::read_to_string(repository(page)).with_context(|| format!("read {page}"))?;
    let blocks = text.split("```promql\n").skip(1);
    let found: Vec<String> = blocks.filter_map(|block| Some(block.split_once("```")?.0.to_owned())).collect();
    ensure!(!found.is_empty(), "{page} has no expression");
    Ok(found)
}

fn repository(path: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", path].iter().collect()
}

#[expect(clippy::cast_precision_loss, reason = "counts of this test are small")]
fn to_float(count: u64) -> f64 {
    count as f64
}
