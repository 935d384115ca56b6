//! cargo-deny, which checks licences, sources and advisories of the dependencies.

use anyhow::{Context as _, Result};

use crate::run;
use crate::workspace::Workspace;

const VERSION: &str = "0.20.2";

/// Builds cargo-deny into the cache unless this version is there.
pub(super) fn install(workspace: &Workspace) -> Result<()> {
    if installed_version(workspace).is_some_and(|version| version.ends_with(VERSION)) {
        return Ok(());
    }
    let what = format!("building cargo-deny {VERSION} (once, 3 to 4 minutes)");
    let log = workspace.log("cargo-deny")?;
    let build = workspace.cache.join("cargo-deny-build");
    run::retry(&what, 3, || {
        let arguments = ["install", "cargo-deny", "--version", VERSION, "--locked", "--force", "--root"];
        let mut command = workspace.cargo(&arguments);
        // A quick build: it runs for a second, so what counts is the time to build it.
        command
            .arg(&workspace.cache)
            .args(["--profile", "dev"])
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .env("CARGO_TARGET_DIR", &build);
        run::logged(&mut command, &what, &log)
    })
    .context("cargo-deny is fetched from crates.io; `--only` selects steps that do not need it")?;
    // The build's intermediate files are a gigabyte that nobody reads again.
    std::fs::remove_dir_all(&build).with_context(|| format!("removing {}", build.display()))
}

fn installed_version(workspace: &Workspace) -> Option<String> {
    let mut command = std::process::Command::new(workspace.cache.join("bin/cargo-deny"));
    let version = run::output(command.arg("--version"), "trying cargo-deny").ok()?;
    Some(version.trim().to_owned())
}
