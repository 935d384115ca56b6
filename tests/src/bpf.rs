//! Which BPF objects a process holds, and which the kernel still has: what a killed tracer leaves.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// A program, map or link in the kernel, by its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Object {
    /// A program.
    Program(u32),
    /// A map.
    Map(u32),
    /// A link of a program to what it is attached to.
    Link(u32),
}

/// The objects that a process holds by its file descriptors.
pub fn held_by(pid: u32) -> Result<BTreeSet<Object>> {
    let dir = Path::new("/proc").join(pid.to_string()).join("fdinfo");
    let entries = fs::read_dir(&dir).with_context(|| format!("list {}", dir.display()))?;
    // A descriptor may close between the listing and the reading.
    let texts = entries.flatten().filter_map(|entry| fs::read_to_string(entry.path()).ok());
    Ok(texts.flat_map(|text| text.lines().filter_map(object).collect::<Vec<_>>()).collect())
}

fn object(line: &str) -> Option<Object> {
    let (key, value) = line.split_once(':')?;
    let id = value.trim().parse().ok()?;
    match key {
        "prog_id" => Some(Object::Program(id)),
        "map_id" => Some(Object::Map(id)),
        "link_id" => Some(Object::Link(id)),
        _ => None,
    }
}

/// The part of the kernel's `union bpf_attr` for the commands that walk ids.
#[repr(C)]
#[derive(Default)]
struct NextId {
    start: u32,
    next: u32,
    flags: u32,
}

impl Object {
    /// Whether the kernel still has the object.
    pub fn exists(self) -> Result<bool> {
        // BPF_PROG_GET_NEXT_ID, BPF_MAP_GET_NEXT_ID and BPF_LINK_GET_NEXT_ID.
        let (command, id) = match self {
            Self::Program(id) => (11, id),
            Self::Map(id) => (12, id),
            Self::Link(id) => (31, id),
        };
        let mut attribute = NextId { start: id - 1, ..NextId::default() };
        // SAFETY: the command reads and writes only this struct, whose size it is told.
        let status =
            unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut attribute, size_of::<NextId>()) };
        let error = std::io::Error::last_os_error();
        match (status, error.raw_os_error()) {
            (0, _) => Ok(attribute.next == id),
            (_, Some(libc::ENOENT)) => Ok(false),
            _ => bail!("ask the kernel for {self:?}: {error}"),
        }
    }
}
