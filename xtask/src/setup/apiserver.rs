//! An API server of Kubernetes, built from `tests/apiserver` with Debian's packages of k8s.io/apiserver: no Debian
//! release has kube-apiserver itself.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::kubernetes;
use super::release::Suite;
use crate::run;
use crate::workspace::{Workspace, create_folder, remove_folder};

/// Debian 13 has the library of Kubernetes 1.20.
const SUITE: &str = "sid";
/// The library, a part of Kubernetes' roles that it does not need itself, and the compiler that goes with them.
const PACKAGES: [&str; 3] = ["golang-k8s-apiserver-dev", "golang-k8s-component-helpers-dev", "golang-go"];
/// What the packages need besides is for programs that are not built here.
const PREFIX: &str = "golang-";

/// What the tests with the API server run.
pub(crate) struct Programs {
    /// The server.
    pub(crate) server: PathBuf,
    /// What they change objects with.
    pub(crate) kubectl: PathBuf,
}

/// Builds the server, unless there is one of these sources.
pub(super) fn install(workspace: &Workspace) -> Result<Programs> {
    let kubectl = kubernetes::kubectl(workspace)?;
    let sources = workspace.root.join("tests/apiserver");
    let folder = workspace.cache.join(format!("apiserver-{SUITE}-{:016x}", hash(&sources)?));
    let server = folder.join("apiserver");
    if !server.exists() {
        let made = build(workspace, &sources)?;
        create_folder(&folder)?;
        fs::rename(&made, &server).with_context(|| format!("moving {} to its place", made.display()))?;
        remove_folder(&scratch(workspace))?;
    }
    Ok(Programs { server, kubectl })
}

/// 2.5 GB of sources and 1.5 GB of compiled packages, needed once.
fn scratch(workspace: &Workspace) -> PathBuf {
    workspace.cache.join("apiserver-build")
}

fn build(workspace: &Workspace, sources: &Path) -> Result<PathBuf> {
    let scratch = scratch(workspace);
    // Of a build that was interrupted: its packages may be half unpacked, or others by now.
    remove_folder(&scratch)?;
    let tree = scratch.join("tree");
    create_folder(&tree)?;
    let suite = Suite::fetch(workspace, SUITE)?;
    suite.unpack(&suite.closure(&PACKAGES, PREFIX)?, &tree)?;
    let made = scratch.join("apiserver");
    let mut go = Command::new(tree.join("usr/lib/go/bin/go"));
    // As Debian builds its own packages: without modules, which would be fetched, and with two compilers at a time,
    // each of which takes up to a gigabyte.
    go.current_dir(sources)
        .env("GO111MODULE", "off")
        .env("GOPATH", tree.join("usr/share/gocode"))
        .env("GOROOT", tree.join("usr/lib/go"))
        .env("GOTOOLCHAIN", "local")
        .env("GOFLAGS", "-p=2")
        .env("CGO_ENABLED", "0")
        .env("GOCACHE", scratch.join("compiled"))
        .args(["build", "-ldflags=-s -w", "-o"])
        .arg(&made)
        .arg(".");
    run::logged(&mut go, "building an API server", &workspace.log("apiserver")?)?;
    Ok(made)
}

/// Of all that the server is built from but the packages: those are what the release has at that time.
fn hash(sources: &Path) -> Result<u64> {
    let listing = |path: &Path| format!("listing {}", path.display());
    let entries: std::io::Result<Vec<_>> = fs::read_dir(sources).with_context(|| listing(sources))?.collect();
    let mut files: Vec<PathBuf> =
        entries.with_context(|| listing(sources))?.iter().map(fs::DirEntry::path).collect();
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in files {
        file.file_name().hash(&mut hasher);
        fs::read(&file).with_context(|| format!("reading {}", file.display()))?.hash(&mut hasher);
    }
    PACKAGES.hash(&mut hasher);
    Ok(hasher.finish())
}
