//! Packages of `PyPI`, pinned with their hashes, in environments of their own.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::run;
use crate::workspace::Workspace;

/// Debian's, for which Debian's module for environments is.
pub(super) const PYTHON: &str = "/usr/bin/python3";

/// Packages to fetch.
pub(super) struct Packages<'a> {
    /// What they are, for people.
    pub(super) name: &'a str,
    /// Name of the log.
    pub(super) log: &'a str,
    /// The file that pins them, from the workspace's root.
    pub(super) requirements: &'a str,
    /// What pip does with them: its command and options of it.
    pub(super) pip: &'a [&'a str],
}

impl Packages<'_> {
    /// Makes an environment in `folder` and fetches the packages.
    pub(super) fn fetch(&self, workspace: &Workspace, folder: &Path) -> Result<()> {
        let mut make = Command::new(PYTHON);
        make.args(["-m", "venv", "--clear"]).arg(folder);
        run::output(&mut make, &format!("making an environment for {}", self.name))?;
        let what = format!("fetching {}", self.name);
        let log = workspace.log(self.log)?;
        run::retry(&what, 4, || {
            let mut pip = Command::new(folder.join("bin/pip"));
            pip.args(self.pip).args(["--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]);
            pip.arg("--require-hashes").arg("--requirement").arg(workspace.root.join(self.requirements));
            run::logged(&mut pip, &what, &log)
        })
        .with_context(|| format!("{} is fetched from PyPI", self.name))
    }
}

/// What a line of Python prints, unless it fails: for the version of something installed.
pub(super) fn says(python: &Path, line: &str) -> Option<String> {
    let said = run::output(Command::new(python).args(["-c", line]), "trying a package for Python").ok()?;
    Some(said.trim().to_owned())
}
