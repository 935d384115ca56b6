//! The VM's root file system: Debian packages, unpacked, and what of them is of use there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::SUITE;
use crate::run::{self, say};
use crate::setup::release::Suite;
use crate::workspace::{Workspace, create_folder, remove_folder};

/// What a node is made of: its init, its container runtime, what makes networks of pods, and what `base-files` calls a
/// root file system.
const PACKAGES: [&str; 7] =
    ["base-files", "busybox-static", "containerd", "containernetworking-plugins", "mount", "runc", "systemd"];
/// What nobody reads there.
const LEFT_OUT: [&str; 4] =
    ["usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/bash-completion"];

/// The archive of it in the cache, made if need be.
pub(super) fn fetch(workspace: &Workspace, refresh: bool) -> Result<PathBuf> {
    let folder = workspace.cache.join(format!("node-{SUITE}"));
    let archive = folder.join("root.tar");
    if refresh || !archive.exists() {
        create_folder(&folder)?;
        make(workspace, &folder.join("unpacked"), &archive)?;
    }
    Ok(archive)
}

fn make(workspace: &Workspace, root: &Path, archive: &Path) -> Result<()> {
    remove_folder(root)?;
    let suite = Suite::fetch(workspace, SUITE)?;
    let packages = suite.closure(&PACKAGES, "")?;
    say(format_args!("node: {} packages of Debian {SUITE}", packages.len()));
    suite.unpack(&packages, root)?;
    let partial = archive.with_extension("partial");
    let mut tar = Command::new("tar");
    // The folders of packages are root's, whoever unpacked them.
    tar.args(["--create", "--owner=0", "--group=0", "--file"]).arg(&partial);
    tar.args(LEFT_OUT.map(|path| format!("--exclude=./{path}")));
    run::output(tar.arg("--directory").arg(root).arg("."), "packing the node's root file system")?;
    fs::rename(&partial, archive).with_context(|| format!("moving {}", partial.display()))?;
    remove_folder(root)
}
