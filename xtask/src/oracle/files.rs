//! Which files are captures, by their first bytes.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

/// First bytes of captures: pcap with microseconds and with nanoseconds in both byte orders, and pcapng.
const MAGIC: [[u8; 4]; 5] = [
    [0xd4, 0xc3, 0xb2, 0xa1],
    [0xa1, 0xb2, 0xc3, 0xd4],
    [0x4d, 0x3c, 0xb2, 0xa1],
    [0xa1, 0xb2, 0x3c, 0x4d],
    [0x0a, 0x0d, 0x0d, 0x0a],
];
/// First bytes of what gzip wrote.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// All captures below the places, in order; a place may be a capture itself.
pub(super) fn captures(places: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut left = places.to_vec();
    while let Some(path) = left.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).with_context(|| format!("listing {}", path.display()))?;
            for entry in entries {
                let entry = entry.with_context(|| format!("listing {}", path.display()))?;
                // A link to a folder may lead back to where it lies.
                if !(entry.path().is_symlink() && entry.path().is_dir()) {
                    left.push(entry.path());
                }
            }
        } else if is_capture(&path).with_context(|| format!("reading {}", path.display()))? {
            found.push(path);
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// Whether a file is in the form that gzip writes.
pub(super) fn is_compressed(bytes: &[u8]) -> bool {
    bytes.starts_with(&GZIP)
}

fn is_capture(path: &Path) -> Result<bool> {
    // A pipe would wait for its other end.
    if !fs::metadata(path)?.is_file() {
        return Ok(false);
    }
    let first = first_bytes(File::open(path)?)?;
    Ok(MAGIC.contains(&first) || is_compressed(&first) && MAGIC.contains(&first_bytes_inside(path)?))
}

fn first_bytes_inside(path: &Path) -> Result<[u8; 4]> {
    let mut gzip = Command::new("gzip")
        .args(["--decompress", "--stdout", "--"])
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("starting gzip")?;
    let first = gzip.stdout.take().map(first_bytes).transpose();
    // It may have far more to say than anybody reads, so its ending is not looked at.
    gzip.kill().and_then(|()| gzip.wait()).context("stopping gzip")?;
    Ok(first?.unwrap_or_default())
}

/// Zeros where a file is shorter.
fn first_bytes(from: impl Read) -> Result<[u8; 4]> {
    let mut read = Vec::new();
    from.take(4).read_to_end(&mut read)?;
    let mut first = [0; 4];
    first.iter_mut().zip(read).for_each(|(to, byte)| *to = byte);
    Ok(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captures_are_found_by_content_in_all_folders() {
        let folder = std::env::temp_dir().join(format!("xtask-oracle-files-{}", std::process::id()));
        let below = folder.join("a/b");
        fs::create_dir_all(&below).unwrap();
        fs::write(folder.join("notes.pcap"), "none").unwrap();
        fs::write(folder.join("short"), [0x0a]).unwrap();
        fs::write(folder.join("capture.txt"), [&MAGIC[0][..], &[0; 20]].concat()).unwrap();
        fs::write(below.join("ng"), MAGIC[4]).unwrap();
        fs::write(below.join("packed"), MAGIC[1]).unwrap();
        let packed = Command::new("gzip").arg(below.join("packed")).status().unwrap();
        assert!(packed.success());
        std::os::unix::fs::symlink(&folder, below.join("back")).unwrap();
        let found = captures(std::slice::from_ref(&folder)).unwrap();
        assert_eq!(found, [below.join("ng"), below.join("packed.gz"), folder.join("capture.txt")]);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_missing_place_is_named() {
        let error = captures(&["/no/such/place".into()]).unwrap_err();
        assert!(format!("{error:#}").contains("/no/such/place"));
    }
}
