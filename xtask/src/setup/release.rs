//! Packages of another Debian release, fetched without touching this machine's own sources.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::run;
use crate::workspace::{Workspace, create_folder, remove_folder};

/// Where Debian releases are: the current ones, then those no longer mirrored.
const MIRRORS: [&str; 2] = ["http://deb.debian.org/debian", "http://archive.debian.org/debian"];
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// One release, with lists and configuration of its own in the cache.
pub(crate) struct Suite<'a> {
    workspace: &'a Workspace,
    name: &'a str,
    folder: PathBuf,
}

impl<'a> Suite<'a> {
    /// Fetches the lists of a release such as `bookworm`.
    pub(crate) fn fetch(workspace: &'a Workspace, name: &'a str) -> Result<Self> {
        let suite = Self { workspace, name, folder: workspace.cache.join("apt").join(name) };
        for below in ["lists/partial", "cache/archives/partial"] {
            create_folder(&suite.folder.join(below))?;
        }
        suite.write("status", "")?;
        suite.update()?;
        Ok(suite)
    }

    fn update(&self) -> Result<()> {
        let what = format!("fetching the package lists of Debian {}", self.name);
        let log = self.workspace.log(&format!("apt-{}", self.name))?;
        let mut errors = Vec::new();
        for mirror in MIRRORS {
            let options = format!("signed-by={KEYRING} check-valid-until=no");
            self.write("sources.list", &format!("deb [{options}] {mirror} {} main\n", self.name))?;
            let mut update = || {
                let mut command = self.command("apt-get");
                run::logged(command.args(["update", "--error-on=any"]), &what, &log)
            };
            match run::retry(&what, 3, &mut update) {
                Ok(()) => return Ok(()),
                Err(error) => errors.push(format!("{mirror}: {error:#}")),
            }
        }
        bail!("{what} failed at every mirror: {}", errors.join("; "))
    }

    /// The packages that a package depends on, alternatives included.
    pub(crate) fn depends(&self, package: &str) -> Result<Vec<String>> {
        let what = format!("asking what {package} of Debian {} needs", self.name);
        let listing =
            run::output(self.command("apt-cache").args(["depends", "--important", package]), &what)?;
        let names =
            listing.lines().filter_map(|line| line.trim().trim_start_matches('|').strip_prefix("Depends: "));
        Ok(names.map(str::to_owned).collect())
    }

    /// Packages and everything that they depend on, for a machine that has nothing; only those whose names begin so.
    pub(crate) fn closure(&self, packages: &[&str], prefix: &str) -> Result<Vec<String>> {
        let what = format!("asking what {} of Debian {} need", packages.join(" "), self.name);
        let mut install = self.command("apt-get");
        install.args(["install", "--simulate", "--no-install-recommends"]).args(packages);
        let listing = run::output(&mut install, &what)?;
        let names = listing.lines().filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next());
        Ok(names.filter(|name| name.starts_with(prefix)).map(str::to_owned).collect())
    }

    /// Downloads packages and unpacks them into a folder.
    pub(crate) fn unpack(&self, packages: &[String], folder: &Path) -> Result<()> {
        let downloads = self.folder.join("downloads");
        remove_folder(&downloads)?;
        create_folder(&downloads)?;
        let what = match packages {
            [first, .., last] => format!("downloading {} packages, {first} to {last}", packages.len()),
            _ => format!("downloading {}", packages.concat()),
        };
        let log = self.workspace.log(&format!("apt-{}", self.name))?;
        run::retry(&what, 4, || {
            let mut command = self.command("apt-get");
            run::logged(command.arg("download").args(packages).current_dir(&downloads), &what, &log)
        })?;
        for entry in fs::read_dir(&downloads).with_context(|| format!("listing {}", downloads.display()))? {
            let package = entry.with_context(|| format!("listing {}", downloads.display()))?.path();
            let what = format!("unpacking {}", package.display());
            run::output(Command::new("dpkg").arg("-x").arg(&package).arg(folder), &what)?;
        }
        remove_folder(&downloads)
    }

    /// An apt program that sees nothing but this release.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let mut set = |key: &str, value: &str| {
            command.arg("-o").arg(format!("{key}={value}"));
        };
        for (key, below) in [
            ("Dir::State::lists", "lists"),
            ("Dir::State::status", "status"),
            ("Dir::Cache", "cache"),
            ("Dir::Etc::sourcelist", "sources.list"),
        ] {
            set(key, &self.folder.join(below).display().to_string());
        }
        for key in ["Dir::Etc::sourceparts", "Dir::Etc::preferences", "Dir::Etc::preferencesparts"] {
            set(key, "/dev/null");
        }
        set("APT::Architecture", "amd64");
        set("APT::Architectures::", "amd64");
        set("APT::Sandbox::User", "root");
        set("Acquire::Languages", "none");
        set("Acquire::Retries", "5");
        command
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.folder.join(name);
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    }
}
