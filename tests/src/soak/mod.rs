//! `tracer-lab soak`: an hour of healthy mixed traffic with the agent on it. Findings must stay silent, or be right;
//! nothing may be lost; the agent's memory must stay where it is.

mod agent;
mod cluster;
mod found;
mod report;
mod signals;
mod slice;
mod web;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::labs::Stage;
use crate::tracer::Tracing;
use agent::Reading;
use cluster::Cluster;
use found::{Found, openings};
use report::Report;
use slice::Slice;

/// Between two looks at the agent.
const LOOK: Duration = Duration::from_secs(10);
/// Between two restarts of a server.
const RESTART: Duration = Duration::from_secs(150);
/// Until the clients are looked at again.
const TICK: Duration = Duration::from_millis(200);

/// Flags of the soak.
#[derive(Args)]
pub struct Soak {
    /// How long
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=1440))]
    minutes: u32,
    /// Requests per second that the clients make, in all
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(10..=5000))]
    rate: u32,
    /// What varies between runs
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The tracer program
    #[arg(long)]
    tracer: PathBuf,
    /// Directory for summary.json, the slice and the agent's log
    #[arg(long)]
    out: PathBuf,
}

impl Soak {
    /// Makes the traffic, prints what was seen, and writes it; an error when it is not as it should be.
    pub fn run(&self) -> Result<()> {
        signals::end_with_grace();
        fs::create_dir_all(&self.out).with_context(|| format!("make {}", self.out.display()))?;
        let stage = cluster::set_up(std::env::current_exe().context("find tracer-lab itself")?)?;
        println!("{} min at {} requests/s, seed {}", self.minutes, self.rate, self.seed);
        let report = self.soak(&stage)?;
        print!("\n{}", report.table());
        let file = self.out.join("summary.json");
        let json = serde_json::to_string_pretty(&report)?;
        fs::write(&file, json + "\n").with_context(|| format!("write {}", file.display()))?;
        ensure!(report.wrong.is_empty(), "not as it should be: {}", report.wrong.join("; "));
        Ok(())
    }

    fn soak(&self, stage: &Stage) -> Result<Report> {
        let pods = stage.pods().map(|(name, pod)| (pod.uid().to_owned(), name)).collect();
        let mut cluster = Cluster::new(stage)?;
        let agent = Tracing::start(&self.tracer, &stage.lab, "agent", &[])?;
        cluster.talk(f64::from(self.rate), self.seed)?;
        let mut watch = Watch { pods, began: Instant::now(), readings: Vec::new(), found: BTreeMap::new() };
        let cpu = cluster.cpu_seconds()?;
        let slice = self.watch(&mut cluster, &agent, &mut watch)?;
        let traffic_cpu = (cluster.cpu_seconds()? - cpu) / watch.began.elapsed().as_secs_f64();
        watch.look(&agent)?;
        let offline = slice.analyze(&self.tracer)?;
        offline.found.iter().for_each(|found| watch.keep(found.clone()));
        let log = agent.stderr()?;
        fs::write(self.out.join("agent.log"), &log).context("keep the agent's log")?;
        Ok(Report::new(self.minutes, &cluster, &watch, &offline, &openings(&log), traffic_cpu))
    }

    /// Looks, restarts servers and captures the slice until the time is over.
    fn watch<'a>(
        &self,
        cluster: &mut Cluster<'a>,
        agent: &Tracing<'_>,
        watch: &mut Watch,
    ) -> Result<Slice<'a>> {
        let length = Duration::from_mins(self.minutes.into());
        let mut slice = Slice::due(length, &self.out, &cluster.stage.lab);
        let (mut look, mut restart, mut minute) = (LOOK, RESTART.min(length / 4), 1);
        loop {
            let now = watch.began.elapsed();
            signals::check()?;
            cluster.still_runs()?;
            if now >= length {
                slice.finish()?;
                return Ok(slice);
            }
            slice.advance(now, &self.tracer)?;
            if now >= restart {
                cluster.restart()?;
                restart += RESTART.min(length / 4);
            }
            if now >= look {
                watch.look(agent)?;
                look += LOOK;
            }
            if now >= Duration::from_mins(minute) {
                println!("{}", report::progress(minute, cluster, watch));
                minute += 1;
            }
            std::thread::sleep(TICK);
        }
    }
}

/// What was seen so far.
struct Watch {
    /// Their names by UID.
    pods: BTreeMap<String, &'static str>,
    began: Instant,
    readings: Vec<Reading>,
    /// Each finding once, as it was seen last.
    found: BTreeMap<Key, Found>,
}

type Key = (&'static str, String, String, Option<String>, String);

impl Watch {
    fn look(&mut self, agent: &Tracing<'_>) -> Result<()> {
        let reading = Reading::take(agent)?;
        reading.found.iter().for_each(|found| self.keep(found.clone()));
        self.readings.push(reading);
        Ok(())
    }

    fn keep(&mut self, found: Found) {
        let found = found.named(&self.pods);
        self.found.insert(found.key(), found);
    }
}
