//! An AWS SDK for Python from before 2022, in an environment of its own.
//!
//! Later ones prolong credentials that are about to expire, so that the incident with credentials that live as
//! long as the SDK's refresh threshold does not happen with them. Debian has a later one.

use std::path::PathBuf;

use anyhow::Result;

use super::python::{Packages, says};
use crate::workspace::Workspace;

/// What `tests/incidents/requirements.txt` pins.
const VERSION: &str = "1.24.0";

/// The Python that has the SDK.
pub(crate) fn python(workspace: &Workspace) -> PathBuf {
    folder(workspace).join("bin/python")
}

/// Makes the environment and fetches the SDK into it, unless it is there.
pub(super) fn install(workspace: &Workspace) -> Result<()> {
    let version = "import boto3, botocore; print(botocore.__version__)";
    if says(&python(workspace), version).as_deref() == Some(VERSION) {
        return Ok(());
    }
    let packages = Packages {
        name: &format!("the AWS SDK {VERSION}"),
        log: "aws-sdk",
        requirements: "tests/incidents/requirements.txt",
        pip: &["install"],
    };
    packages.fetch(workspace, &folder(workspace))
}

fn folder(workspace: &Workspace) -> PathBuf {
    workspace.cache.join(format!("aws-sdk-{VERSION}"))
}
