//! The interfaces of a pcapng section: link type, snapshot length, and the clock of their packets
//! (draft-ietf-opsawg-pcapng, section 4.2).

use super::{LinkType, error::Fault, order::Order};

/// Interfaces of one section; Wireshark has no limit, but memory has.
pub const INTERFACE_LIMIT: usize = 65_536;

const WHAT: &str = "an interface description block";
const NANOSECONDS: u64 = 1_000_000_000;

/// Options that change how packets are read.
mod option {
    pub(super) const END: u16 = 0;
    pub(super) const RESOLUTION: u16 = 9;
    pub(super) const OFFSET: u16 = 14;
}

/// How ticks become nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clock {
    /// Not 0.
    ticks_per_second: u64,
    /// Seconds to add.
    offset: i64,
}

/// An interface description block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interface {
    pub(super) link: LinkType,
    /// Bytes kept of each packet; 0 for all.
    pub(super) snapshot_length: u32,
    pub(super) clock: Clock,
    /// Index of the pod whose packets it has, in a file by `tracer capture`.
    pub(super) pod: Option<u32>,
}

impl Interface {
    /// Reads the block's body. As in Wireshark the first of two equal options counts, and one of a wrong length
    /// does not.
    pub(super) fn parse(body: &[u8], order: Order) -> Result<Self, Fault> {
        let fixed = body.split_first_chunk::<8>();
        let (Some((_, mut options)), Some([link, _])) = (fixed, order.halves(body)) else {
            return Err(Fault::wrong(WHAT, format!("{} bytes are too few for its 8 fixed ones", body.len())));
        };
        let [_, snapshot_length] = order.words(body).unwrap_or_default();
        let (mut ticks_per_second, mut offset) = (None, None);
        while !options.is_empty() {
            let (code, value, rest) = split_option(options, order)?;
            match (code, value) {
                (option::END, _) => break,
                (option::RESOLUTION, [resolution]) if ticks_per_second.is_none() => {
                    ticks_per_second = Some(ticks(*resolution)?);
                }
                (option::OFFSET, _) if offset.is_none() => {
                    offset = value.try_into().ok().map(|seconds| order.signed(seconds));
                }
                _ => {}
            }
            options = rest;
        }
        let clock = Clock {
            ticks_per_second: ticks_per_second.unwrap_or(1_000_000),
            offset: offset.unwrap_or_default(),
        };
        Ok(Self { link: LinkType(link), snapshot_length, clock, pod: None })
    }
}

/// Code and value of the first option, and what follows it.
pub(super) fn split_option(options: &[u8], order: Order) -> Result<(u16, &[u8], &[u8]), Fault> {
    let split = order.halves(options).and_then(|[code, length]| {
        let length = usize::from(length);
        let value = options.get(4..4 + length)?;
        let rest = options.get(4 + length.next_multiple_of(4)..)?;
        Some((code, value, rest))
    });
    split.ok_or_else(|| {
        Fault::wrong(WHAT, format!("an option runs over the {} bytes that are left", options.len()))
    })
}

/// Ticks per second of an `if_tsresol`: a power of ten, or of two with the highest bit.
fn ticks(resolution: u8) -> Result<u64, Fault> {
    let exponent = u32::from(resolution & 0x7f);
    let base: u64 = if resolution & 0x80 == 0 { 10 } else { 2 };
    base.checked_pow(exponent)
        .ok_or_else(|| Fault::Unsupported(format!("a clock with {base}^{exponent} ticks per second")))
}

impl Clock {
    /// Nanoseconds since 1970; what does not fit becomes the nearest that does.
    #[inline]
    pub(super) fn nanoseconds(self, ticks: u64) -> u64 {
        match self {
            Self { ticks_per_second: 1_000_000, offset: 0 } => ticks.saturating_mul(1_000),
            Self { ticks_per_second: NANOSECONDS, offset: 0 } => ticks,
            _ => self.slow(ticks),
        }
    }

    fn slow(self, ticks: u64) -> u64 {
        // At most 2^64 * 2^30 and 2^63 * 2^30 in size: the sum fits.
        let elapsed = i128::from(ticks) * i128::from(NANOSECONDS) / i128::from(self.ticks_per_second.max(1));
        let time = elapsed + i128::from(self.offset) * i128::from(NANOSECONDS);
        u64::try_from(time.max(0)).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
#[path = "interface_tests.rs"]
mod tests;
