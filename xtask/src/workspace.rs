//! Where things are: the checkout, the cache of tools, the pinned toolchain.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;

use crate::setup::linker;

/// The checkout this xtask was built from, and the places its commands use.
pub(crate) struct Workspace {
    /// The folder of the workspace's `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// The folder that keeps tools and downloads, outside `target/` so that `cargo clean` spares it.
    pub(crate) cache: PathBuf,
    /// What `rust-toolchain.toml` pins.
    pub(crate) toolchain: Toolchain,
}

/// The pins of `rust-toolchain.toml`.
#[derive(Debug, PartialEq)]
pub(crate) struct Toolchain {
    /// Toolchain name, such as `1.98.0`.
    pub(crate) channel: String,
    /// rustup components on top of the minimal profile.
    pub(crate) components: Vec<String>,
    /// Target triples whose standard library is needed besides the host's.
    pub(crate) targets: Vec<String>,
}

impl Workspace {
    /// Finds the checkout and reads its pins.
    pub(crate) fn locate() -> Result<Self> {
        let manifest = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest.parent().context("xtask's manifest has no parent folder")?.to_path_buf();
        let pins = root.join("rust-toolchain.toml");
        let text = fs::read_to_string(&pins).with_context(|| format!("reading {}", pins.display()))?;
        let toolchain = Toolchain::parse(&text).with_context(|| format!("reading {}", pins.display()))?;
        Ok(Self { root, cache: cache_folder()?, toolchain })
    }

    /// A path below `target/`.
    pub(crate) fn target(&self, below: &str) -> PathBuf {
        self.root.join("target").join(below)
    }

    /// The pinned cargo, started in the root with bpf-linker and the cached tools on its PATH.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = self.tool("cargo");
        command.args(arguments);
        command
    }

    /// Any program, started in the root with the pinned toolchain and the cached tools on its PATH.
    pub(crate) fn tool(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(&self.root)
            .env("RUSTUP_TOOLCHAIN", &self.toolchain.channel)
            .env("CARGO_TARGET_DIR", self.target(""))
            .env("PATH", self.search_path())
            .env_remove("CARGO");
        // What cargo told xtask about xtask's own package is not true of the child's.
        for (name, _) in env::vars_os().filter(|(name, _)| is_package_variable(name.to_str())) {
            command.env_remove(name);
        }
        command
    }

    /// PATH with the cached tools in front, and the system's administration folders at the end.
    fn search_path(&self) -> std::ffi::OsString {
        let inherited = env::var_os("PATH").unwrap_or_default();
        let folders = [linker::folder(self).join("bin"), self.cache.join("bin")]
            .into_iter()
            .chain(env::split_paths(&inherited))
            .chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
        env::join_paths(folders).unwrap_or(inherited)
    }

    /// The log file of one long-running step, in the cache; its folder exists afterwards.
    pub(crate) fn log(&self, step: &str) -> Result<PathBuf> {
        let folder = self.cache.join("log");
        create_folder(&folder)?;
        Ok(folder.join(format!("{step}.log")))
    }
}

impl Toolchain {
    /// Reads the few keys that matter here; each is one line of TOML.
    fn parse(text: &str) -> Result<Self> {
        let value = |key: &str| {
            text.lines()
                .filter_map(|line| line.split_once('='))
                .find(|(name, _)| name.trim() == key)
                .map(|(_, value)| value.trim())
        };
        let list = |key: &str| -> Vec<String> {
            let items = value(key).unwrap_or_default().trim_matches(['[', ']']).split(',');
            items
                .map(|item| item.trim().trim_matches('"').to_owned())
                .filter(|item| !item.is_empty())
                .collect()
        };
        let Some(channel) = value("channel").map(|value| value.trim_matches('"').to_owned()) else {
            bail!("no `channel = \"…\"` line: the toolchain must be pinned");
        };
        Ok(Self { channel, components: list("components"), targets: list("targets") })
    }
}

/// Creates a folder and its parents.
pub(crate) fn create_folder(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("creating the folder {}", folder.display()))
}

/// Removes a folder with what is in it, if it is there.
pub(crate) fn remove_folder(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("removing {}", folder.display()))?;
    }
    Ok(())
}

/// Writes what a command found, as JSON for programs and people.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value)?;
    fs::write(path, text + "\n").with_context(|| format!("writing {}", path.display()))
}

/// Whether this process runs as root.
pub(crate) fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

fn is_package_variable(name: Option<&str>) -> bool {
    name.is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
}

fn cache_folder() -> Result<PathBuf> {
    let base = match env::var_os("XDG_CACHE_HOME").filter(|folder| !folder.is_empty()) {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(env::var_os("HOME").context("neither XDG_CACHE_HOME nor HOME is set")?)
            .join(".cache"),
    };
    Ok(base.join("tracer"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_are_read() {
        let text = "# why\n[toolchain]\nchannel = \"1.98.0\"\ncomponents = [\"clippy\", \"rust-src\"]\ntargets = []\n";
        let expected = Toolchain {
            channel: "1.98.0".to_owned(),
            components: vec!["clippy".to_owned(), "rust-src".to_owned()],
            targets: vec![],
        };
        assert_eq!(Toolchain::parse(text).unwrap(), expected);
    }

    #[test]
    fn an_unpinned_toolchain_is_refused() {
        assert!(Toolchain::parse("[toolchain]\n").is_err());
    }
}
