//! Debian packages: the servers of the lab, the tools that check tracer's output, QEMU.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::run::{self, say};
use crate::workspace::{Workspace, is_root};

/// The lab's servers and the independent tools its tests compare with.
pub(crate) const LAB: &[&str] = &[
    "chromium",
    "chromium-driver",
    "dnsmasq-base",
    "iproute2",
    "nftables",
    "nghttp2-client",
    "nghttp2-server",
    "nginx-light",
    "openssl",
    "procps",
    "prometheus",
    "shellcheck",
    "tcpdump",
    "tmux",
    "tshark",
    "wrk",
];
/// What unit tests ask whether it agrees.
pub(crate) const WIRE: &[&str] = &["prometheus", "tcpdump", "tshark"];
/// What the incidents are made of besides: etcd, gRPC, and an AWS SDK of today.
pub(crate) const INCIDENTS: &[&str] =
    &["etcd-client", "etcd-server", "python3", "python3-boto3", "python3-grpcio", "python3-venv"];
/// What fetches the libraries of the lab's API server, and what it keeps its objects in.
pub(crate) const APISERVER: &[&str] = &["debian-archive-keyring", "etcd-client", "etcd-server"];
/// What fetches programs that come in packages for Python.
pub(crate) const PYTHON: &[&str] = &["python3", "python3-venv"];
/// What downloads, unpacks and boots the kernels, and compiles the C of *ring* for programs without a C library.
pub(crate) const KERNELS: &[&str] =
    &["debian-archive-keyring", "libc-bin", "musl-tools", "qemu-system-x86", "xz-utils", "zstd"];
/// What renders the Helm chart as Helm does, checks Kubernetes objects, and tests alert rules.
pub(crate) const MANIFESTS: &[&str] = &[
    "debian-archive-keyring",
    "golang-github-masterminds-sprig-dev",
    "golang-go",
    "golang-gopkg-yaml.v3-dev",
    "prometheus",
    "python3",
    "python3-venv",
];
/// C compilers for the static programs of the image, what starts the one for arm64, and a tool that reads images.
pub(crate) const IMAGE: &[&str] =
    &["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross", "musl-tools", "qemu-user", "skopeo"];
/// bpf-linker and libFuzzer have parts in C++.
pub(crate) const CXX: &[&str] = &["g++"];

/// Services that Debian would start, now or at the next boot, for packages we want only the programs of.
const SERVICES: &[&str] = &["etcd", "nginx", "prometheus"];
/// Debian asks this program before it starts a service of a package.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Installs those of the packages that are missing, without starting any service.
pub(super) fn install(workspace: &Workspace, packages: &[&str]) -> Result<()> {
    let missing = missing(packages)?;
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if !is_root() {
        bail!("these Debian packages are missing: {list}; install them with `sudo apt-get install {list}`");
    }
    let _quiet = ServiceGuard::new()?;
    update_lists(workspace);
    let what = format!("installing Debian packages: {list}");
    let log = workspace.log("apt-install")?;
    run::retry(&what, 4, || {
        let mut command = apt_get(&["install", "--yes", "--no-install-recommends"]);
        run::logged(command.args(&missing), &what, &log)
    })
    .with_context(|| format!("not installed: {list}; try `apt-get install {list}` by hand"))?;
    disable_services(&missing);
    Ok(())
}

fn missing<'a>(packages: &[&'a str]) -> Result<Vec<&'a str>> {
    let list = packages.join(" ");
    let query = Command::new("dpkg-query")
        .args(["--show", "--showformat", "${Package} ${db:Status-Status}\n"])
        .args(packages)
        .output()
        .with_context(|| {
            format!("this is not a Debian system (no dpkg-query): please install {list} yourself")
        })?;
    let text = String::from_utf8_lossy(&query.stdout);
    Ok(packages.iter().copied().filter(|package| !is_installed(&text, package)).collect())
}

fn is_installed(listing: &str, package: &str) -> bool {
    listing.lines().any(|line| line.split_once(' ') == Some((package, "installed")))
}

/// A stale or partly unreachable list is no reason to give up: the installation decides.
fn update_lists(workspace: &Workspace) {
    let what = "updating the lists of Debian packages";
    let updated = workspace.log("apt-update").and_then(|log| {
        run::retry(what, 3, || run::logged(&mut apt_get(&["update", "--error-on=any"]), what, &log))
    });
    if let Err(error) = updated {
        say(format_args!("going on with the lists there are: {error:#}"));
    }
}

fn apt_get(arguments: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command
        .args(arguments)
        .args([
            "-o",
            "DPkg::Lock::Timeout=300",
            "-o",
            "Acquire::Retries=5",
            "-o",
            "Acquire::http::Timeout=30",
        ])
        .env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// Keeps Debian from starting services while it exists, where the machine does not forbid it anyway.
struct ServiceGuard(Option<PathBuf>);

impl ServiceGuard {
    fn new() -> Result<Self> {
        let policy = Path::new(POLICY);
        if policy.exists() {
            return Ok(Self(None));
        }
        let guard = Self(Some(policy.to_path_buf()));
        fs::write(policy, "#!/bin/sh\nexit 101\n")
            .and_then(|()| fs::set_permissions(policy, fs::Permissions::from_mode(0o755)))
            .with_context(|| format!("writing {POLICY}, which keeps installed services from starting"))?;
        Ok(guard)
    }
}

impl Drop for ServiceGuard {
    fn drop(&mut self) {
        if let Some(policy) = &self.0
            && let Err(error) = fs::remove_file(policy)
        {
            say(format_args!(
                "please remove {} (no service starts while it is there): {error}",
                policy.display()
            ));
        }
    }
}

/// The guard keeps services from starting now; this keeps them from starting at the next boot.
fn disable_services(installed: &[&str]) {
    for service in SERVICES.iter().filter(|service| installed.iter().any(|name| name.starts_with(*service))) {
        if Path::new("/run/systemd/system").exists() {
            let disabled = Command::new("systemctl").args(["disable", "--quiet", service]).status();
            if !disabled.is_ok_and(|status| status.success()) {
                say(format_args!("could not disable the service {service}; it may start at the next boot"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_installed;

    #[test]
    fn only_an_installed_package_counts() {
        let listing = "wrk installed\ntshark config-files\nnginx-light not-installed\n";
        assert!(is_installed(listing, "wrk"));
        assert!(!is_installed(listing, "tshark") && !is_installed(listing, "nginx"));
    }
}
