//! What the tracer and tcpdump saw of a lab.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Stage, Story};
use crate::process::run;
use crate::tracer::Tracing;
use crate::tracer::report::{PodSummary, Summary};
use crate::wire::Tcpdump;

/// What was answered last settles two seconds later, and the tracer drains on its timer.
const SETTLED: Duration = Duration::from_millis(3500);

/// One run of a lab, as it was seen by everybody who watched.
pub struct Seen {
    /// UID of the pod that the story is about.
    pub subject: String,
    /// `tracer live --output json` of all pods.
    pub live: Summary,
    /// `tracer live` of the subject's pod, as people read it.
    pub live_table: String,
    /// `tracer analyze --output json` of tcpdump's file.
    pub offline: Summary,
    /// `tracer analyze` of tcpdump's file, as people read it.
    pub offline_table: String,
    /// `tracer analyze --output json` of what `tracer capture` wrote.
    pub capture: Summary,
    /// `tracer analyze --output lines` of tcpdump's file.
    pub lines: Vec<Value>,
    /// How long the traffic took.
    pub took: Duration,
}

/// Starts everybody who watches, makes the traffic, and reads what they say; the files go to `out`.
pub(super) fn watch(story: &Story, stage: &Stage, tracer: &Path, out: &Path) -> Result<Seen> {
    let subject = stage.pod(story.subject);
    let masked = out.join("capture.pcapng");
    let tcpdump = Tcpdump::start(subject, out.join("tcpdump.pcap"))?;
    let start = |command, flags: &[&str]| Tracing::start(tracer, &stage.lab, command, flags);
    let capturing = start("capture", &["-w", &masked.to_string_lossy()])?;
    let programs = start("live", &["--output", "json"])?;
    let pod = subject.cgroup().parent().context("the container's cgroup has no parent")?;
    let people = Tracing::start_on(pod, tracer, &stage.lab, "live", &["--waterfall", "1"])?;
    let started = Instant::now();
    (story.traffic)(stage).context("the traffic")?;
    let took = started.elapsed();
    std::thread::sleep(SETTLED);
    let (live, live_table) = (programs.finish()?, people.finish()?);
    capturing.finish()?;
    let tcpdump = tcpdump.finish()?;
    let analyze = |file: &Path, flags: &[&str]| {
        let address = subject.addresses().v4.to_string();
        let mut command = Command::new("timeout");
        command.arg("60").arg(tracer).args(["analyze", "--local", &address]).args(flags).arg(file);
        run(command.stdin(Stdio::null()))
    };
    let offline = analyze(&tcpdump, &["--output", "json"])?;
    write(out, "live.json", &live)?;
    write(out, "offline.json", &offline)?;
    let lines = analyze(&tcpdump, &["--output", "lines"])?;
    write(out, "lines.jsonl", &lines)?;
    Ok(Seen {
        subject: subject.uid().to_owned(),
        live: Summary::parse(&live)?,
        live_table,
        offline: Summary::parse(&offline)?,
        offline_table: analyze(&tcpdump, &["--waterfall", "1"])?,
        capture: Summary::parse(&analyze(&masked, &["--output", "json"])?)?,
        lines: lines.lines().map(serde_json::from_str).collect::<Result<_, _>>().context("a line")?,
        took,
    })
}

impl Seen {
    /// What `tracer live` found of the pod that the story is about, as the capture is of that pod only. Its callers may
    /// have findings of their own: that it is slow.
    pub(super) fn found_live(&self) -> Vec<String> {
        found(self.live.pods.iter().filter(|pod| pod.pod.contains(&self.subject)))
    }

    /// What `tracer analyze` found in tcpdump's file.
    pub(super) fn found_offline(&self) -> Vec<String> {
        found(self.offline.pods.iter())
    }
}

/// The identifiers of all findings of these pods, each once.
pub(super) fn found<'a>(pods: impl Iterator<Item = &'a PodSummary>) -> Vec<String> {
    let mut ids: Vec<_> = pods.flat_map(|pod| &pod.findings).map(|finding| finding.id.clone()).collect();
    ids.sort();
    ids.dedup();
    ids
}

/// Keeps the lab's logs, which are removed with the lab.
pub(super) fn keep_logs(from: &Path, out: &Path) -> Result<()> {
    let entries = fs::read_dir(from).with_context(|| format!("list {}", from.display()))?;
    for file in entries.flatten().map(|entry| entry.path()).filter(|path| is_log(path)) {
        let name = file.file_name().map(PathBuf::from).unwrap_or_default();
        fs::copy(&file, out.join(name)).with_context(|| format!("copy {}", file.display()))?;
    }
    Ok(())
}

fn is_log(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| ["jsonl", "log", "stderr"].contains(&extension))
}

fn write(out: &Path, name: &str, text: &str) -> Result<()> {
    let file = out.join(name);
    fs::write(&file, text).with_context(|| format!("write {}", file.display()))
}
