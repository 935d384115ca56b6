//! Names of rotated files, as tcpdump makes them.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

/// When a new file begins, and how many there are.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(super) struct Rotation {
    /// Begin a new file when one has this many million bytes
    #[arg(short = 'C', long, value_name = "MB", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    file_size: Option<u64>,
    /// Begin a new file after this many seconds. FILE may have a time (UTC) in its name, as strftime(3) writes it: -w
    /// tracer-%H%M%S.pcapng; otherwise a number is added to it, as with -C
    #[arg(short = 'G', long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
    rotate_seconds: Option<u64>,
    /// Keep this many files: with -C the oldest is written over, with -G alone the capture ends after the last
    #[arg(short = 'W', long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    file_count: Option<u32>,
}

impl Rotation {
    /// Whether there may be more than one file.
    pub(super) fn is_wanted(&self) -> bool {
        self.file_size.is_some() || self.rotate_seconds.is_some()
    }

    /// Bytes from which on a file is full.
    fn bytes(&self) -> Option<u64> {
        self.file_size.map(|megabytes| megabytes * 1_000_000)
    }

    /// Nanoseconds that a file covers.
    fn nanoseconds(&self) -> Option<u64> {
        self.rotate_seconds.map(|seconds| seconds * 1_000_000_000)
    }
}

/// What comes after a packet.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It goes to the same file.
    Same,
    /// It goes to this file, a new one.
    File(PathBuf),
    /// Nowhere: all files are written.
    End,
}

/// Makes the names.
#[derive(Debug)]
pub(super) struct Names {
    pattern: PathBuf,
    rotation: Rotation,
    /// When the newest file with a time of its own began, Unix nanoseconds.
    began: u64,
    /// Number of the newest file; in the time's files from 0 again.
    number: u32,
    /// Files begun because of the time.
    periods: u32,
}

impl Names {
    /// For a capture that begins at `unix_ns`.
    pub(super) fn new(pattern: &Path, rotation: Rotation, unix_ns: u64) -> Self {
        Self { pattern: pattern.to_owned(), rotation, began: unix_ns, number: 0, periods: 0 }
    }

    /// Name of the newest file.
    pub(super) fn current(&self) -> PathBuf {
        let mut name = self.pattern.clone().into_os_string();
        if self.has_time()
            && let Some(text) = self.pattern.to_str()
            && let Ok(timed) = strftime(text, self.began)
        {
            name = timed.into();
        }
        match (self.rotation.file_size, self.rotation.file_count) {
            // As many digits as the last one has, so that names sort.
            (Some(_), Some(count)) => {
                let digits = (count - 1).to_string().len();
                name.push(format!("{:0digits$}", self.number));
            }
            _ if self.number > 0 => name.push(self.number.to_string()),
            _ => {}
        }
        name.into()
    }

    /// Where a packet of this time goes, when the newest file has `bytes`.
    pub(super) fn next(&mut self, unix_ns: u64, bytes: u64) -> Next {
        if let Some(period) = self.rotation.nanoseconds()
            && unix_ns.saturating_sub(self.began) >= period
        {
            self.began += unix_ns.saturating_sub(self.began) / period * period;
            self.periods += 1;
            if self.rotation.file_size.is_none() && self.rotation.file_count == Some(self.periods) {
                return Next::End;
            }
            if self.has_time() {
                self.number = 0;
            } else {
                self.count();
            }
            return Next::File(self.current());
        }
        if self.rotation.bytes().is_some_and(|limit| bytes >= limit) {
            self.count();
            return Next::File(self.current());
        }
        Next::Same
    }

    fn count(&mut self) {
        let ring = self.rotation.file_size.and(self.rotation.file_count);
        self.number = ring.map_or(self.number.saturating_add(1), |count| (self.number + 1) % count);
    }

    fn has_time(&self) -> bool {
        self.rotation.rotate_seconds.is_some() && self.pattern.to_str().is_some_and(|text| text.contains('%'))
    }
}

