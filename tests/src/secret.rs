//! Finding a secret in what must not hold it, also when it was encoded on the way.

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
    shifted.then_some("in base64")
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    !needle.is_empty() && bytes.windows(needle.len()).any(|window| window == needle)
}

/// Base64 without padding: what the last bits alone cannot tell is never looked for.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits: Vec<_> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let digits = bits.chunks(6).map(|six| {
        let value = six.iter().fold(0_u8, |value, bit| value << 1 | bit) << (6 - six.len());
        char::from(ALPHABET[usize::from(value)])
    });
    digits.collect()
}

#[cfg(test)]
mod tests {
    use super::{base64, find};

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
        assert_eq!(find(b"CANAR", "CANARY7"), None);
    }
}
