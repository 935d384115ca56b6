//! A service moved to Kubernetes, and every request fetches credentials: they live 15 minutes, and the SDK
//! refreshes whatever has 15 minutes or less to live.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use anyhow::Result;

use super::python::SYSTEM;
use super::sdk::{Backend, Served, median_seconds, processes, serve_backend, serve_store};
use super::{Checks, Part, Seen, Stage, Story, Twin};
use crate::log::ExchangeLine;
use crate::role::metadata::CREDENTIALS;

pub(super) const STORY: Story = Story {
    name: "metadata-credentials",
    tells: "A backend reads an object store with the AWS SDK. Its credentials come from the metadata service.",
    parts: &[
        Part {
            twin: Twin::Sick,
            tells: "credentials live 15 minutes, and botocore 1.24 refreshes them on every use",
            expected: &["metadata-credentials"],
        },
        Part { twin: Twin::Healthy, tells: "the same, but credentials live 6 hours", expected: &[] },
        Part {
            twin: Twin::NearMiss,
            tells: "15 minutes too, but a later botocore prolongs them: once per process, which is replaced \
                    after 10 requests",
            expected: &[],
        },
    ],
    pods: &["client", "backend", "store", "metadata"],
    subject: "backend",
    set_up,
    traffic,
    check,
};

/// Where every cloud instance finds its metadata service.
pub(super) const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
const REQUESTS: u64 = 60;
const RECYCLE: u32 = 10;

fn set_up(stage: &mut Stage) -> Result<()> {
    let lifetime = if stage.twin == Twin::Healthy { "21600" } else { "900" };
    serve_metadata(stage, &["--lifetime", lifetime])?;
    serve_store(stage)?;
    let (python, recycle) = match stage.twin {
        Twin::NearMiss => (PathBuf::from(SYSTEM), RECYCLE),
        _ => (stage.tools.aws_sdk.clone(), 0),
    };
    let store = stage.address("store").to_string();
    serve_backend(
        stage,
        &Backend { python: &python, store: &store, recycle, fresh: false, credentials: false },
    )
}

/// Starts a metadata service in the pod `metadata`, which has the address of one.
pub(super) fn serve_metadata(stage: &mut Stage, flags: &[&str]) -> Result<()> {
    stage.lab.add_address(stage.pod("metadata"), METADATA.into())?;
    let mut metadata = stage.role("metadata", "metadata", "metadata");
    stage.serve("metadata", 80, metadata.args(flags))
}

fn traffic(stage: &Stage) -> Result<()> {
    stage.ask(1, REQUESTS, 1).map(drop)
}

fn check(stage: &Stage, seen: &Seen, checks: &mut Checks) -> Result<()> {
    let served: Vec<Served> = stage.read("backend")?;
    let exchanges: Vec<ExchangeLine> = stage.read("metadata")?;
    let of_credentials =
        |line: &&ExchangeLine| line.path.len() > CREDENTIALS.len() && line.path.starts_with(CREDENTIALS);
    let fetches = exchanges.iter().filter(of_credentials).count();
    let processes = processes(&served);
    checks.same("requests made, and in the backend's log", usize::try_from(REQUESTS)?, served.len());
    checks.holds(
        true,
        format_args!(
            "{processes} processes of the backend made {} metadata calls, {fetches} of them for credentials; a \
             request waited {:.1} ms",
            exchanges.len(),
            1000.0 * median_seconds(&served)
        ),
    );
    // A new client fetches, and its first use refreshes what it fetched.
    let due = if stage.twin == Twin::Sick { served.len() + 1 } else { processes };
    checks.same("fetches of credentials: due, and in the metadata service's log", due, fetches);
    #[expect(clippy::cast_precision_loss, reason = "a hundred or so")]
    checks.evidence(seen, "metadata-credentials", "credentials_fetches", fetches as f64, 0.0);
    checks.evidence(seen, "metadata-credentials", "credentials_lifetime_seconds", 900.0, 1.0);
    Ok(())
}
