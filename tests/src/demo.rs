//! `tracer-lab demo`: the incident under all three live commands, its healthy twin, and a check of
//! every claim made on the way.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::incident::{Incident, SEARCH, Settings, Twin};
use crate::tracer::Tracing;
use crate::tracer::report::{PodSummary, Summary};

/// Flags of the demonstration.
#[derive(Args)]
pub struct Demo {
    /// The tracer program
    #[arg(long)]
    tracer: PathBuf,
    /// Directory for summary.json, healthy.json, capture.pcapng and metrics.txt
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
        if self.twin != Some(Twin::Healthy) {
            self.sick(&program).context("the metadata incident")?;
        }
        if self.twin != Some(Twin::Sick) {
            self.healthy(&program).context("the healthy twin")?;
        }
        Ok(())
    }

    fn sick(&self, program: &Path) -> Result<()> {
        println!("The metadata incident: a client, its backend and what that calls, each in a pod.");
        let incident = Incident::start(Settings::sick(program))?;
        for (pod, role) in incident.roles() {
            println!("  {}  {role}", pod.uid());
        }
        let (summary, live) = self.trace(&incident)?;
        println!("{live}");
        let backend = summary.pod(incident.backend.uid())?;
        self.check_sick(&summary, backend)?;
        println!(
            "Checked: {:.1} % of the backend's time is metadata, stages add up to the total to the",
            100.0 * backend.share("metadata")
        );
        println!("nanosecond, both causes are named with evidence, no record was lost.\n");
        Ok(())
    }

    /// The summary and the output of `tracer live`, with the demonstration's files written.
    fn trace(&self, incident: &Incident) -> Result<(Summary, String)> {
        let capture_file = self.out.join("capture.pcapng");
        let start = |command, flags: &[&str]| Tracing::start(&self.tracer, &incident.lab, command, flags);
        let agent = start("agent", &[])?;
        let capture = start("capture", &["-w", &capture_file.to_string_lossy()])?;
        let live = start("live", &["--waterfall", "1"])?;
        println!("Making {} requests under tracer agent, tracer capture and tracer live.\n", self.requests);
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
        let credentials = says(backend, "metadata-credentials")?;
        ensure!(
            credentials.contains("15 min") || credentials.contains("900"),
            "no lifetime in: {credentials}"
        );
        let search = says(backend, "dns-search")?;
        ensure!(SEARCH.iter().all(|domain| search.contains(domain)), "no search domains in: {search}");
        summary.accounting.check()?;
        ensure!(!summary.partial, "the summary is partial: {:?}", summary.accounting);
        let capture = fs::read(self.out.join("capture.pcapng")).context("read the capture")?;
        ensure!(capture.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]), "capture.pcapng is not a pcapng file");
        Ok(())
    }

    fn healthy(&self, program: &Path) -> Result<()> {
        println!("The healthy twin: credentials that live 6 hours, ndots:1.");
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
        println!(
            "No finding: {} requests take {:.2} ms each.",
            backend.requests,
            1000.0 * backend.mean_seconds()
        );
        Ok(())
    }
}

/// All that a finding says, which must have evidence and a remedy.
fn says(pod: &PodSummary, id: &str) -> Result<String> {
    let finding = pod.finding(id)?;
    ensure!(!finding.evidence.is_empty() && !finding.remedy.is_empty(), "{finding:?} is incomplete");
    Ok(format!("{:?} {}", finding.evidence, finding.explanation))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("write {}", path.display()))
}
