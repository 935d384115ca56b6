//! Captures as the commands read them: several files as one timeline, the local side, progress, damage.

use std::{
    io::{self, IsTerminal as _},
    net::IpAddr,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;

use super::{input::Input, pods::Pods};
use crate::{
    offline::Offline,
    packet::Decoder,
    pod::Pod,
    replay::Guess,
    source::pcap::{self, LinkType, Merged, Origin, Raw, Reader},
};

/// Exit code when a capture is damaged or cut: what came before the damage is reported.
const DAMAGED: u8 = 3;
/// Packets that are looked at to guess the local side, and their bytes.
const LOOK_AHEAD: usize = 20_000;
const LOOK_AHEAD_BYTES: usize = 16 << 20;
/// How often progress is shown, in packets and in time.
const PROGRESS_PACKETS: u64 = 1 << 16;
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// The captures: the packets that were looked at already, then the rest.
pub(super) struct Capture {
    merged: Merged,
    pods: Pods,
    seen: Vec<Kept>,
    bytes: Vec<u8>,
    /// What ended the reading of files early, of each at most one.
    damage: Vec<pcap::Error>,
}

/// A packet whose bytes are in the arena.
struct Kept {
    number: u64,
    time: u64,
    link: LinkType,
    original_length: u32,
    /// Its pod, and whether it left the pod.
    origin: Option<(Arc<Pod>, bool)>,
    end: usize,
}

impl Capture {
    /// Opens the files.
    pub(super) fn open(input: &Input) -> anyhow::Result<Self> {
        let readers = input.files.iter().map(|file| Reader::open(file)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self::new(readers, Pods::new(input.pod.clone(), !input.locals.is_empty())))
    }

    fn new(readers: Vec<Reader>, pods: Pods) -> Self {
        Self { merged: Merged::new(readers), pods, seen: Vec::new(), bytes: Vec::new(), damage: Vec::new() }
    }

    /// The pods' addresses: those given, or guessed. None of pods whose packets say so.
    pub(super) fn locals(&mut self, input: &Input, metadata: &[IpAddr]) -> Vec<IpAddr> {
        match (&input.pod, input.locals.as_slice()) {
            (Some(_), _) => Vec::new(),
            (None, []) => self.guess(metadata),
            (None, locals) => locals.to_vec(),
        }
    }

    /// Looks at the first packets and guesses whose side they were captured on, where they do not say it.
    fn guess(&mut self, metadata: &[IpAddr]) -> Vec<IpAddr> {
        let (mut guess, mut decoder) = (Guess::new(metadata.to_vec()), Decoder::default());
        while self.seen.len() < LOOK_AHEAD && self.bytes.len() < LOOK_AHEAD_BYTES {
            match self.merged.next() {
                Ok(Some((_, raw))) => {
                    let Some(raw) = self.pods.choose(raw) else { continue };
                    if raw.origin.is_none()
                        && let Ok(Some(packet)) =
                            decoder.decode(raw.link.0, raw.time, raw.bytes, raw.original_length)
                    {
                        guess.see(&packet);
                    }
                    self.bytes.extend_from_slice(raw.bytes);
                    let Raw { number, time, link, original_length, .. } = raw;
                    let origin = raw.origin.map(|origin| (Arc::clone(origin.pod), origin.outbound));
                    let end = self.bytes.len();
                    self.seen.push(Kept { number, time, link, original_length, origin, end });
                }
                Ok(None) => break,
                Err(error) => self.damage.push(error),
            }
        }
        let locals = guess.locals();
        let pods = self.pods.shown();
        if !pods.is_empty() {
            eprintln!("tracer: local side: pods {pods} (--pod POD chooses one)");
        }
        if pods.is_empty() || !locals.is_empty() {
            let shown: Vec<String> = locals.iter().take(8).map(ToString::to_string).collect();
            let more = if locals.len() > shown.len() { ", …" } else { "" };
            eprintln!("tracer: local side: {}{more} (guessed; --local IP chooses)", shown.join(", "));
        }
        locals
    }

    /// Hands every packet to the analysis, and ends it.
    pub(super) fn replay(&mut self, offline: &mut Offline<'_>) -> anyhow::Result<()> {
        self.packets(offline).context("cannot write the lines to standard output")?;
        self.pods.check()
    }

    fn packets(&mut self, offline: &mut Offline<'_>) -> io::Result<()> {
        let mut start = 0;
        for kept in std::mem::take(&mut self.seen) {
            let bytes = self.bytes.get(start..kept.end).unwrap_or_default();
            let Kept { number, time, link, original_length, origin, end } = kept;
            let origin = origin.as_ref().map(|(pod, outbound)| Origin { pod, outbound: *outbound });
            offline.packet(&Raw { number, time, link, original_length, bytes, origin })?;
            start = end;
        }
        self.bytes = Vec::new();
        let mut progress = Progress::new();
        loop {
            match self.merged.next() {
                Ok(Some((_, raw))) => {
                    if let Some(raw) = self.pods.choose(raw) {
                        offline.packet(&raw)?;
                    }
                }
                Ok(None) => break,
                Err(error) => self.damage.push(error),
            }
            progress.show(offline.packets(), || share(&self.merged));
        }
        progress.end();
        offline.finish()
    }

    /// Why not all of it was read.
    pub(super) fn damage(&self) -> Option<String> {
        let damages: Vec<String> = self.damage.iter().map(ToString::to_string).collect();
        (!damages.is_empty()).then(|| damages.join("; "))
    }

    /// Of the command; says on standard error what is damaged.
    pub(super) fn exit_code(&self) -> ExitCode {
        let Some(damage) = self.damage() else { return ExitCode::SUCCESS };
        eprintln!("tracer: {damage}; what came before is reported");
        ExitCode::from(DAMAGED)
    }
}

/// How much of the files was read, when their sizes are known.
fn share(merged: &Merged) -> Option<f64> {
    let size: u64 = merged.readers().iter().map(Reader::size).sum::<Option<u64>>()?;
    let taken: u64 = merged.readers().iter().map(Reader::taken).sum();
    #[expect(clippy::cast_precision_loss, reason = "a share that is shown in percent")]
    (size > 0).then(|| taken as f64 / size as f64)
}

/// A line on a terminal's standard error that says how far the reading is.
struct Progress {
    wanted: bool,
    next: Instant,
    shown: bool,
}

impl Progress {
    fn new() -> Self {
        Self { wanted: io::stderr().is_terminal(), next: Instant::now() + PROGRESS_EVERY, shown: false }
    }

    fn show(&mut self, packets: u64, share: impl FnOnce() -> Option<f64>) {
        if !self.wanted || !packets.is_multiple_of(PROGRESS_PACKETS) || Instant::now() < self.next {
            return;
        }
        let share = share().map(|share| format!("{:.0} %, ", share * 100.0)).unwrap_or_default();
        eprint!("\rtracer: {share}{packets} packets");
        self.next = Instant::now() + PROGRESS_EVERY;
        self.shown = true;
    }

    fn end(&self) {
        if self.shown {
            eprintln!();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pcap of which half a record's header is left.
    fn cut(name: &str) -> Reader {
        let header = [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0];
        let file = [header.as_slice(), &[0; 8]].concat();
        Reader::from_read(io::Cursor::new(file), name).unwrap()
    }

    #[test]
    fn each_damaged_file_is_named() {
        let mut capture = Capture::new(vec![cut("a.pcap"), cut("b.pcap")], Pods::default());
        assert_eq!(capture.damage(), None);
        capture.guess(&[]);
        let damage = capture.damage().unwrap();
        assert!(damage.contains("a.pcap is cut") && damage.contains("; b.pcap is cut"), "{damage}");
        assert_eq!(capture.exit_code(), ExitCode::from(DAMAGED));
    }
}
