//! The Huffman code of header strings (RFC 7541, section 5.2 and appendix B).
//!
//! The code is canonical: codes of a length follow each other in the order of their symbols, so the lengths say
//! all, and a code is found by comparing it with the last one of each length.

use super::Malformed;

/// Bits of each symbol's code; the last symbol is EOS.
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28,
    28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6,
    6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7,
    8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7,
    15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24,
    23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23,
    23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26,
    26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20,
    21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27,
    27, 27, 26, 30,
];
/// Bits of the longest code.
const LONGEST: usize = 30;
/// Codes up to this length, which are those of most text, are found at once.
const SHORT: usize = 8;

static CODE: Code = Code::new();

/// All codes of one length, left-aligned in 32 bits.
#[derive(Clone, Copy)]
struct Group {
    /// Bits of the codes.
    length: u8,
    /// The first code.
    first: u32,
    /// The code after the last one, or more: 2³² after the last group.
    end: u64,
    /// Where its symbols begin in [`Code::symbols`].
    start: u16,
}

struct Code {
    /// In the order of their codes.
    symbols: [u16; 257],
    groups: [Group; LONGEST + 1],
    /// Symbol and length by the code's first bits; length 0 where it is longer.
    short: [(u16, u8); 1 << SHORT],
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "no other conversions in constants; all values are below 2³²"
)]
impl Code {
    const fn new() -> Self {
        let group = Group { length: 0, first: 0, end: 0, start: 0 };
        let mut code = Self { symbols: [0; 257], groups: [group; LONGEST + 1], short: [(0, 0); 1 << SHORT] };
        let (mut next, mut at, mut length) = (0u64, 0, 1);
        while length <= LONGEST {
            let (first, start) = (next, at);
            let mut symbol = 0;
            while symbol < LENGTHS.len() {
                if LENGTHS[symbol] as usize == length {
                    code.symbols[at as usize] = symbol as u16;
                    if length <= SHORT {
                        code.fill_short(next, length, symbol as u16);
                    }
                    next += 1 << (32 - length);
                    at += 1;
                }
                symbol += 1;
            }
            code.groups[length] = Group { length: length as u8, first: first as u32, end: next, start };
            length += 1;
        }
        assert!(next == 1 << 32, "the lengths are those of a complete code");
        code
    }

    const fn fill_short(&mut self, code: u64, length: usize, symbol: u16) {
        let mut at = (code >> (32 - SHORT)) as usize;
        let end = at + (1 << (SHORT - length));
        while at < end {
            self.short[at] = (symbol, length as u8);
            at += 1;
        }
    }

    /// The symbol whose code the 32 bits begin with, and its length.
    fn symbol(&self, bits: u32) -> Option<(u16, u8)> {
        let short = self.short.get((bits >> (32 - SHORT)) as usize)?;
        if short.1 != 0 {
            return Some(*short);
        }
        let group = self.groups.iter().skip(SHORT + 1).find(|group| u64::from(bits) < group.end)?;
        let nth = bits.checked_sub(group.first)? >> (32 - u32::from(group.length));
        let symbol = self.symbols.get(usize::from(group.start) + nth as usize)?;
        Some((*symbol, group.length))
    }
}

/// Gives each byte of the string to `byte`.
pub(super) fn decode(string: &[u8], mut byte: impl FnMut(u8)) -> Result<(), Malformed> {
    let mut rest = string.iter();
    // The bits not yet read, left-aligned, and how many they are.
    let (mut bits, mut held) = (0u64, 0u32);
    loop {
        while held <= 56 {
            let Some(next) = rest.next() else { break };
            bits |= u64::from(*next) << (56 - held);
            held += 8;
        }
        let (symbol, length) = CODE.symbol((bits >> 32) as u32).ok_or(Malformed)?;
        if u32::from(length) > held {
            // The padding: less than a byte of the first bits of EOS, which are ones.
            let padding = held < 8 && bits.leading_ones() == held;
            return if padding { Ok(()) } else { Err(Malformed) };
        }
        byte(u8::try_from(symbol).map_err(|_| Malformed)?);
        bits <<= length;
        held -= u32::from(length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Not a byte: its presence in a string is an error.
    const EOS: u16 = 256;

    fn text(string: &[u8]) -> Result<String, Malformed> {
        let mut bytes = Vec::new();
        decode(string, |byte| bytes.push(byte))?;
        Ok(String::from_utf8(bytes).unwrap())
    }

    /// Writes the code of each symbol, one after the other.
    fn encode(symbols: impl Iterator<Item = u16>) -> Vec<u8> {
        let mut bits = Vec::new();
        for symbol in symbols {
            let at = CODE.symbols.iter().position(|other| *other == symbol).unwrap();
            let group = CODE.groups[usize::from(LENGTHS[usize::from(symbol)])];
            let nth = u32::try_from(at).unwrap() - u32::from(group.start);
            let code = group.first + (nth << (32 - group.length));
            bits.extend((0..group.length).map(|bit| code << bit >> 31));
        }
        bits.resize(bits.len().next_multiple_of(8), 1);
        bits.chunks(8)
            .map(|byte| byte.iter().fold(0, |value, bit| value << 1 | u8::try_from(*bit).unwrap()))
            .collect()
    }

    #[test]
    fn reads_the_strings_of_the_rfc() {
        // Appendix C.4 and C.6.
        let www = [0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff];
        assert_eq!(text(&www).unwrap(), "www.example.com");
        assert_eq!(text(&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf]).unwrap(), "no-cache");
        assert_eq!(text(&[0x64, 0x0e, 0xff]).unwrap(), "307");
        assert_eq!(text(&[]).unwrap(), "");
    }

    #[test]
    fn reads_every_byte() {
        let all: Vec<u8> = (0..=255).collect();
        let mut read = Vec::new();
        decode(&encode(all.iter().map(|byte| u16::from(*byte))), |byte| read.push(byte)).unwrap();
        assert_eq!(read, all);
    }

    #[test]
    fn the_codes_of_the_appendix() {
        // The first and the last of some lengths: (symbol, code, bits).
        for (symbol, code, length) in [
            (48u16, 0x0u32, 5u8),
            (33, 0x3f8, 10),
            (0, 0x1ff8, 13),
            (128, 0xfffe6, 20),
            (249, 0x0fff_fffe, 28),
            (EOS, 0x3fff_ffff, 30),
        ] {
            assert_eq!(CODE.symbol(code << (32 - length)), Some((symbol, length)), "{symbol}");
        }
    }

    #[test]
    fn padding_is_short_and_of_ones() {
        assert_eq!(text(&[0xff]), Err(Malformed), "a whole byte of padding");
        assert_eq!(text(&[0x64, 0x0e, 0xfe]), Err(Malformed), "a zero in it");
        assert_eq!(text(&encode([u16::from(b'a'), EOS].into_iter())), Err(Malformed), "EOS");
    }
}