/// Checks the name of a file with times in it.
pub(super) fn check(pattern: &Path, rotation: Rotation) -> anyhow::Result<()> {
    use anyhow::Context as _;
    if rotation.is_wanted() {
        anyhow::ensure!(
            pattern != Path::new("-"),
            "standard output cannot be rotated: name a file with -w FILE"
        );
    }
    anyhow::ensure!(
        rotation.is_wanted() || rotation.file_count.is_none(),
        "-W counts the files of -C MB or -G SECONDS: give one of them"
    );
    if rotation.rotate_seconds.is_some()
        && let Some(text) = pattern.to_str().filter(|text| text.contains('%'))
    {
        strftime(text, 0)
            .with_context(|| format!("{text} is no name with a time in it, as strftime(3) has them"))?;
    }
    Ok(())
}

fn strftime(pattern: &str, unix_ns: u64) -> Result<String, jiff::Error> {
    let time = Timestamp::from_nanosecond(unix_ns.into())?;
    jiff::fmt::strtime::format(pattern, &time.to_zoned(jiff::tz::TimeZone::UTC))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    /// 2026-01-02T03:04:05Z.
    const START: u64 = 1_767_323_045 * SECOND;
    const MB: u64 = 1_000_000;

    fn names(pattern: &str, size: Option<u64>, seconds: Option<u64>, count: Option<u32>) -> Names {
        let rotation = Rotation { file_size: size, rotate_seconds: seconds, file_count: count };
        Names::new(Path::new(pattern), rotation, START)
    }

    fn file(name: &str) -> Next {
        Next::File(name.into())
    }

    #[test]
    fn without_rotation_there_is_one_file() {
        let mut names = names("a.pcapng", None, None, None);
        assert_eq!(names.current(), Path::new("a.pcapng"));
        assert_eq!(names.next(START + 9_999 * SECOND, 9_999 * MB), Next::Same);
    }

    #[test]
    fn full_files_are_numbered() {
        let mut names = names("a.pcapng", Some(2), None, None);
        assert_eq!(names.next(START, 2 * MB - 1), Next::Same);
        assert_eq!(
            [names.next(START, 2 * MB), names.next(START, 2 * MB)],
            ["a.pcapng1", "a.pcapng2"].map(file)
        );
    }

    #[test]
    fn a_count_of_full_files_is_a_ring() {
        let mut names = names("a", Some(1), None, Some(11));
        assert_eq!(names.current(), Path::new("a00"));
        let all: Vec<Next> = (0..12).map(|_| names.next(START, MB)).collect();
        assert_eq!(all[..2], ["a01", "a02"].map(file));
        assert_eq!(all[9..], ["a10", "a00", "a01"].map(file));
    }

    #[test]
    fn periods_have_their_time_in_the_name() {
        let mut names = names("a-%Y%m%d-%H%M%S", None, Some(60), None);
        assert_eq!(names.current(), Path::new("a-20260102-030405"));
        assert_eq!(names.next(START + 59 * SECOND, 0), Next::Same);
        // Nothing passed for a while: the next file begins where its period does.
        assert_eq!(names.next(START + 130 * SECOND, 0), file("a-20260102-030605"));
    }

    #[test]
    fn periods_without_a_time_in_the_name_are_numbered_and_end_at_the_count() {
        let mut names = names("a", None, Some(1), Some(2));
        assert_eq!(names.next(START + SECOND, 0), file("a1"));
        assert_eq!(names.next(START + 2 * SECOND, 0), Next::End);
    }

    #[test]
    fn in_each_period_full_files_are_numbered_again() {
        let mut names = names("%S-", Some(1), Some(10), Some(3));
        assert_eq!(names.current(), Path::new("05-0"));
        assert_eq!(names.next(START, MB), file("05-1"));
        assert_eq!(names.next(START + 10 * SECOND, MB), file("15-0"));
    }

    #[test]
    fn impossible_rotations_are_refused() {
        let refused = |pattern: &str, size, seconds, count| {
            let rotation = Rotation { file_size: size, rotate_seconds: seconds, file_count: count };
            check(Path::new(pattern), rotation).err().map(|error| error.to_string()).unwrap_or_default()
        };
        assert!(refused("-", Some(1), None, None).contains("standard output"));
        assert!(refused("a", None, None, Some(2)).contains("-W counts"));
        assert!(refused("a%", None, Some(1), None).contains("strftime"));
        assert_eq!(refused("a%H", None, Some(1), Some(2)), "");
        // A per cent sign is no time unless files have times.
        assert_eq!(refused("100%", Some(1), None, None), "");
    }
}
