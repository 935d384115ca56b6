//! `tracer doctor`: what this node supports and what is missing.

use std::{
    fmt::Write as _,
    fs,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use serde::Serialize;

use super::{
    FAILURE,
    naming::Naming,
    options::{Output, Target},
};
use crate::engine::Folding;
use crate::pod::source::Resource;
use crate::source::live::{LiveSource, Options, ThreadSource, cgroup};

/// How long a source of names may take to answer.
const NAMES_PATIENCE: Duration = Duration::from_secs(5);

/// Arguments of `tracer doctor`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    naming: Naming,
    /// Form of the result
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// Bytes of packets that captures would be allowed to take.
const SNAP_LENGTH: u32 = 256;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    /// As it should be.
    Ok,
    /// Tracing works with less.
    Reduced,
    /// Tracing does not work.
    Missing,
}

#[derive(Debug, Serialize)]
struct Check {
    #[serde(rename = "check")]
    name: &'static str,
    verdict: Verdict,
    detail: String,
}

/// Runs every check and prints them; fails when one says that tracing does not work.
pub(super) fn run(args: &Args) -> ExitCode {
    let (cgroups, targets) = target_cgroups(&args.target);
    let mut checks = vec![kernel(), jit(), cgroup2(), cgroups, programs(args, &targets), statistics()];
    checks.extend(pod_names(&args.naming));
    // Who reads may have seen enough; the exit code says the rest.
    let _ = print(&checks, args.output, &mut io::stdout().lock());
    let broken = checks.iter().any(|check| check.verdict == Verdict::Missing);
    if broken { ExitCode::from(FAILURE) } else { ExitCode::SUCCESS }
}

fn print(checks: &[Check], output: Output, to: &mut impl Write) -> io::Result<()> {
    match output {
        Output::Table => write!(to, "{}", table(checks))?,
        Output::Json => writeln!(to, "{:#}", serde_json::json!({ "checks": checks }))?,
    }
    to.flush()
}

fn table(checks: &[Check]) -> String {
    let mut text = String::new();
    for check in checks {
        let verdict = match check.verdict {
            Verdict::Ok => "ok",
            Verdict::Reduced => "reduced",
            Verdict::Missing => "MISSING",
        };
        let _ = writeln!(text, "{verdict:<8} {:<19} {}", check.name, check.detail);
    }
    text
}

fn kernel() -> Check {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim();
    let number = |text: Option<&str>| text.and_then(|t| t.parse::<u32>().ok()).unwrap_or(0);
    let mut parts = release.split(|c: char| !c.is_ascii_digit());
    let version = (number(parts.next()), number(parts.next()));
    let supported = version >= (5, 10);
    let verdict = if supported { Verdict::Ok } else { Verdict::Missing };
    let need = if supported { "" } else { "; Linux 5.10 or newer is needed" };
    Check { name: "kernel", verdict, detail: format!("{release}{need}") }
}

fn jit() -> Check {
    let on = fs::read_to_string("/proc/sys/net/core/bpf_jit_enable").is_ok_and(|text| text.trim() != "0");
    let (verdict, detail) = if on {
        (Verdict::Ok, "BPF programs are compiled".to_owned())
    } else {
        (
            Verdict::Reduced,
            "BPF programs are interpreted and cost more: set net.core.bpf_jit_enable=1".to_owned(),
        )
    };
    Check { name: "bpf jit", verdict, detail }
}

fn cgroup2() -> Check {
    let (verdict, detail) = match cgroup::mount_point() {
        Some(mount) => (Verdict::Ok, format!("mounted at {}", mount.display())),
        None => (
            Verdict::Missing,
            "not mounted: on pure cgroup v1 sockets have no pod; boot with systemd.unified_cgroup_hierarchy=1".to_owned(),
        ),
    };
    Check { name: "cgroup2", verdict, detail }
}

fn target_cgroups(target: &Target) -> (Check, Vec<PathBuf>) {
    match target.options(0) {
        Ok(options) => {
            let names: Vec<String> = options.cgroups.iter().map(|path| path.display().to_string()).collect();
            let (verdict, detail) = match cgroup::check(&options.cgroups) {
                Ok(()) => (Verdict::Ok, names.join(", ")),
                Err(error) => (Verdict::Missing, error.to_string()),
            };
            (Check { name: "cgroups to trace", verdict, detail }, options.cgroups)
        }
        Err(error) => (
            Check { name: "cgroups to trace", verdict: Verdict::Reduced, detail: format!("{error:#}") },
            Vec::new(),
        ),
    }
}

/// Loads and attaches for real, with all that the commands may ask of the programs, and lets go at once.
fn programs(args: &Args, cgroups: &[PathBuf]) -> Check {
    let name = "bpf programs";
    let folding = Some(Folding { above: 1, longest: u64::MAX });
    let everything =
        Options { captures: false, folding, ..args.target.options_for(cgroups.to_vec(), SNAP_LENGTH) };
    match LiveSource::start(&everything) {
        Ok(source) => {
            let attached = if cgroups.is_empty() { "load" } else { "load and attach" };
            let threads = source.thread_source();
            let verdict = if threads == ThreadSource::None { Verdict::Reduced } else { Verdict::Ok };
            Check { name, verdict, detail: format!("{attached}; threads {threads}") }
        }
        Err(error) => Check { name, verdict: Verdict::Missing, detail: error.to_string() },
    }
}

/// What each source of pods' names says.
fn pod_names(naming: &Naming) -> Vec<Check> {
    let name = "pod names";
    let reduced = |detail| Check { name, verdict: Verdict::Reduced, detail };
    let feed = match naming.start() {
        Ok(Some(feed)) => feed,
        Ok(None) => {
            let detail = "no source: pods are called by their UIDs; see --cri-socket and --kubernetes";
            return vec![reduced(detail.to_owned())];
        }
        Err(error) => return vec![reduced(format!("{error:#}"))],
    };
    let answers = feed.first_answers(NAMES_PATIENCE).into_iter();
    let checks = answers.map(|(resource, answer)| {
        let source = resource.source().name();
        match answer {
            Ok(known) => {
                let what =
                    if Resource::OF_PODS.contains(&resource) { "pods of this node" } else { resource.name() };
                let detail = format!("{source} knows {known} {what}");
                Check { name, verdict: Verdict::Ok, detail }
            }
            Err(error) => reduced(format!("{source} does not answer: {error}")),
        }
    });
    checks.collect()
}

fn statistics() -> Check {
    let on = fs::read_to_string("/proc/sys/kernel/bpf_stats_enabled").is_ok_and(|text| text.trim() == "1");
    let detail = if on {
        "counted (kernel.bpf_stats_enabled=1); costs two clock reads per run"
    } else {
        "not counted; kernel.bpf_stats_enabled=1 turns tracer_bpf_program_* on"
    };
    Check { name: "run-time statistics", verdict: Verdict::Ok, detail: detail.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_pipe_is_an_error_and_no_panic() {
        let (reader, mut writer) = io::pipe().unwrap();
        drop(reader);
        for output in [Output::Table, Output::Json] {
            let error = print(&[jit()], output, &mut writer).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        }
    }
}
