//! The hop limit: a pod is one hop farther from the metadata service than its node, so with a limit of 1 the
//! answer to the token's PUT is thrown away on the node. The SDK waits for its timeout of 1 s, and goes on
//! without a token.

use anyhow::Result;

use super::metadata_credentials::serve_metadata;
use super::sdk::{Backend, Served, processes, serve_backend, serve_store};
use super::{Checks, Part, Seen, Stage, Story, Twin};
use crate::log::ExchangeLine;

pub(super) const STORY: Story = Story {
    name: "metadata-token-timeout",
    tells: "A backend reads an object store with the AWS SDK; its process is replaced after 10 requests, and \
            each process asks the metadata service for credentials, which live 6 hours.",
    parts: &[
        Part {
            twin: Twin::Sick,
            tells: "hop limit 1: each process waits 1 s for a token that never comes",
            expected: &["metadata-token-timeout"],
        },
        Part { twin: Twin::Healthy, tells: "hop limit 2: the token comes", expected: &[] },
        Part { twin: Twin::NearMiss, tells: "a token comes, but after 0.6 s", expected: &[] },
    ],
    pods: &["client", "backend", "store", "metadata"],
    subject: "backend",
    set_up,
    traffic,
    check,
};

const REQUESTS: u64 = 80;
const RECYCLE: u32 = 10;

fn set_up(stage: &mut Stage) -> Result<()> {
    let (hop_limit, delay) = match stage.twin {
        Twin::Sick => ("1", "43"),
        Twin::Healthy => ("2", "43"),
        Twin::NearMiss => ("2", "600"),
    };
    serve_metadata(stage, &["--lifetime", "21600", "--hop-limit", hop_limit, "--delay", delay])?;
    serve_store(stage)?;
    let python = stage.tools.aws_sdk.clone();
    let store = stage.address("store").to_string();
    serve_backend(
        stage,
        &Backend { python: &python, store: &store, recycle: RECYCLE, fresh: false, credentials: false },
    )
}

fn traffic(stage: &Stage) -> Result<()> {
    stage.ask(1, REQUESTS, 1).map(drop)
}

fn check(stage: &Stage, seen: &Seen, checks: &mut Checks) -> Result<()> {
    let served: Vec<Served> = stage.read("backend")?;
    let exchanges: Vec<ExchangeLine> = stage.read("metadata")?;
    let tokens = exchanges.iter().filter(|line| line.path == "/latest/api/token").count();
    checks.same("requests made, and in the backend's log", usize::try_from(REQUESTS)?, served.len());
    checks.same("processes of the backend, and tokens asked for", processes(&served), tokens);
    checks.same("all metadata calls, and three per process", exchanges.len(), 3 * tokens);
    let slow = served.iter().filter(|line| line.end - line.start > 1_000_000_000).count();
    let due = if stage.twin == Twin::Healthy { 0 } else { tokens };
    checks.same("requests of more than 1 s, and how many should be", slow, due);
    #[expect(clippy::cast_precision_loss, reason = "a dozen")]
    for (key, logged) in [("token_requests_unanswered", tokens), ("tokenless_calls", 2 * tokens)] {
        checks.evidence(seen, STORY.name, key, logged as f64, 0.0);
    }
    checks.evidence(seen, STORY.name, "longest_wait_seconds", 1.0, 0.1);
    Ok(())
}
