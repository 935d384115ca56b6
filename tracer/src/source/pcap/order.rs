//! Numbers in the byte order of the machine that captured.

/// A byte order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Order {
    /// Least significant byte first.
    #[default]
    Little,
    /// Most significant byte first.
    Big,
}

impl Order {
    /// A 16-bit number.
    pub(super) fn half(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        }
    }

    /// A 32-bit number.
    pub(super) fn word(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }

    /// A signed 64-bit number.
    pub(super) fn signed(self, bytes: [u8; 8]) -> i64 {
        match self {
            Self::Little => i64::from_le_bytes(bytes),
            Self::Big => i64::from_be_bytes(bytes),
        }
    }

    /// The first 32-bit numbers of `bytes`; `None` when there are fewer.
    pub(super) fn words<const N: usize>(self, bytes: &[u8]) -> Option<[u32; N]> {
        let words: &[[u8; 4]; N] = bytes.as_chunks().0.first_chunk()?;
        Some(words.map(|word| self.word(word)))
    }

    /// The first two 16-bit numbers of `bytes`.
    pub(super) fn halves(self, bytes: &[u8]) -> Option<[u16; 2]> {
        let halves: &[[u8; 2]; 2] = bytes.as_chunks().0.first_chunk()?;
        Some(halves.map(|half| self.half(half)))
    }
}
