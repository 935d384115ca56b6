//! The files that the packets go to.

use std::{
    fs::{File, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use anyhow::Context as _;

use super::{
    held::HeldPacket,
    masking::Masking,
    names::{self, Names, Next, Rotation},
};
use crate::{
    export::pcapng::{Losses, Packet, WriteError, Writer},
    session::Session,
    source::live::{boot_time, wall_clock},
};

/// Where a capture will go: what is there stays until [`Sink::begin`].
pub(super) struct Sink {
    names: Names,
    rotates: bool,
    target: Target,
}

impl Sink {
    /// Opens the first file, readable by its owner only from now on, or takes standard output.
    pub(super) fn open(path: &Path, rotation: Rotation) -> anyhow::Result<Self> {
        names::check(path, rotation)?;
        let names = Names::new(path, rotation, now());
        let target = Target::open(&names.current())?;
        Ok(Self { names, rotates: rotation.is_wanted(), target })
    }

    /// Empties the file and begins the capture; `count` packets go to it at most.
    pub(super) fn begin(self, count: Option<u64>, masking: Masking) -> anyhow::Result<Output> {
        if self.rotates {
            may_create_beside(&self.names.current())?;
        }
        let name = self.target.name.clone();
        let current = Some(self.target.begin()?);
        Ok(Output {
            names: self.names,
            name,
            current,
            left: count,
            masking,
            packets: 0,
            files: 1,
            dropped: 0,
        })
    }
}

fn now() -> u64 {
    wall_clock().unix_ns(boot_time())
}

/// Root without its capabilities may not write to every folder: better to know it now than at the second file.
fn may_create_beside(path: &Path) -> anyhow::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let unnamed = OpenOptions::new().write(true).mode(0o600).custom_flags(libc::O_TMPFILE).open(folder);
    match unnamed {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error).with_context(|| {
            format!(
                "cannot make further files in {}: tracer has given up the capability to write to what others own; \
                 choose a folder that belongs to its user",
                folder.display()
            )
        }),
        // Not every file system has files without a name.
        _ => Ok(()),
    }
}

/// An open file, or standard output.
pub(super) struct Target {
    name: String,
    /// `None` for standard output.
    file: Option<File>,
}

impl Target {
    /// Opens the file, readable by its owner only from now on, or takes standard output.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        if path == Path::new("-") {
            return Ok(Self { name: "standard output".to_owned(), file: None });
        }
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
        let file = file.with_context(|| format!("cannot open the capture file {}", path.display()))?;
        if is_regular(&file)? {
            file.set_permissions(Permissions::from_mode(0o600))
                .with_context(|| format!("cannot make {} readable by its owner only", path.display()))?;
        }
        Ok(Self { name: path.display().to_string(), file: Some(file) })
    }

    /// What to call it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Something to write to, empty.
    pub(super) fn empty(&self) -> anyhow::Result<Box<dyn Write>> {
        let Some(file) = &self.file else { return Ok(Box::new(io::stdout())) };
        let name = &self.name;
        if is_regular(file)? {
            file.set_len(0).with_context(|| format!("cannot empty {name}"))?;
        }
        Ok(Box::new(file.try_clone().with_context(|| format!("cannot open {name} twice"))?))
    }

    fn begin(self) -> anyhow::Result<Current> {
        let sink = self.empty()?;
        let Self { name, file } = self;
        let writer = Writer::new(sink, now()).map_err(|error| failed(&name, file.as_ref(), error))?;
        Ok(Current { name, file, writer })
    }
}

/// Whether it is a file with a length and a mode of its own: not a pipe, not `/dev/null`.
fn is_regular(file: &File) -> anyhow::Result<bool> {
    Ok(file.metadata().context("cannot look at the capture file")?.is_file())
}

/// The file that is written.
struct Current {
    name: String,
    /// The file, to cut a torn block off; `None` for standard output.
    file: Option<File>,
    writer: Writer<Box<dyn Write>>,
}

impl Current {
    fn failed(&self, error: WriteError) -> anyhow::Error {
        failed(&self.name, self.file.as_ref(), error)
    }

    fn finish(self, losses: Losses) -> anyhow::Result<u64> {
        let Self { name, file, writer } = self;
        let written = writer.finish(now(), losses).map_err(|error| failed(&name, file.as_ref(), error))?;
        Ok(written.packets)
    }
}

/// Cuts the file to its last whole block, so that it stays readable.
fn failed(name: &str, file: Option<&File>, error: WriteError) -> anyhow::Error {
    let cut = file.map(|file| file.set_len(error.written.bytes));
    let note = if let Some(Err(cut)) = cut {
        format!(" (and cutting the torn end failed: {cut})")
    } else {
        String::new()
    };
    anyhow::Error::new(error).context(format!("cannot write the capture to {name}{note}"))
}

