//! How the programs learn which thread sends.
//!
//! Linux 6.12 lets cgroup programs ask a helper (measured: 6.1 does not, 6.12 does). Before, pid and tgid are
//! read out of `task_struct`, at the offsets that the kernel's BTF gives; without BTF, threads stay unknown.

use std::fs;

/// Where the kernel shows its type information.
const BTF: &str = "/sys/kernel/btf/vmlinux";
const BTF_MAGIC: u16 = 0xeb9f;

/// A way to learn the thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThreadSource {
    /// By `bpf_get_current_pid_tgid`.
    Helper,
    /// From `task_struct`, at these byte offsets.
    Offsets {
        /// Of `pid`.
        pid: u32,
        /// Of `tgid`.
        tgid: u32,
    },
    /// Not at all: no call is attributed by `thread`.
    None,
}

impl ThreadSource {
    /// Values of the programs' globals: mode and offsets.
    pub(super) fn globals(self) -> (u32, u64, u64) {
        match self {
            Self::None => (0, 0, 0),
            Self::Helper => (1, 0, 0),
            Self::Offsets { pid, tgid } => (2, pid.into(), tgid.into()),
        }
    }
}

impl std::fmt::Display for ThreadSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Helper => f.write_str("by helper"),
            Self::Offsets { pid, tgid } => {
                write!(f, "from task_struct (pid at {pid}, tgid at {tgid}, from BTF)")
            }
            Self::None => f.write_str(
                "absent: this kernel has neither the helper nor BTF; no call is attributed by thread",
            ),
        }
    }
}

/// The ways to try, best first. BTF is read only when the helper turns out to be missing.
pub(super) fn candidates() -> impl Iterator<Item = ThreadSource> {
    let offsets = std::iter::once_with(from_btf).flatten();
    std::iter::once(ThreadSource::Helper).chain(offsets).chain(std::iter::once(ThreadSource::None))
}

fn from_btf() -> Option<ThreadSource> {
    let btf = fs::read(BTF).ok()?;
    let [pid, tgid] = member_offsets(&btf, "task_struct", ["pid", "tgid"])?;
    Some(ThreadSource::Offsets { pid, tgid })
}

/// Byte offsets of two members of a struct, from raw BTF (Documentation/bpf/btf.rst). aya parses BTF too, but
/// keeps member offsets to itself; the other readers on crates.io are LGPL.
fn member_offsets(btf: &[u8], name: &str, members: [&str; 2]) -> Option<[u32; 2]> {
    let word = |at: usize| Some(u32::from_ne_bytes(btf.get(at..at + 4)?.try_into().ok()?));
    let magic = u16::from_ne_bytes(btf.get(..2)?.try_into().ok()?);
    if magic != BTF_MAGIC {
        return None;
    }
    let header = word(4)? as usize;
    let (types, types_length, strings) = (word(8)? as usize, word(12)? as usize, word(16)? as usize);
    let text = |offset: u32| {
        let bytes = btf.get(header + strings + offset as usize..)?;
        bytes.split(|b| *b == 0).next()
    };
    let mut at = header + types;
    let end = at + types_length;
    while at + 12 <= end {
        let (name_offset, info) = (word(at)?, word(at + 4)?);
        let (kind, count) = (info >> 24 & 0x1f, (info & 0xffff) as usize);
        if kind == 4 && text(name_offset)? == name.as_bytes() {
            // With the kind flag, the upper 8 bits of a member's offset are a bit field's size.
            let mask = if info >> 31 == 1 { 0x00ff_ffff } else { u32::MAX };
            let offset = |member: &str| {
                let entry = (0..count).map(|n| at + 12 + n * 12).find(|entry| {
                    word(*entry).and_then(text).is_some_and(|text| text == member.as_bytes())
                })?;
                Some((word(entry + 8)? & mask) / 8)
            };
            let [first, second] = members;
            if let (Some(first), Some(second)) = (offset(first), offset(second)) {
                return Some([first, second]);
            }
        }
        at += 12 + trailer(kind, count)?;
    }
    None
}

/// Bytes that follow a type's common part.
fn trailer(kind: u32, count: usize) -> Option<usize> {
    Some(match kind {
        1 | 14 | 17 => 4,
        2 | 7..=12 | 16 | 18 => 0,
        3 => 12,
        4 | 5 | 15 | 19 => count * 12,
        6 | 13 => count * 8,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_kernels_btf_has_the_offsets() {
        let Ok(btf) = fs::read(BTF) else {
            eprintln!("skipped: this kernel shows no BTF at {BTF}");
            return;
        };
        let [pid, tgid] = member_offsets(&btf, "task_struct", ["pid", "tgid"]).unwrap();
        // The two stand next to each other in every kernel.
        assert_eq!(tgid, pid + 4);
    }

    #[test]
    fn cut_or_foreign_bytes_have_none() {
        let mut btf = vec![0x9f, 0xeb, 1, 0, 24, 0, 0, 0];
        btf.extend_from_slice(&[0xff; 16]);
        for length in 0..btf.len() {
            assert_eq!(member_offsets(&btf[..length], "task_struct", ["pid", "tgid"]), None);
        }
        assert_eq!(member_offsets(&[0; 64], "task_struct", ["pid", "tgid"]), None);
    }
}
