//! `tracer-lab demo`: the incident under all three live commands, its healthy twin, and a check of
//! every claim made on the way.

mod text;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::Value;

use crate::incident::{Incident, SEARCH, Settings, Twin};
use crate::tracer::Tracing;
use crate::tracer::report::{Finding, PodSummary, Summary};

/// Flags of the demonstration.
#[derive(Args)]
pub struct Demo {
    /// The tracer program
    #[arg(long)]
    tracer: PathBuf,
    /// Directory for summary.json, requests.jsonl, capture.pcapng, metrics.txt and healthy.json
    #[arg(long)]
    out: PathBuf,
    /// Requests to the backend, of the incident and of its healthy twin
    #[arg(long, default_value_t = 100)]
    requests: u64,
    /// The least part of the backend's time that goes to the metadata service; less on emulated machines,
    /// where everything else is slow
    #[arg(long, default_value_t = 0.7)]
    least_share: f64,
    /// Only this twin; both without it
    #[arg(long, value_enum)]
    twin: Option<Twin>,
}

impl Demo {
    /// Runs the twins; an error names the claim that does not hold.
    pub fn run(&self) -> Result<()> {
        fs::create_dir_all(&self.out).with_context(|| format!("make {}", self.out.display()))?;
        let program = std::env::current_exe().context("find tracer-lab itself")?;
        let sick = match self.twin {
            Some(Twin::Healthy) => None,
            _ => Some(self.sick(&program).context("the metadata incident")?),
        };
        if self.twin != Some(Twin::Sick) {
            let healthy = self.healthy(&program).context("the healthy twin")?;
            text::healthy(sick.as_ref(), &healthy);
        }
        text::files(&self.out, self.twin, sick.as_ref());
        Ok(())
    }

    /// The backend's part of the summary.
    fn sick(&self, program: &Path) -> Result<PodSummary> {
        text::opening();
        let incident = Incident::start(Settings::sick(program))?;
        text::pods(&incident);
        let (summary, live) = self.trace(&incident)?;
        println!("{}", live.trim_end());
        let backend = summary.pod(incident.backend.uid())?;
        self.check_sick(&summary, backend)?;
        text::sick(backend, &summary.accounting);
        Ok(backend.clone())
    }

    /// The summary and the output of `tracer live`, with the demonstration's files written.
    fn trace(&self, incident: &Incident) -> Result<(Summary, String)> {
        let file = |name: &str| self.out.join(name).to_string_lossy().into_owned();
        let start = |command, flags: &[&str]| Tracing::start(&self.tracer, &incident.lab, command, flags);
        let agent = start("agent", &[])?;
        let capture = start("capture", &["-w", &file("capture.pcapng")])?;
        // The pod's cgroup, of which the container's is a part.
        let pod = incident.backend.cgroup().parent().context("the container's cgroup has no parent")?;
        let lines = file("requests.jsonl");
        let flags = ["--waterfall", "1", "--requests", &lines];
        let live = Tracing::start_on(pod, &self.tracer, &incident.lab, "live", &flags)?;
        text::commands(self.requests, pod, &lines);
        incident.run(self.requests, 1)?;
        let summary = agent.settled(incident.backend.uid(), self.requests)?;
        write(&self.out.join("summary.json"), &agent.get("/api/v1/summary")?)?;
        write(&self.out.join("metrics.txt"), &agent.get("/metrics")?)?;
        capture.finish()?;
        agent.finish()?;
        Ok((summary, live.finish()?))
    }

    fn check_sick(&self, summary: &Summary, backend: &PodSummary) -> Result<()> {
        ensure!(
            backend.requests == self.requests,
            "{} of {} requests are in the summary",
            backend.requests,
            self.requests
        );
        let share = backend.share("metadata");
        ensure!(share >= self.least_share, "metadata is {:.1} % of the backend's time", 100.0 * share);
        check_credentials(backend.finding("metadata-credentials")?)?;
        check_search(backend.finding("dns-search")?)?;
        summary.accounting.check()?;
        ensure!(!summary.partial, "the summary is partial: {:?}", summary.accounting);
        let capture = fs::read(self.out.join("capture.pcapng")).context("read the capture")?;
        ensure!(capture.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]), "capture.pcapng is not a pcapng file");
        Ok(())
    }

    /// The backend's part of the summary, in which no pod has a finding.
    fn healthy(&self, program: &Path) -> Result<PodSummary> {
        text::twin(self.requests);
        let incident = Incident::start(Settings::healthy(program))?;
        let agent = Tracing::start(&self.tracer, &incident.lab, "agent", &[])?;
        incident.run(self.requests, 1)?;
        let summary = agent.settled(incident.backend.uid(), self.requests)?;
        write(&self.out.join("healthy.json"), &agent.get("/api/v1/summary")?)?;
        agent.finish()?;
        let backend = summary.pod(incident.backend.uid())?;
        ensure!(backend.requests == self.requests, "{} of {} requests", backend.requests, self.requests);
        for pod in &summary.pods {
            ensure!(pod.findings.is_empty(), "pod {} has findings: {:?}", pod.pod, pod.findings);
        }
        Ok(backend.clone())
    }
}

/// It names the lifetime, the threshold that it never exceeds, and what to do.
fn check_credentials(finding: &Finding) -> Result<()> {
    let lifetime = finding.number("credentials_lifetime_seconds")?;
    ensure!((lifetime - 900.0).abs() <= 1.0, "a lifetime of {lifetime} s, not 15 minutes");
    let threshold = finding.number("sdk_refresh_threshold_seconds")?;
    ensure!((threshold - 900.0).abs() < 0.5, "an SDK threshold of {threshold} s, not 15 minutes");
    let calls = finding.number("metadata_calls_per_request")?;
    ensure!((calls - 2.0).abs() < 0.1, "{calls} metadata calls per request, not 2");
    ensure!(finding.explanation.contains("live 15 minutes"), "{finding:?}");
    ensure!(finding.remedy.contains("--session-duration=60m"), "{finding:?}");
    Ok(())
}

/// It names the queries that each lookup wastes, the domains that it tries, and what to do.
fn check_search(finding: &Finding) -> Result<()> {
    let wasted = finding.number("wasted_queries_per_lookup")?;
    // A and AAAA for each domain.
    let made = f64::from(u32::try_from(2 * SEARCH.len())?);
    ensure!((wasted - made).abs() < 0.01, "{wasted} wasted queries per lookup, not {made}");
    let domains = finding.evidence["search_domains"].as_array().context("search_domains is no list")?;
    ensure!(domains.iter().filter_map(Value::as_str).eq(SEARCH), "{domains:?} are not the search domains");
    ensure!(finding.remedy.contains("ndots"), "{finding:?}");
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("write {}", path.display()))
}
