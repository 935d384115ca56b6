//! Pods that come, answer three requests and go, for minutes: every request must be there under its pod's name, and in the
//! end nothing of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde::Serialize;

use super::agent::{Agent, Memory};
use super::kubelet::Kubelet;
use super::named::{requests, server};
use super::seen::{Name, Seen};
use super::{identity, said};

/// For how long the agent remembers pods that are gone, in seconds: longer than between two looks.
pub(super) const RETENTION: u64 = 15;
/// Requests of each pod.
const REQUESTS: u64 = 3;
/// Pods that are being started or removed at a time.
const WORKERS: u64 = 2;
/// Between two looks at the agent.
const LOOK: Duration = Duration::from_secs(1);
/// After retention, until everything must be forgotten.
const PATIENCE: Duration = Duration::from_secs(30);
/// By how much the agent's memory may be larger in the end than after the first tenth: its tables fill once.
const GROWTH: u64 = 8 << 20;
/// How many pods between two lines that say so.
const TOLD: usize = 20;
const NAMESPACE: &str = "churn";

/// How many pods come and go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) pods: u64,
    pub(super) time: Duration,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub(super) struct Churn {
    pods: u64,
    seconds: f64,
    requests: u64,
    /// Pods whose requests were all there, in the summary and in the metrics.
    complete: u64,
    looks: u64,
    /// Most pods of whom the agent spoke at once.
    most_at_once: usize,
    /// Records that the agent lost.
    lost: u64,
    /// Of the agent after the first tenth, and in the end.
    memory_early: Memory,
    memory_end: Memory,
    /// Pods that the runtime is known to have in the end.
    source_pods: Option<u64>,
}

/// What was done and what was seen meanwhile.
#[derive(Default)]
struct Ledger {
    /// Pods that were started.
    started: BTreeSet<Name>,
    /// Pods that were removed after their requests.
    done: BTreeSet<Name>,
    /// The most requests seen of each, in the summary and in the metrics.
    seen: BTreeMap<Name, (u64, u64)>,
    strays: BTreeSet<Name>,
    looks: u64,
    most_at_once: usize,
    lost: u64,
    early: Option<Memory>,
}

struct Run<'a> {
    kubelet: &'a Kubelet,
    agent: &'a Agent,
    plan: Plan,
    next: AtomicU64,
    ledger: Mutex<Ledger>,
    began: Instant,
}

/// Lets pods come and go.
pub(super) fn run(kubelet: &Kubelet, agent: &Agent, plan: Plan) -> Result<(Churn, Vec<String>)> {
    let run = Run {
        kubelet,
        agent,
        plan,
        next: AtomicU64::new(0),
        ledger: Mutex::default(),
        began: Instant::now(),
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(|| run.work())).collect();
        while workers.iter().any(|worker| !worker.is_finished()) {
            // Without looks the rest says nothing.
            run.look().inspect_err(|_| run.next.store(plan.pods, Ordering::Relaxed))?;
            std::thread::sleep(LOOK);
        }
        for worker in workers {
            worker.join().map_err(|_| anyhow::anyhow!("a worker panicked"))??;
        }
        anyhow::Ok(())
    })?;
    let seconds = run.began.elapsed().as_secs_f64();
    let last = run.forgotten()?;
    run.verdict(seconds, &last)
}

impl Run<'_> {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One pod after the other, each at its time.
    fn work(&self) -> Result<()> {
        let pace = self.plan.time / u32::try_from(self.plan.pods.max(1))?;
        loop {
            let n = self.next.fetch_add(1, Ordering::Relaxed);
            if n >= self.plan.pods {
                return Ok(());
            }
            let due = self.began + pace * u32::try_from(n)?;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            self.one(n)?;
        }
    }

    fn one(&self, n: u64) -> Result<()> {
        let identity = identity(NAMESPACE, &format!("job-{n}"));
        let name = identity.known();
        self.ledger().started.insert(name.clone());
        let pod = self.kubelet.run(identity, &server(usize::try_from(n)?)?.1)?;
        requests(&pod, REQUESTS)?;
        self.kubelet.remove(&pod)?;
        let mut ledger = self.ledger();
        ledger.done.insert(name);
        if ledger.done.len().is_multiple_of(TOLD) {
            said(&format!("{} of {} pods came and went", ledger.done.len(), self.plan.pods));
        }
        Ok(())
    }

    fn look(&self) -> Result<()> {
        let (seen, memory) = (self.agent.seen()?, self.agent.memory()?);
        let mut ledger = self.ledger();
        ledger.looks += 1;
        ledger.lost = seen.lost();
        let names = seen.names();
        ledger.most_at_once = ledger.most_at_once.max(names.len());
        for name in names {
            if name == self.agent.pod.identity.known() {
                continue;
            }
            if !ledger.started.contains(&name) {
                ledger.strays.insert(name);
                continue;
            }
            let found = (seen.summed(&name), seen.counted(&name));
            let most = ledger.seen.entry(name).or_default();
            *most = (most.0.max(found.0), most.1.max(found.1));
        }
        if ledger.early.is_none() && ledger.done.len() as u64 * 10 >= self.plan.pods {
            ledger.early = Some(memory);
        }
        Ok(())
    }

    /// Waits until the agent speaks of none of them any more, or should not.
    fn forgotten(&self) -> Result<Seen> {
        let deadline = Instant::now() + Duration::from_secs(RETENTION) + PATIENCE;
        loop {
            self.look()?;
            let seen = self.agent.seen()?;
            let is_over = seen.names().iter().all(|name| name.0 != NAMESPACE);
            if is_over || Instant::now() > deadline {
                return Ok(seen);
            }
            std::thread::sleep(LOOK);
        }
    }

    fn verdict(&self, seconds: f64, last: &Seen) -> Result<(Churn, Vec<String>)> {
        self.agent.lives(self.kubelet)?;
        let ledger = self.ledger();
        let end = self.agent.memory()?;
        let mut problems = Vec::new();
        let mut complete = 0;
        for name in &ledger.done {
            match ledger.seen.get(name) {
                Some(&(REQUESTS, REQUESTS)) => complete += 1,
                other => problems
                    .push(format!("{name:?}: {REQUESTS} requests made, seen (summary, metrics): {other:?}")),
            }
        }
        problems.extend(ledger.strays.iter().map(|name| format!("the agent spoke of {name:?}")));
        let left = last.names().into_iter().filter(|name| name.0 == NAMESPACE);
        problems.extend(left.map(|name| format!("the agent still speaks of {name:?}, which is gone")));
        ensure!(!ledger.done.is_empty(), "no pods came and went");
        let early = ledger.early.unwrap_or(end);
        if end.current > early.current + GROWTH || end.killed > 0 {
            problems.push(format!("the agent's memory grew from {early:?} to {end:?}"));
        }
        if ledger.lost > 0 {
            problems.push(format!("the agent lost {} records", ledger.lost));
        }
        let churn = Churn {
            pods: ledger.done.len() as u64,
            seconds,
            requests: ledger.done.len() as u64 * REQUESTS,
            complete,
            looks: ledger.looks,
            most_at_once: ledger.most_at_once,
            lost: ledger.lost,
            memory_early: early,
            memory_end: end,
            source_pods: last.own("tracer_pod_source_pods", "source=\"cri\""),
        };
        Ok((churn, problems))
    }
}
