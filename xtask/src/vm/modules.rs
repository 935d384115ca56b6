//! Kernel modules: found in an unpacked package, decompressed, in the order of their dependencies.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::run;
use crate::run::say;

/// A module, ready for `insmod`.
pub(super) struct Module {
    pub(super) name: String,
    pub(super) content: Vec<u8>,
}

/// The wanted modules and what they depend on, each after what it depends on.
/// A wanted name without a file is taken to be built in.
pub(super) fn collect(root: &Path, wanted: &[&str]) -> Result<Vec<Module>> {
    let files = module_files(root)?;
    let mut modules = Vec::new();
    for name in wanted {
        if find(&files, name).is_some() {
            add(&files, name, &mut modules)?;
        } else {
            say(format_args!("{name} is not a module of this kernel, so it must be built in"));
        }
    }
    Ok(modules)
}

fn add(files: &[PathBuf], name: &str, modules: &mut Vec<Module>) -> Result<()> {
    if modules.iter().any(|module| module.name == name) {
        return Ok(());
    }
    let file = find(files, name).with_context(|| format!("the kernel's packages hold no module {name}"))?;
    let content = decompressed(file)?;
    for dependency in dependencies(&content) {
        add(files, &dependency, modules)?;
    }
    modules.push(Module { name: name.to_owned(), content });
    Ok(())
}

/// Kernel module names treat `-` and `_` alike.
fn find<'a>(files: &'a [PathBuf], name: &str) -> Option<&'a PathBuf> {
    files.iter().find(|file| {
        let file_name = file.file_name().unwrap_or_default().to_string_lossy();
        file_name.split_once(".ko").is_some_and(|(stem, _)| stem.replace('-', "_") == name.replace('-', "_"))
    })
}

fn decompressed(file: &Path) -> Result<Vec<u8>> {
    let program = match file.extension().and_then(|extension| extension.to_str()) {
        Some("ko") => return fs::read(file).with_context(|| format!("reading {}", file.display())),
        Some("xz") => "xz",
        Some("zst") => "zstd",
        _ => bail!("{} is compressed in a way xtask does not know", file.display()),
    };
    let output = Command::new(program)
        .args(["--decompress", "--stdout"])
        .arg(file)
        .output()
        .with_context(|| format!("starting {program} to decompress {}", file.display()))?;
    if !output.status.success() {
        bail!("decompressing {}: {program} ended with {}", file.display(), output.status);
    }
    Ok(output.stdout)
}

/// What a module says of itself: `depends=a,b`, ended by a zero byte.
fn dependencies(content: &[u8]) -> Vec<String> {
    let key = b"\0depends=";
    let Some(at) = content.windows(key.len()).position(|window| window == key) else {
        return Vec::new();
    };
    let value: Vec<u8> = content[at + key.len()..].iter().copied().take_while(|byte| *byte != 0).collect();
    let names = String::from_utf8_lossy(&value).into_owned();
    names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn module_files(root: &Path) -> Result<Vec<PathBuf>> {
    let listing =
        run::output(Command::new("find").arg(root).args(["-name", "*.ko*"]), "listing kernel modules")?;
    Ok(listing.lines().map(PathBuf::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_names_its_dependencies() {
        assert_eq!(dependencies(b"x\0depends=stp,llc\0y"), ["stp", "llc"]);
        assert!(dependencies(b"x\0depends=\0name=veth\0").is_empty());
    }

    #[test]
    fn dashes_and_underscores_are_alike() {
        let files = [PathBuf::from("/lib/sch-netem.ko.xz")];
        assert!(find(&files, "sch_netem").is_some() && find(&files, "sch").is_none());
    }
}