/// pcapng files or standard output.
pub(super) struct Output {
    names: Names,
    /// The first file.
    name: String,
    /// `None` when all is written.
    current: Option<Current>,
    /// Packets that may still be written.
    left: Option<u64>,
    masking: Masking,
    /// Packets and files that are finished.
    packets: u64,
    files: u32,
    /// Packets that the kernel had lost when the newest file began.
    dropped: u64,
}

impl Output {
    /// Whether the wanted number of packets or files is written.
    pub(super) fn is_full(&self) -> bool {
        self.left == Some(0) || self.current.is_none()
    }

    /// Masks and writes packets.
    pub(super) fn write(&mut self, session: &mut Session, packets: Vec<HeldPacket>) -> anyhow::Result<()> {
        let clock = wall_clock();
        for mut packet in packets {
            let unix_ns = clock.unix_ns(packet.head.time);
            if self.left == Some(0) || !self.turn(session, unix_ns)? {
                break;
            }
            let Some(current) = &mut self.current else { break };
            self.left = self.left.map(|left| left - 1);
            self.masking.mask(&packet.head, &mut packet.bytes);
            let written = current.writer.packet(&Packet {
                pod: &session.pod(packet.head.cgroup),
                head: &packet.head,
                bytes: &packet.bytes,
                unix_ns,
                comments: &packet.comments,
            });
            written.map_err(|error| current.failed(error))?;
        }
        let Some(current) = &mut self.current else { return Ok(()) };
        current.writer.flush().map_err(|error| current.failed(error))
    }

    /// Goes on to the next file when it is time; false when there is none.
    fn turn(&mut self, session: &Session, unix_ns: u64) -> anyhow::Result<bool> {
        let Some(current) = &self.current else { return Ok(false) };
        let next = self.names.next(unix_ns, current.writer.size());
        if next == Next::Same {
            return Ok(true);
        }
        self.end_file(session, 0)?;
        let Next::File(path) = next else { return Ok(false) };
        self.current = Some(Target::open(&path)?.begin()?);
        self.files += 1;
        Ok(true)
    }

    /// `early` packets left the ring before it was known whether they are wanted.
    fn end_file(&mut self, session: &Session, early: u64) -> anyhow::Result<()> {
        let Some(current) = self.current.take() else { return Ok(()) };
        let dropped = session.packets()?.dropped;
        let kernel = dropped.saturating_sub(self.dropped);
        self.dropped = dropped;
        self.packets += current.finish(Losses { kernel, early })?;
        Ok(())
    }

    /// Ends the file with its statistics and says what is in it.
    pub(super) fn finish(mut self, session: &Session, early: u64) -> anyhow::Result<()> {
        self.end_file(session, early)?;
        let events: u64 = session.accounting()?.dropped.values().sum();
        let seen = session.packets()?.emitted;
        let files =
            if self.files > 1 { format!(" and {} more files", self.files - 1) } else { String::new() };
        eprintln!(
            "tracer: {} packets written to {}{files}, {} of {seen} lost; {events} events lost, whose comments are \
             missing",
            self.packets, self.name, self.dropped
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{env, fs, process};

    use super::*;

    fn open(path: &Path) -> Sink {
        Sink::open(path, Rotation::default()).unwrap()
    }

    #[test]
    fn a_file_stays_until_the_capture_begins() {
        let path = env::temp_dir().join(format!("tracer-output-{}", process::id()));
        fs::write(&path, [b'x'; 4096]).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let sink = open(&path);
        let before = fs::metadata(&path).unwrap();
        let output = sink.begin(None, Masking::default()).unwrap();
        let after = fs::metadata(&path).unwrap();
        drop(output);
        fs::remove_file(&path).unwrap();
        assert_eq!((before.len(), before.permissions().mode() & 0o777), (4096, 0o600));
        assert!(after.len() < 4096, "{}", after.len());
    }

    #[test]
    fn a_device_keeps_its_mode() {
        let mode = || fs::metadata("/dev/null").unwrap().permissions().mode();
        let before = mode();
        open(Path::new("/dev/null")).begin(None, Masking::default()).unwrap();
        assert_eq!(mode(), before);
    }

    #[test]
    fn a_full_disk_is_an_error_that_says_what_is_complete() {
        let error = open(Path::new("/dev/full")).begin(None, Masking::default()).err().unwrap();
        let text = format!("{error:#}");
        assert!(text.contains("/dev/full") && text.contains("0 packets (0 bytes) are complete"), "{text}");
    }
}
