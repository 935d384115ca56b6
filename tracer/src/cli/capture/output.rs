//! The file that the packets go to.

use std::{
    fs::{File, OpenOptions, Permissions},
    io::{self, Write},
    net::IpAddr,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use anyhow::Context as _;
use tracer_ebpf::counter::Counter;

use super::held::HeldPacket;
use crate::{
    export::{
        mask::mask,
        pcapng::{Packet, WriteError, Writer},
    },
    session::Session,
    source::live::{boot_time, wall_clock},
};

/// Where a capture will go: what is there stays until [`Sink::begin`].
pub(super) struct Sink {
    name: String,
    /// `None` for standard output.
    file: Option<File>,
}

impl Sink {
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

    /// Empties the file and begins the capture; `count` packets go to it at most. Of what the services at the
    /// `metadata` addresses answer, the expiry of credentials stays.
    pub(super) fn begin(self, count: Option<u64>, metadata: Vec<IpAddr>) -> anyhow::Result<Output> {
        let Self { name, file } = self;
        let sink: Box<dyn Write> = match &file {
            Some(file) => {
                if is_regular(file)? {
                    file.set_len(0).with_context(|| format!("cannot empty {name}"))?;
                }
                Box::new(file.try_clone().with_context(|| format!("cannot open {name} twice"))?)
            }
            None => Box::new(io::stdout()),
        };
        let mut output = Output { name, file, writer: None, left: count, metadata };
        let start = wall_clock().unix_ns(boot_time());
        output.writer = Some(Writer::new(sink, start).map_err(|error| output.failed(error))?);
        Ok(output)
    }
}

/// Whether it is a file with a length and a mode of its own: not a pipe, not `/dev/null`.
fn is_regular(file: &File) -> anyhow::Result<bool> {
    Ok(file.metadata().context("cannot look at the capture file")?.is_file())
}

/// A pcapng file or standard output.
pub(super) struct Output {
    name: String,
    /// The file, to cut a torn block off; `None` for standard output.
    file: Option<File>,
    writer: Option<Writer<Box<dyn Write>>>,
    left: Option<u64>,
    metadata: Vec<IpAddr>,
}

impl Output {
    /// Whether the wanted number of packets is written.
    pub(super) fn is_full(&self) -> bool {
        self.left == Some(0)
    }

    /// Masks and writes packets.
    pub(super) fn write(&mut self, session: &mut Session, packets: Vec<HeldPacket>) -> anyhow::Result<()> {
        if packets.is_empty() {
            return Ok(());
        }
        let Some(mut writer) = self.writer.take() else { return Ok(()) };
        let result = self.write_all(&mut writer, session, packets);
        self.writer = Some(writer);
        result.map_err(|error| self.failed(error))
    }

    fn write_all(
        &mut self,
        writer: &mut Writer<Box<dyn Write>>,
        session: &mut Session,
        packets: Vec<HeldPacket>,
    ) -> Result<(), WriteError> {
        let clock = wall_clock();
        for mut packet in packets {
            match &mut self.left {
                Some(0) => break,
                Some(left) => *left -= 1,
                None => {}
            }
            mask(&mut packet.bytes, packet.head.first == 1, &self.metadata);
            writer.packet(&Packet {
                pod: &session.pod(packet.head.cgroup),
                head: &packet.head,
                bytes: &packet.bytes,
                unix_ns: clock.unix_ns(packet.head.time),
                comments: &packet.comments,
            })?;
        }
        writer.flush()
    }

    /// Ends the file with its statistics and says what is in it.
    pub(super) fn finish(mut self, session: &Session, end_unix_ns: u64) -> anyhow::Result<()> {
        let dropped = session.source().counter(Counter::PacketsDropped)?;
        let Some(writer) = self.writer.take() else { return Ok(()) };
        let written = writer.finish(end_unix_ns, dropped).map_err(|error| self.failed(error))?;
        let events: u64 = session.accounting()?.dropped.values().sum();
        eprintln!(
            "tracer: {} packets written to {}, {dropped} lost; {events} events lost, whose comments are missing",
            written.packets, self.name
        );
        Ok(())
    }

    /// Cuts the file to its last whole block, so that it stays readable.
    fn failed(&self, error: WriteError) -> anyhow::Error {
        let cut = self.file.as_ref().map(|file| file.set_len(error.written.bytes));
        let note = if let Some(Err(cut)) = cut {
            format!(" (and cutting the torn end failed: {cut})")
        } else {
            String::new()
        };
        anyhow::Error::new(error).context(format!("cannot write the capture to {}{note}", self.name))
    }
}

#[cfg(test)]
mod tests {
    use std::{env, fs, process};

    use super::*;

    #[test]
    fn a_file_stays_until_the_capture_begins() {
        let path = env::temp_dir().join(format!("tracer-output-{}", process::id()));
        fs::write(&path, [b'x'; 4096]).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let sink = Sink::open(&path).unwrap();
        let before = fs::metadata(&path).unwrap();
        let output = sink.begin(None, Vec::new()).unwrap();
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
        Sink::open(Path::new("/dev/null")).unwrap().begin(None, Vec::new()).unwrap();
        assert_eq!(mode(), before);
    }
}
