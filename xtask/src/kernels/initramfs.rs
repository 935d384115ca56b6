//! The VM's whole file system: the init, static tracer and lab, and the lab's servers with their libraries.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::run;
use crate::vm::{Image, STEP, cpio::Archive};

const INIT: &str = include_str!("init.sh");
/// Programs of this machine that the lab starts. Busybox has some of these names too, with fewer options.
const PROGRAMS: [&str; 6] = ["dnsmasq", "ip", "nginx", "nsenter", "setpriv", "tcpdump"];
/// The users these programs drop their privileges to.
const PASSWD: &str = "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n\
    dnsmasq:x:101:65534::/:/bin/false\nwww-data:x:33:33::/:/bin/false\ntcpdump:x:102:102::/:/bin/false\n";
const GROUP: &str =
    "root:x:0:\nnogroup:x:65534:\nnobody:x:65534:\nwww-data:x:33:\ntcpdump:x:102:\ndip:x:30:\n";
/// Libraries the C library loads by itself when asked for users and names; older ones keep them apart.
const NAME_SERVICES: [&str; 2] = ["libnss_files.so.2", "libnss_dns.so.2"];

/// The files of the VM that are the same for every kernel.
pub(super) struct Userland {
    files: Vec<(String, PathBuf)>,
}

impl Userland {
    /// Collects the lab's servers and the given static programs.
    pub(super) fn collect(binaries: &[PathBuf]) -> Result<Self> {
        let mut files = Vec::new();
        let mut libraries = BTreeSet::new();
        for name in PROGRAMS {
            let program = find_program(name)?;
            libraries.extend(libraries_of(&program)?);
            files.push((format!("/usr/sbin/{name}"), program));
        }
        // Busybox's shell would prefer its own applets to these programs.
        let shell = find_program("sh")?;
        libraries.extend(libraries_of(&shell)?);
        files.push(("/bin/sh".to_owned(), shell));
        for binary in binaries {
            let name = binary.file_name().unwrap_or_default().to_string_lossy();
            files.push((format!("/usr/sbin/{name}"), binary.clone()));
        }
        let services: Vec<PathBuf> = libraries.iter().flat_map(|library| name_services(library)).collect();
        libraries.extend(services);
        files.extend(libraries.into_iter().map(|library| (library.display().to_string(), library)));
        Ok(Self { files })
    }

    /// The archive for one kernel.
    pub(super) fn archive(&self, image: &Image) -> Result<Vec<u8>> {
        let mut files = self.files.clone();
        files.push(("/bin/busybox".to_owned(), image.busybox.clone()));
        files.extend(image.module_files());
        let mut archive = Archive::default();
        let fixed = ["/proc/x", "/sys/x", "/dev/x", "/etc/x", "/tmp/x", "/run/x", "/var/x"];
        for folder in folders(files.iter().map(|(path, _)| path.as_str()).chain(fixed)) {
            archive.folder(&folder);
        }
        archive.program("/init", INIT.as_bytes());
        archive.file("/step.sh", STEP.as_bytes());
        archive.file("/etc/passwd", PASSWD.as_bytes());
        archive.file("/etc/group", GROUP.as_bytes());
        archive.file("/etc/hosts", b"127.0.0.1 localhost\n");
        // `ip netns exec` mounts a namespace's own file over it.
        archive.file("/etc/resolv.conf", b"");
        archive.file("/etc/nsswitch.conf", b"passwd: files\ngroup: files\nhosts: files dns\n");
        for (path, source) in &files {
            let content = fs::read(source).with_context(|| format!("reading {}", source.display()))?;
            archive.program(path, &content);
        }
        Ok(archive.finish())
    }
}

/// Every parent folder of the paths, parents first.
fn folders<'a>(paths: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    let parents = paths.flat_map(|path| Path::new(path).ancestors().skip(1));
    parents.filter(|parent| parent.parent().is_some()).map(|parent| parent.display().to_string()).collect()
}

fn find_program(name: &str) -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    let mut candidates = folders.map(|folder| folder.join(name));
    candidates.find(|path| path.is_file()).with_context(|| format!("{name} is not on the PATH"))
}

/// The loader and the libraries that `ldd` names, by the paths under which the loader looks for them.
fn libraries_of(program: &Path) -> Result<Vec<PathBuf>> {
    let what = format!("asking for the libraries of {}", program.display());
    let listing = run::output(Command::new("ldd").arg(program), &what)?;
    let paths = listing.lines().flat_map(|line| line.split_whitespace().filter(|word| word.starts_with('/')));
    Ok(paths.map(PathBuf::from).collect())
}

fn name_services(library: &Path) -> Vec<PathBuf> {
    if library.file_name().is_none_or(|name| name != "libc.so.6") {
        return Vec::new();
    }
    NAME_SERVICES.iter().map(|name| library.with_file_name(name)).filter(|path| path.exists()).collect()
}

#[cfg(test)]
mod tests {
    use super::folders;

    #[test]
    fn parents_come_before_their_children() {
        let found: Vec<String> = folders(["/usr/sbin/ip", "/bin/busybox"].into_iter()).into_iter().collect();
        assert_eq!(found, ["/bin", "/usr", "/usr/sbin"]);
    }
}
