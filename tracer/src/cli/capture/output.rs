//! The file that the packets go to.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt as _,
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

/// A pcapng file or standard output.
pub(super) struct Output {
    name: String,
    /// The file, to cut a torn block off; `None` for standard output.
    file: Option<File>,
    writer: Option<Writer<Box<dyn Write>>>,
    left: Option<u64>,
}

impl Output {
    /// Creates the file, readable by its owner only, or takes standard output; `count` packets go to it at most.
    pub(super) fn create(path: &Path, count: Option<u64>) -> anyhow::Result<Self> {
        let (name, file): (String, Option<File>) = if path == Path::new("-") {
            ("standard output".to_owned(), None)
        } else {
            let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
            let file = file.with_context(|| format!("cannot create the capture file {}", path.display()))?;
            (path.display().to_string(), Some(file))
        };
        let sink: Box<dyn Write> = match &file {
            Some(file) => Box::new(file.try_clone().with_context(|| format!("cannot open {name} twice"))?),
            None => Box::new(io::stdout()),
        };
        let mut output = Self { name, file, writer: None, left: count };
        let start = wall_clock().unix_ns(boot_time());
        output.writer = Some(Writer::new(sink, start).map_err(|error| output.failed(error))?);
        Ok(output)
    }

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
            mask(&mut packet.bytes, packet.head.first == 1);
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
        eprintln!("tracer: {} packets written to {}, {dropped} lost", written.packets, self.name);
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
