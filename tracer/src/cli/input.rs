//! What the commands that read captures are given.

use std::{
    fs,
    net::IpAddr,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use crate::proto::metadata;

/// What to read, and from whose view.
#[derive(Debug, clap::Args)]
pub(super) struct Input {
    /// pcap or pcapng files, also compressed with gzip; `-` is standard input. Several are one timeline
    #[arg(required = true, value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
    /// Address of a pod, whose requests and calls are analysed; can be given several times [default: files by
    /// `tracer capture` say it, for others it is guessed from the first packets]
    #[arg(long = "local", value_name = "IP")]
    pub(super) locals: Vec<IpAddr>,
    /// Analyse only this pod of files by `tracer capture`
    #[arg(long, value_name = "UID_OR_NAME", conflicts_with = "locals")]
    pub(super) pod: Option<String>,
    /// Further address of a metadata service, besides those of AWS, GCP, Azure and Alibaba
    #[arg(long = "metadata-address", value_name = "IP")]
    metadata: Vec<IpAddr>,
}

impl Input {
    /// The addresses of metadata services.
    pub(super) fn metadata(&self) -> Vec<IpAddr> {
        metadata::ADDRESSES.iter().chain(&self.metadata).copied().collect()
    }

    /// Refuses to write to a file that is read: opening it for writing would empty it.
    pub(super) fn spare(&self, output: &Path) -> anyhow::Result<()> {
        match self.files.iter().find(|input| is_same(input, output)) {
            None => Ok(()),
            Some(input) => anyhow::bail!(
                "{} would overwrite the capture {}: name another file to write",
                output.display(),
                input.display()
            ),
        }
    }
}

/// Whether an output would overwrite an input, by whatever path. Devices and pipes have nothing to lose.
fn is_same(input: &Path, output: &Path) -> bool {
    if output.as_os_str() == "-" {
        return false;
    }
    let input = if input.as_os_str() == "-" { Path::new("/dev/stdin") } else { input };
    let (Ok(input), Ok(output)) = (fs::metadata(input), fs::metadata(output)) else { return false };
    output.is_file() && (input.dev(), input.ino()) == (output.dev(), output.ino())
}

#[cfg(test)]
mod tests {
    use std::{env, os::unix::fs::symlink, process};

    use super::*;

    #[test]
    fn an_output_by_any_path_is_no_input() {
        let dir = env::temp_dir().join(format!("tracer-input-{}", process::id()));
        fs::create_dir(&dir).unwrap();
        let file = |name: &str| dir.join(name);
        fs::write(file("a.pcap"), "").unwrap();
        fs::write(file("b.pcap"), "").unwrap();
        fs::hard_link(file("b.pcap"), file("hard")).unwrap();
        symlink(file("b.pcap"), file("soft")).unwrap();
        let files = vec![file("a.pcap"), file("b.pcap"), "/dev/null".into()];
        let input = Input { files, locals: Vec::new(), pod: None, metadata: Vec::new() };
        let verdicts =
            ["b.pcap", "hard", "soft", "./b.pcap", "new.html"].map(|name| input.spare(&file(name)).is_err());
        let elsewhere = [Path::new("/dev/null"), Path::new("-")].map(|path| input.spare(path).is_err());
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!((verdicts, elsewhere), ([true, true, true, true, false], [false, false]));
    }
}
