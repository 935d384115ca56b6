//! Finding a secret in what must not hold it, also when it was encoded on the way.

/// HPACK's code of the characters of secrets (RFC 7541, appendix B): those with codes of so many bits, and the first code.
/// The next character has the next code.
const HUFFMAN: [(usize, usize, &[u8]); 3] = [
    (5, 0, b"012aceiost"),
    (6, 0x14, b" %-./3456789=A_bdfghlmnpru"),
    (7, 0x5c, b":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz"),
];

/// The form in which a canary occurs in the bytes, if it does.
#[must_use]
pub fn find(bytes: &[u8], canary: &str) -> Option<&'static str> {
    let plain = bytes.to_ascii_lowercase();
    if contains(&plain, canary.to_ascii_lowercase().as_bytes()) {
        return Some("as it is");
    }
    let hex: String = canary.bytes().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    if contains(&plain, hex.as_bytes()) {
        return Some("in hexadecimal");
    }
    // What precedes the canary shifts its bits; the characters that it shares with neighbours are left out.
    let shifted = (0..3).any(|before| {
        let encoded = base64(&[&vec![0; before], canary.as_bytes()].concat());
        let (from, to) = ((before * 4).div_ceil(3), (before + canary.len()) * 4 / 3);
        contains(bytes, encoded.get(from..to).unwrap_or_default().as_bytes())
    });
    if shifted {
        return Some("in base64");
    }
    let code = huffman(canary);
    (0..8).any(|before| contains(bytes, &whole_bytes(&code, before))).then_some("in HPACK's code")
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    !needle.is_empty() && bytes.windows(needle.len()).any(|window| window == needle)
}

/// Base64 without padding: what the last bits alone cannot tell is never looked for.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| bits((*byte).into(), 8)).collect();
    let digits = bits.chunks(6).map(|six| {
        let value = six.iter().fold(0_u8, |value, bit| value << 1 | bit) << (6 - six.len());
        char::from(ALPHABET[usize::from(value)])
    });
    digits.collect()
}

/// The bits of a text in HPACK's code; none for a text with other characters.
fn huffman(text: &str) -> Vec<u8> {
    let code = |character: u8| {
        HUFFMAN.iter().find_map(|(length, first, characters)| {
            let at = characters.iter().position(|one| *one == character)?;
            Some(bits(first + at, *length))
        })
    };
    let codes: Option<Vec<_>> = text.bytes().map(code).collect();
    codes.into_iter().flatten().flatten().collect()
}

/// The last `count` bits of a number, the highest first.
fn bits(number: usize, count: usize) -> impl Iterator<Item = u8> {
    (0..count).rev().map(move |bit| u8::from(number >> bit & 1 == 1))
}

/// The bytes that bits fill when `before` bits are in the byte in which they begin; what is filled in part is left out.
fn whole_bytes(bits: &[u8], before: usize) -> Vec<u8> {
    let rest = bits.get((8 - before) % 8..).unwrap_or_default();
    rest.as_chunks::<8>().0.iter().map(|eight| eight.iter().fold(0, |byte, bit| byte << 1 | bit)).collect()
}

#[cfg(test)]
mod tests {
    use super::{base64, find, huffman, whole_bytes};

    #[test]
    fn hpacks_code_is_as_the_rfc_has_it() {
        // RFC 7541, section C.4.1, where the last 7 bits are padding.
        let expected = [0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4];
        assert_eq!(whole_bytes(&huffman("www.example.com"), 0), expected);
        assert_eq!(whole_bytes(&huffman("www.example.com"), 5)[..2], [0x8f, 0x1e]);
    }

    #[test]
    fn base64_is_base64() {
        assert_eq!(base64(b"any carnal pleasure"), "YW55IGNhcm5hbCBwbGVhc3VyZQ");
    }

    #[test]
    fn a_canary_is_found_in_any_form() {
        assert_eq!(find(b"token=canary7,", "CANARY7"), Some("as it is"));
        assert_eq!(find(b"43414e41525937", "CANARY7"), Some("in hexadecimal"));
        for before in ["", "x", "xy", "xyz"] {
            let encoded = base64(format!("{before}CANARY7 and more").as_bytes());
            assert_eq!(find(encoded.as_bytes(), "CANARY7"), Some("in base64"), "{encoded}");
        }
        for before in ["", "a", "A", "B", "aa", "aA", "AA", "aaaaa"] {
            let code = whole_bytes(&huffman(&format!("{before}CANARY7 and more")), 0);
            assert_eq!(find(&code, "CANARY7"), Some("in HPACK's code"), "{before}");
        }
        assert_eq!(find(b"CANAR", "CANARY7"), None);
    }
}
