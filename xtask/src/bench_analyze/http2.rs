//! HTTP/2 frames (RFC 9113) and HPACK (RFC 7541), as far as gRPC calls need them.

/// What a client sends first, RFC 9113 section 3.4.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const SETTINGS: u8 = 4;
pub(super) const WINDOW_UPDATE: u8 = 8;
/// Also of SETTINGS: an acknowledgement.
pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;

/// The static table's entries that calls use: whole fields, and names of fields.
const STATIC: [(u8, &str, &str); 6] = [
    (3, ":method", "POST"),
    (6, ":scheme", "http"),
    (8, ":status", "200"),
    (1, ":authority", ""),
    (4, ":path", ""),
    (31, "content-type", ""),
];
/// Index of the dynamic table's newest entry.
const NEWEST: u8 = 62;

/// Appends a frame, RFC 9113 section 4.1.
pub(super) fn frame(to: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    // Three bytes of length; what is made here is far smaller.
    to.extend(payload.len().to_be_bytes().iter().skip(size_of::<usize>() - 3));
    to.extend_from_slice(&[kind, flags]);
    to.extend_from_slice(&stream.to_be_bytes());
    to.extend_from_slice(payload);
}

/// The encoder of one direction: a field is a literal at first and an index from then on.
#[derive(Default)]
pub(super) struct Encoder {
    /// The dynamic table, the oldest entry first; it never gets full.
    known: Vec<(&'static str, &'static str)>,
}

impl Encoder {
    /// Appends a field that is worth remembering.
    pub(super) fn field(&mut self, to: &mut Vec<u8>, name: &'static str, value: &'static str) {
        let at_start = STATIC.iter().find(|(_, known, of)| (*known, *of) == (name, value));
        let later = self.known.iter().rev().zip(NEWEST..).find(|(known, _)| **known == (name, value));
        if let Some(index) = at_start.map(|(index, ..)| *index).or(later.map(|(_, index)| index)) {
            to.push(0x80 | index);
            return;
        }
        let index = STATIC.iter().find(|(_, known, _)| *known == name).map_or(0, |(index, ..)| *index);
        to.push(0x40 | index);
        if index == 0 {
            string(to, name);
        }
        string(to, value);
        self.known.push((name, value));
    }
}

/// Appends a field that differs each time: a literal without indexing.
pub(super) fn literal(to: &mut Vec<u8>, name: &str, value: &str) {
    to.push(0);
    string(to, name);
    string(to, value);
}

/// Without Huffman's code; strings are shorter than the 127 bytes that a length of one byte can say.
fn string(to: &mut Vec<u8>, text: &str) {
    to.extend(text.len().to_be_bytes().last());
    to.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_a_literal_first_and_an_index_later() {
        let (mut encoder, mut block) = (Encoder::default(), Vec::new());
        encoder.field(&mut block, ":status", "200");
        encoder.field(&mut block, ":path", "/a");
        encoder.field(&mut block, "te", "x");
        encoder.field(&mut block, ":path", "/a");
        assert_eq!(block, b"\x88\x44\x02/a\x40\x02te\x01x\xbf");
    }

    #[test]
    fn a_frame_has_nine_bytes_before_its_payload() {
        let mut bytes = Vec::new();
        frame(&mut bytes, HEADERS, END_HEADERS, 3, b"ab");
        assert_eq!(bytes, [0, 0, 2, 1, 4, 0, 0, 0, 3, b'a', b'b']);
    }
}
