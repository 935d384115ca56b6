//! `cargo xtask bench`: what tracing costs, on this machine's own kernel.
//!
//! nginx answers wrk as fast as it can, which is the worst case: small requests at saturation, so that each
//! segment is a message. All modes take turns in one run, because a shared machine drifts more between two
//! runs than the modes differ. Throughput scatters by several percent all the same; the cost per exchange
//! (BPF run time and the agent's CPU time, divided by wrk's count of requests) does not.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;

use crate::run::say;
use crate::setup::{self, debian};
use crate::test::build_release;
use crate::workspace::{Workspace, create_folder, is_root};

mod agent;
mod bpf_stats;
mod metrics;
mod report;
mod site;
pub(crate) mod statistics;
mod targets;
mod wrk;

use agent::{Agent, Reading};
use site::Site;
use targets::Target;

/// Seconds of load before each turn, which are not measured: whoever watches has seen such a load for hours as a rule.
const RUN_IN: u32 = 1;

/// How much to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// Rounds, in each of which every mode takes its turn
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Seconds of load per turn
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Further turns with the kernel's BPF statistics on, which give the kernel's cost
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=100))]
    cost_rounds: u32,
    /// Connections that wrk keeps
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    connections: u32,
    /// Another build of tracer to compare with, which takes turns like the others
    #[arg(long, value_name = "PROGRAM")]
    against: Option<PathBuf>,
    /// Fail when a target is missed
    #[arg(long)]
    check: bool,
}

impl Options {
    fn modes(&self) -> Vec<Mode> {
        let against = self.against.is_some().then_some(Mode::Against);
        let always = [Mode::Untraced, Mode::Traced, Mode::TracedEach, Mode::TracedBoth, Mode::Tcpdump];
        always.into_iter().chain(against).collect()
    }
}

/// Who watches while nginx answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Nobody.
    Untraced,
    /// The agent, on nginx' pod.
    Traced,
    /// The same without adding quick requests up in the kernel: what a pod costs that also makes calls.
    TracedEach,
    /// The agent, on nginx' and wrk's pods.
    TracedBoth,
    /// tcpdump.
    Tcpdump,
    /// The agent of the other build, on nginx' pod.
    Against,
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Self::Untraced => "untraced",
            Self::Traced => "traced",
            Self::TracedEach => "traced_each",
            Self::TracedBoth => "traced_both",
            Self::Tcpdump => "tcpdump",
            Self::Against => "against",
        }
    }

    /// Whether an agent watches.
    fn traces(self) -> bool {
        !matches!(self, Self::Untraced | Self::Tcpdump)
    }
}

/// One turn of one mode.
struct Turn {
    round: u32,
    mode: Mode,
    /// Whether the kernel measured the programs, which costs two clock reads per run.
    with_statistics: bool,
    load: wrk::Result,
    /// What the agent took, when it traced.
    agent: Option<Reading>,
}

/// Measures and reports.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    ensure!(is_root(), "the benchmark attaches BPF programs and makes a network namespace: run it as root");
    setup::build(workspace)?;
    setup::tools(workspace, &[debian::LAB])?;
    build_release(workspace)?;
    let folder = workspace.target("bench");
    create_folder(&folder)?;
    let site = Site::create(workspace, &folder)?;
    let bench = Bench { site, options };
    bench.warm_up()?;
    let turns = bench.all_turns()?;
    drop(bench);
    let targets = targets::of(&turns)?;
    report::write(&folder.join("summary.json"), &turns, &targets)?;
    report::print(&turns);
    targets::print(&targets);
    ensure!(!options.check || targets.iter().all(Target::is_met), "a target is missed");
    Ok(())
}

struct Bench<'a> {
    site: Site,
    options: &'a Options,
}

impl Bench<'_> {
    fn warm_up(&self) -> Result<()> {
        say("warming up");
        wrk::run(&self.site, 1, self.options.connections).map(drop)
    }

    fn all_turns(&self) -> Result<Vec<Turn>> {
        let mut turns = Vec::new();
        let modes = self.options.modes();
        for round in 0..self.options.rounds {
            // Each round starts with another mode, so that none always follows the same neighbour.
            let first = round as usize % modes.len();
            let order = modes.iter().cycle().skip(first).take(modes.len());
            for mode in order {
                turns.push(self.turn(round, *mode, false)?);
            }
            say(format_args!(
                "round {} of {}: {}",
                round + 1,
                self.options.rounds,
                report::round(&turns, round)
            ));
        }
        say("measuring the programs' run time");
        for round in 0..self.options.cost_rounds {
            let _on = bpf_stats::enable()?;
            for mode in modes.iter().filter(|mode| mode.traces()) {
                turns.push(self.turn(round, *mode, true)?);
            }
        }
        Ok(turns)
    }

    fn turn(&self, round: u32, mode: Mode, with_statistics: bool) -> Result<Turn> {
        let load = || wrk::run(&self.site, self.options.seconds, self.options.connections);
        let run_in = || wrk::run(&self.site, RUN_IN, self.options.connections);
        let (site, server) = (&self.site, self.site.server_cgroup());
        let own = &site.tracer;
        let other = self.options.against.as_ref().unwrap_or(own);
        let (load, agent) = match mode {
            Mode::Untraced => {
                run_in()?;
                (load()?, None)
            }
            Mode::Traced => Agent::start(site, own, server, &[])?.measure(run_in, load)?,
            Mode::TracedEach => {
                Agent::start(site, own, server, &["--fold-above", "0"])?.measure(run_in, load)?
            }
            Mode::Against => Agent::start(site, other, server, &[])?.measure(run_in, load)?,
            Mode::TracedBoth => Agent::start(site, own, site.cgroup(), &[])?.measure(run_in, load)?,
            Mode::Tcpdump => {
                let _tcpdump = self.site.tcpdump()?;
                run_in()?;
                (load()?, None)
            }
        };
        std::thread::sleep(Duration::from_millis(200));
        Ok(Turn { round, mode, with_statistics, load, agent })
    }
}
