//! A Debian kernel in the cache: its image, some of its modules, and a static busybox.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::modules;
use crate::run::say;
use crate::setup::release::Suite;
use crate::workspace::{Workspace, create_folder, remove_folder};

/// The cloud flavour: the same kernel with fewer drivers, a third of the size.
const META_PACKAGE: &str = "linux-image-cloud-amd64";
/// Packages that make up a kernel; from 7.x the image and the modules are packages of their own.
const PARTS: [&str; 4] = ["linux-image-", "linux-binary-", "linux-modules-", "linux-base-"];

/// A kernel to boot.
pub(crate) struct Kernel {
    /// What it is called here: its folder in the cache.
    pub(crate) name: &'static str,
    /// The Debian release that ships it.
    pub(crate) suite: &'static str,
    /// The CPU that QEMU shows it when it emulates one.
    pub(crate) cpu: &'static str,
    /// The modules that are loaded, besides those that they need.
    pub(crate) modules: &'static [&'static str],
}

/// What a VM boots from.
pub(crate) struct Image {
    /// The kernel's image.
    pub(crate) kernel: PathBuf,
    /// The static busybox that runs the VM's init.
    pub(crate) busybox: PathBuf,
    /// Modules in the order to load them.
    pub(crate) modules: Vec<PathBuf>,
}

impl Image {
    /// The modules by the paths at which inits look for them.
    pub(crate) fn module_files(&self) -> impl Iterator<Item = (String, PathBuf)> {
        self.modules.iter().map(|module| {
            let name = module.file_name().unwrap_or_default().to_string_lossy();
            (format!("/modules/{name}"), module.clone())
        })
    }
}

/// The kernel from the cache, or downloaded into it.
pub(crate) fn fetch(workspace: &Workspace, kernel: &Kernel, refresh: bool) -> Result<Image> {
    let folder = workspace.cache.join("kernels").join(kernel.name);
    if refresh || !folder.exists() {
        download(workspace, kernel, &folder)?;
    }
    let mut modules = list(&folder.join("modules"))?;
    modules.sort();
    Ok(Image { kernel: folder.join("vmlinuz"), busybox: folder.join("busybox"), modules })
}

/// Downloads into a folder next to the final one, so that what is in the cache is always complete.
fn download(workspace: &Workspace, kernel: &Kernel, folder: &Path) -> Result<()> {
    let (partial, root) = (folder.with_extension("partial"), folder.with_extension("unpacked"));
    for old in [&partial, &root] {
        remove_folder(old)?;
    }
    create_folder(&partial.join("modules"))?;
    let suite = Suite::fetch(workspace, kernel.suite)?;
    let mut packages = parts(&suite, META_PACKAGE)?;
    say(format_args!("kernel {}: {}", kernel.name, packages.join(", ")));
    packages.push("busybox-static".to_owned());
    suite.unpack(&packages, &root)?;
    copy(&find_kernel(&root)?, &partial.join("vmlinuz"))?;
    copy(&find_busybox(&root)?, &partial.join("busybox"))?;
    for (number, module) in modules::collect(&root, kernel.modules)?.iter().enumerate() {
        let path = partial.join(format!("modules/{number:02}-{}.ko", module.name));
        fs::write(&path, &module.content).with_context(|| format!("writing {}", path.display()))?;
    }
    remove_folder(&root)?;
    remove_folder(folder)?;
    fs::rename(&partial, folder)
        .with_context(|| format!("moving {} to {}", partial.display(), folder.display()))
}

/// The kernel's packages: those of its kind that the package needs, and that these need.
fn parts(suite: &Suite, package: &str) -> Result<Vec<String>> {
    let mut found: Vec<String> = Vec::new();
    let mut waiting = vec![package.to_owned()];
    while let Some(package) = waiting.pop() {
        let needs = suite.depends(&package)?;
        let parts = needs.into_iter().filter(|need| PARTS.iter().any(|part| is_part(need, part)));
        for part in parts.filter(|part| !found.contains(part)).collect::<Vec<_>>() {
            waiting.push(part.clone());
            found.push(part);
        }
    }
    Ok(found)
}

/// `linux-base-7.2.13…` is a part of that kernel, `linux-base-amd64` is not.
fn is_part(package: &str, part: &str) -> bool {
    package.strip_prefix(part).is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit()))
}

fn find_kernel(root: &Path) -> Result<PathBuf> {
    let mut candidates = Vec::new();
    for folder in ["boot", "usr/lib/modules", "lib/modules"] {
        let entries = list(&root.join(folder)).unwrap_or_default();
        candidates.extend(entries.iter().map(|entry| entry.join("vmlinuz")));
        candidates.extend(entries);
    }
    candidates
        .into_iter()
        .find(|path| {
            path.is_file()
                && path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz"))
        })
        .with_context(|| format!("the kernel's packages hold no vmlinuz (looked in {})", root.display()))
}

fn find_busybox(root: &Path) -> Result<PathBuf> {
    let candidates = ["bin/busybox", "usr/bin/busybox"].map(|path| root.join(path));
    candidates.into_iter().find(|path| path.exists()).context("busybox-static holds no busybox")
}

fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))?;
    entries.map(|entry| Ok(entry.with_context(|| format!("listing {}", folder.display()))?.path())).collect()
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).map(drop).with_context(|| format!("copying {} to {}", from.display(), to.display()))
}

#[cfg(test)]
mod tests {
    use super::is_part;

    #[test]
    fn a_part_carries_the_version() {
        assert!(is_part("linux-base-7.2.13+deb14-cloud-amd64", "linux-base-"));
        assert!(!is_part("linux-base-cloud-amd64", "linux-base-"));
    }
}
