//! `cargo xtask oracle`: tracer and tshark read the same captures and are compared, value by value.
//!
//! tshark is the second opinion on each time, code and flag that tracer reports about a capture. Everything
//! that either program says has a key (a frame, a connection, a stream), so a value that one of them lacks is
//! as visible as one that differs.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use serde_json::Value as Json;

use crate::run::say;
use crate::setup::{self, debian};
use crate::test::build_release;
use crate::workspace::{Workspace, create_folder};

mod child;
mod compare;
mod ek;
mod files;
mod found;
mod lines;
mod merged;
mod report;
mod tshark;
mod values;

use compare::{Comparison, compare};
use lines::Answer;
use values::Observed;

/// How much of what tshark has tracer must have, too, in thousandths of a percent.
const WANTED: u64 = 99_500;
/// Captures that are read at the same time.
const PARALLEL: usize = 2;
/// How often the number of captures that are done is said.
const NEWS: usize = 100;

/// What to compare.
#[derive(Args)]
pub(crate) struct Options {
    /// Folders with captures, or captures
    #[arg(required = true, value_name = "DIR")]
    places: Vec<PathBuf>,
    /// Compare this program instead of building tracer
    #[arg(long, value_name = "PROGRAM")]
    tracer: Option<PathBuf>,
    /// Differences of each kind to show; all of them are in `target/oracle/differences.jsonl`
    #[arg(long, default_value_t = 5, value_name = "N")]
    limit: usize,
}

/// A capture and what became of it.
struct Examined {
    capture: PathBuf,
    outcome: Outcome,
    /// The findings that tracer reports.
    findings: Vec<Json>,
}

enum Outcome {
    /// Both read it.
    Compared(Comparison),
    /// tracer did not survive it, so only tshark has values; and why, in words.
    Crashed(Comparison, String),
    /// tshark did not survive it, in words.
    Unread(String),
}

impl Examined {
    fn comparison(&self) -> Option<&Comparison> {
        match &self.outcome {
            Outcome::Compared(comparison) | Outcome::Crashed(comparison, _) => Some(comparison),
            Outcome::Unread(_) => None,
        }
    }
}

/// Compares and reports.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let captures = files::captures(&options.places)?;
    ensure!(!captures.is_empty(), "there is no capture below the folders");
    setup::tools(workspace, &[debian::LAB])?;
    let tracer = options.tracer.clone().map_or_else(|| build(workspace), Ok)?;
    let folder = workspace.target("oracle");
    let examined = examine_all(&captures, &tracer, &folder)?;
    report::write(&folder, &examined)?;
    report::print(&examined, options.limit);
    judge(&examined)
}

fn build(workspace: &Workspace) -> Result<PathBuf> {
    setup::build(workspace)?;
    build_release(workspace)?;
    Ok(workspace.target("release/tracer"))
}

/// Each worker takes the next capture, in the order of the list.
fn examine_all(captures: &[PathBuf], tracer: &Path, folder: &Path) -> Result<Vec<Examined>> {
    let next = AtomicUsize::new(0);
    let work = |worker: usize| -> Result<Vec<(usize, Examined)>> {
        // Two runs at the same time must not read each other's files.
        let folder = folder.join(format!("worker-{}-{worker}", std::process::id()));
        create_folder(&folder)?;
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(capture) = captures.get(at) else { break };
            if at > 0 && at.is_multiple_of(NEWS) {
                say(format_args!("{at} of {} captures", captures.len()));
            }
            done.push((at, examine(capture, tracer, &folder)?));
        }
        fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
        Ok(done)
    };
    let work = &work;
    let mut examined = thread::scope(|scope| {
        let workers: Vec<_> = (0..PARALLEL).map(|worker| scope.spawn(move || work(worker))).collect();
        let mut examined = Vec::new();
        for worker in workers {
            let done = worker.join().ok().context("a worker of the oracle panicked")?;
            examined.append(&mut done?);
        }
        anyhow::Ok(examined)
    })?;
    examined.sort_by_key(|(at, _)| *at);
    Ok(examined.into_iter().map(|(_, examined)| examined).collect())
}

fn examine(capture: &Path, tracer: &Path, folder: &Path) -> Result<Examined> {
    let answer = lines::run(tracer, capture, folder)?;
    let outcome = match (tshark::run(capture, folder), answer) {
        (Ok(tshark), Answer::Read(tracer)) => Outcome::Compared(compare(&tshark, &tracer)),
        (Ok(tshark), Answer::Crashed(why)) => Outcome::Crashed(compare(&tshark, &Observed::default()), why),
        (Err(_), Answer::Crashed(why)) => Outcome::Crashed(Comparison::default(), why),
        (Err(error), Answer::Read(_)) => Outcome::Unread(format!("{error:#}")),
    };
    Ok(Examined { capture: capture.to_path_buf(), outcome, findings: found::run(tracer, capture, folder)? })
}

fn judge(examined: &[Examined]) -> Result<()> {
    let crashed = report::crashed(examined);
    ensure!(crashed == 0, "tracer crashed on {crashed} of {} captures", examined.len());
    let agreement = report::overall(examined).agreement().context("tshark has no values to compare with")?;
    let (found, wanted) = (report::percent(agreement), report::percent(WANTED));
    ensure!(agreement >= WANTED, "{found} of tshark's values are equal, which is below {wanted}");
    Ok(())
}
