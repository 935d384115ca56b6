//! Small files of settings and secrets.

use std::{fs::File, io::Read as _, path::Path};

use anyhow::Context as _;

/// A whole file of at most `limit` bytes.
///
/// # Errors
/// When it cannot be read, or is longer.
pub(super) fn read(path: &Path, limit: usize) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One byte more tells that it is too long.
    let read = File::open(path).and_then(|file| file.take(limit as u64 + 1).read_to_end(&mut bytes));
    read.with_context(|| format!("cannot read {}", path.display()))?;
    anyhow::ensure!(bytes.len() <= limit, "{} is longer than {} KiB", path.display(), limit >> 10);
    Ok(bytes)
}
