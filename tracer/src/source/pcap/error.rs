//! What can be wrong with a capture: where, what was being read, and what to do.

use std::{fmt::Write as _, io};

/// Why a capture cannot be read, or not further. `offset` counts bytes of the uncompressed capture.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is missing, or not for this user.
    #[error("cannot open {file}: {source}")]
    Open {
        /// Its path.
        file: String,
        /// What the kernel says.
        source: io::Error,
    },
    /// A directory.
    #[error("{file} is a directory: name the captures in it, for example {file}/*.pcap")]
    Directory {
        /// Its path.
        file: String,
    },
    /// Not a single byte.
    #[error("{file} is empty: whatever wrote it wrote no capture, not even a header")]
    Empty {
        /// Its path.
        file: String,
    },
    /// Its first bytes are neither pcap's nor pcapng's.
    #[error("{file} is not a pcap or pcapng capture: it begins with {first}. {advice}")]
    NotCapture {
        /// Its path.
        file: String,
        /// Its first bytes, in hexadecimal and as text.
        first: String,
        /// What to do.
        advice: &'static str,
    },
    /// The kernel cannot read on.
    #[error("cannot read {file} after byte {offset}: {source}")]
    Read {
        /// Its path.
        file: String,
        /// Where the bytes that were read end.
        offset: u64,
        /// What the kernel says.
        source: io::Error,
    },
    /// A version or a variant that nothing here reads.
    #[error("{file} at byte {offset}: {what} is not supported")]
    Unsupported {
        /// Its path.
        file: String,
        /// Where that is said.
        offset: u64,
        /// What it is.
        what: String,
    },
    /// It ends inside a record: the capture was killed, copied while it was written, or the disk was full.
    #[error("{file} is cut short in the middle of {what}, which begins at byte {offset}: {left}")]
    Truncated {
        /// Its path.
        file: String,
        /// Where the record begins.
        offset: u64,
        /// What was being read.
        what: String,
        /// What of it is there.
        left: String,
    },
    /// The bytes contradict the format.
    #[error("{file} is damaged at byte {offset}: reading {what}: {wrong}")]
    Damaged {
        /// Its path.
        file: String,
        /// Where the record begins.
        offset: u64,
        /// What was being read.
        what: String,
        /// What is wrong with it.
        wrong: String,
    },
}

/// An [`Error`] that does not know its file and offset yet.
#[derive(Debug)]
pub(super) enum Fault {
    Empty,
    NotCapture { first: String, advice: &'static str },
    Read(io::Error),
    Unsupported(String),
    Short { what: String, left: String },
    Wrong { what: String, wrong: String },
}

impl Fault {
    /// Fewer bytes than needed.
    #[cold]
    pub(super) fn short(what: impl Into<String>, needed: usize, left: usize) -> Self {
        Self::Short { what: what.into(), left: format!("{left} of its {needed} bytes are there") }
    }

    /// Bytes that contradict the format.
    #[cold]
    pub(super) fn wrong(what: impl Into<String>, wrong: impl Into<String>) -> Self {
        Self::Wrong { what: what.into(), wrong: wrong.into() }
    }

    /// A file of another kind.
    #[cold]
    pub(super) fn not_a_capture(first: &[u8]) -> Self {
        let shown = first.get(..8).unwrap_or(first);
        let mut text = String::new();
        for byte in shown {
            // Writing to a string cannot fail.
            let _infallible = write!(text, "{byte:02x} ");
        }
        let _infallible = write!(text, "(\"{}\")", shown.escape_ascii());
        Self::NotCapture { first: text, advice: advice(first) }
    }

    /// The error of a file at an offset.
    pub(super) fn named(self, file: &str, offset: u64) -> Error {
        let file = file.to_owned();
        match self {
            Self::Empty => Error::Empty { file },
            Self::NotCapture { first, advice } => Error::NotCapture { file, first, advice },
            Self::Read(source) => Error::Read { file, offset, source },
            Self::Unsupported(what) => Error::Unsupported { file, offset, what },
            Self::Short { what, left } => Error::Truncated { file, offset, what, left },
            Self::Wrong { what, wrong } => Error::Damaged { file, offset, what, wrong },
        }
    }
}

/// What to do with a file of another kind.
fn advice(first: &[u8]) -> &'static str {
    match first {
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "It is compressed: `zstd -dc FILE | tracer analyze -` reads it",
        [0xfd, b'7', b'z', b'X', b'Z', ..] => "It is compressed: `xz -dc FILE | tracer analyze -` reads it",
        [b'B', b'Z', b'h', ..] => "It is compressed: `bzip2 -dc FILE | tracer analyze -` reads it",
        [0x04, 0x22, 0x4d, 0x18, ..] => "It is compressed: `lz4 -dc FILE | tracer analyze -` reads it",
        _ => "Wireshark's `editcap -F pcapng FILE NEW` converts other kinds of captures",
    }
}
