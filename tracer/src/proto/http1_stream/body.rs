//! Where a message's body ends: bytes are counted, never kept.

use super::{chunks::Chunks, field::Framing};

/// A body that is being read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Body {
    /// Bytes that are missing.
    Length(u64),
    /// Chunks and trailers.
    Chunked(Chunks),
    /// All that comes.
    Close,
}

/// What bytes, or a gap, meant for a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// All were taken; the message goes on.
    All,
    /// It ended after as many.
    End(usize),
    /// It makes no sense after as many.
    Broken(usize),
}

impl Body {
    /// None when nobody can say how it ends.
    pub(super) fn new(framing: Framing) -> Option<Self> {
        match framing {
            Framing::Length(length) => Some(Self::Length(length)),
            Framing::Chunked => Some(Self::Chunked(Chunks::default())),
            Framing::Close => Some(Self::Close),
            Framing::Broken => None,
        }
    }

    /// Takes bytes up to the body's end.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Taken {
        match self {
            Self::Length(missing) => match usize::try_from(*missing) {
                Ok(end) if end <= bytes.len() => Taken::End(end),
                _ => {
                    *missing = missing.saturating_sub(bytes.len() as u64);
                    Taken::All
                }
            },
            Self::Chunked(chunks) => chunks.take(bytes),
            Self::Close => Taken::All,
        }
    }

    /// Takes a gap where its bytes could only have been data. Returns how many of them belong to the body, and
    /// whether it goes on; none when the gap may have hidden its end.
    pub(super) fn gap(&mut self, length: u64) -> Option<(u64, bool)> {
        match self {
            Self::Length(missing) => {
                let taken = length.min(*missing);
                *missing = missing.saturating_sub(taken);
                Some((taken, *missing > 0))
            }
            Self::Chunked(chunks) => chunks.gap(length).then_some((length, true)),
            Self::Close => Some((length, true)),
        }
    }
}
