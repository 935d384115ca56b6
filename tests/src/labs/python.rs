//! The lab's programs in Python: what is real in an incident is often a library for it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Debian's own, for which Debian's packages are.
pub(crate) const SYSTEM: &str = "/usr/bin/python3";

/// Each program and module, by the name of its file.
const FILES: &[(&str, &str)] = &[
    ("callers.py", include_str!("../../incidents/callers.py")),
    ("checker.py", include_str!("../../incidents/checker.py")),
    ("etcd.py", include_str!("../../incidents/etcd.py")),
    ("items.py", include_str!("../../incidents/items.py")),
    ("lab.py", include_str!("../../incidents/lab.py")),
    ("rpc.py", include_str!("../../incidents/rpc.py")),
    ("secure.py", include_str!("../../incidents/secure.py")),
    ("tiller.py", include_str!("../../incidents/tiller.py")),
    ("store.py", include_str!("../../incidents/store.py")),
];

/// Writes the programs into `dir` and returns the folder that holds them.
pub(super) fn write(dir: &Path) -> Result<PathBuf> {
    let folder = dir.join("python");
    fs::create_dir(&folder).with_context(|| format!("make {}", folder.display()))?;
    for (name, text) in FILES {
        let file = folder.join(name);
        fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
    }
    Ok(folder)
}
