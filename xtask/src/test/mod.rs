//! `cargo xtask test`: every check and test, each as a step with its time, and what they counted.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};

use crate::run::say;
use crate::setup;
use crate::workspace::Workspace;

mod count;
mod steps;

use count::Counts;
pub(crate) use steps::build_release;

/// What to run.
#[derive(Args)]
pub(crate) struct Options {
    /// Run only these steps, in their usual order
    #[arg(long, value_delimiter = ',', value_name = "STEP,…")]
    only: Vec<Step>,
    /// Run only tests whose name contains this
    filter: Option<String>,
}

/// The steps, in the order they run: the quick ones first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Step {
    /// The house rules
    Tidy,
    /// rustfmt
    Fmt,
    /// Lints of everything that runs in user space
    Clippy,
    /// Lints of the BPF programs, for their own target
    ClippyBpf,
    /// Licences, sources, bans and advisories of the dependencies
    Deny,
    /// Kubernetes manifests, Helm chart, alert rules and dashboards
    Manifests,
    /// Tests that need neither root nor a network
    Unit,
    /// Release builds of tracer and the lab
    Build,
    /// The lab: real traffic through real BPF programs (needs root)
    Scenario,
}

/// What became of one step.
struct Outcome {
    step: Step,
    took: Duration,
    result: Result<Counts>,
}

/// Runs the steps; all of them, so that one report shows everything that is wrong.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    setup::build(workspace)?;
    let mut outcomes: Vec<Outcome> = Vec::new();
    for step in selected(&options.only) {
        say(format_args!("step {}", name(step)));
        let started = Instant::now();
        let result = if step == Step::Scenario && failed(&outcomes, Step::Build) {
            Err(anyhow::anyhow!("not run, because the build failed"))
        } else {
            steps::run(workspace, step, options.filter.as_deref())
        };
        if let Err(error) = &result {
            say(format_args!("step {} failed: {error:#}", name(step)));
        }
        outcomes.push(Outcome { step, took: started.elapsed(), result });
    }
    report(&outcomes)
}

fn selected(only: &[Step]) -> impl Iterator<Item = Step> {
    Step::value_variants().iter().copied().filter(|step| only.is_empty() || only.contains(step))
}

fn failed(outcomes: &[Outcome], step: Step) -> bool {
    outcomes.iter().any(|outcome| outcome.step == step && outcome.result.is_err())
}

fn report(outcomes: &[Outcome]) -> Result<()> {
    println!("\n{:<12} {:>8}  result", "step", "time");
    for outcome in outcomes {
        let took = format!("{:.1} s", outcome.took.as_secs_f64());
        let result = match &outcome.result {
            Ok(counts) => counts.to_string(),
            Err(error) => format!("FAILED: {error}"),
        };
        println!("{:<12} {took:>8}  {result}", name(outcome.step));
    }
    let total = outcomes.iter().filter_map(|outcome| count::of(&outcome.result)).sum::<Counts>();
    if total.ignored > 0 {
        println!("{} ignored", total.ignored);
    }
    println!("{} passed, {} failed", total.passed, total.failed);
    let wrong: Vec<_> =
        outcomes.iter().filter(|outcome| outcome.result.is_err()).map(|outcome| name(outcome.step)).collect();
    if !wrong.is_empty() {
        bail!("failed: {}", wrong.join(", "));
    }
    Ok(())
}

/// The step as it is typed after `--only`.
fn name(step: Step) -> String {
    step.to_possible_value().map_or_else(|| format!("{step:?}"), |value| value.get_name().to_owned())
}

/// The tests of the lab change namespaces and cgroups.
fn require_root() -> Result<()> {
    crate::workspace::is_root()
        .then_some(())
        .context("the scenario tests attach BPF programs and make network namespaces: run this as root")
}
