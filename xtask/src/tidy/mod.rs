//! `cargo xtask tidy`: the house rules that no other tool checks.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::run::say;
use crate::workspace::Workspace;

mod manifests;
mod sources;

/// One broken rule, at a place.
#[derive(Debug, PartialEq)]
struct Breach {
    file: String,
    line: Option<usize>,
    rule: String,
}

/// A text file of the checkout.
struct Source {
    /// Its path from the root.
    path: String,
    text: String,
}

/// Checks every rule and lists all breaches.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let files = read_all(&workspace.root)?;
    let mut breaches: Vec<Breach> = Vec::new();
    for file in &files {
        breaches.extend(sources::check(file, &private_paths(workspace)));
    }
    breaches.extend(manifests::check(&files));
    for breach in &breaches {
        let line = breach.line.map(|line| format!(":{line}")).unwrap_or_default();
        println!("{}{line}: {}", breach.file, breach.rule);
    }
    if !breaches.is_empty() {
        bail!("tidy: {} house rules are broken", breaches.len());
    }
    say(format_args!("tidy: {} files keep the house rules", files.len()));
    Ok(())
}

/// Paths that say on which machine something was written.
fn private_paths(workspace: &Workspace) -> Vec<String> {
    let home = std::env::var("HOME").unwrap_or_default();
    [workspace.root.display().to_string(), home].into_iter().filter(|path| path.len() > 1).collect()
}

fn read_all(root: &Path) -> Result<Vec<Source>> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).with_context(|| format!("listing {}", folder.display()))?;
        for entry in entries {
            let path = entry.with_context(|| format!("listing {}", folder.display()))?.path();
            if path.is_symlink() || is_foreign(&path) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                files.extend(read(root, &path)?);
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// Binary files (captures, archives) are not for these rules.
fn read(root: &Path, path: &Path) -> Result<Option<Source>> {
    let bytes = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    let relative = path.strip_prefix(root).unwrap_or(path).display().to_string();
    Ok(String::from_utf8(bytes).ok().map(|text| Source { path: relative, text }))
}

fn is_foreign(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| ["target", ".git", "node_modules"].iter().any(|foreign| name == *foreign))
}
