//! What the first bytes of a segment say about frames.

use super::Bytes;
use crate::record::protocol;

/// Longest frame in which a search begins: what a peer may send that announced nothing (RFC 9113, section 4.2).
const FRAME_LIMIT: u32 = 1 << 14;
/// Longest frame that is searched for.
pub(super) const LONGEST: u32 = 1 << 20;
/// Longest TLS record, with what old ciphers add (RFC 5246, section 6.2.3).
const RECORD_LIMIT: u32 = (1 << 14) + 2048;

/// Whether the first segment of a flow begins HTTP/2: the client's preface, or the server's SETTINGS (RFC 9113,
/// section 3.4).
#[inline(always)]
pub(crate) fn begins_http2(response: bool, first: [u8; 9]) -> bool {
    let [a, b, c, d, ..] = first;
    if response { is_settings(first) } else { [a, b, c, d] == *b"PRI " }
}

#[inline(always)]
fn is_settings(first: [u8; 9]) -> bool {
    let [high, middle, low, kind, flags, stream @ ..] = first;
    [high, middle] == [0, 0] && low.is_multiple_of(6) && kind == 4 && flags == 0 && stream == [0; 4]
}

/// Whether the first segment of a flow begins TLS: a handshake record of version 3.x.
#[inline(always)]
pub(crate) fn begins_tls(first: [u8; 9]) -> bool {
    let [kind, major, minor, high, low, message, ..] = first;
    let length = u32::from_be_bytes([0, 0, high, low]);
    kind == 22 && major == 3 && minor <= 4 && (4..=RECORD_LIMIT).contains(&length) && message <= 2
}

/// Whether a message in the middle of a flow begins with the head of an HTTP/2 request or response.
#[inline(always)]
pub(crate) fn is_headers(first: [u8; 9]) -> bool {
    let [high, middle, low, kind, flags, stream @ ..] = first;
    kind == 1
        && flags & !0x2d == 0
        && flags & 4 != 0
        && is_http2(u32::from_be_bytes([high, middle, low, kind]), u32::from_be_bytes(stream))
}

/// Whether a message in the middle of a flow begins with a TLS record.
#[inline(always)]
pub(crate) fn is_record(first: [u8; 9]) -> bool {
    let [kind, major, minor, high, low, ..] = first;
    is_tls(u32::from_be_bytes([kind, major, minor, high]), low)
}

/// Whether a frame may begin here.
#[inline(always)]
pub(super) fn may_begin(protocol: u8, at: u32, bytes: &impl Bytes) -> bool {
    let Some(word) = bytes.word(at) else { return false };
    if protocol == protocol::TLS {
        return bytes.byte(at.wrapping_add(4)).is_some_and(|low| is_tls(word, low));
    }
    protocol == protocol::HTTP2 && bytes.word(at.wrapping_add(5)).is_some_and(|stream| is_http2(word, stream))
}

/// Bytes of the long frame that begins here, header and all, if one may.
#[inline(always)]
pub(super) fn long(protocol: u8, at: u32, bytes: &impl Bytes) -> Option<u32> {
    let word = bytes.word(at)?;
    if protocol == protocol::TLS {
        let low = u32::from(bytes.byte(at.wrapping_add(4))?);
        return Some(((word & 0xff).wrapping_shl(8) | low).wrapping_add(5));
    }
    // Streams of requests have odd numbers (RFC 9113, section 5.1.1).
    let stream = bytes.word(at.wrapping_add(5))?;
    (stream & 0x8000_0001 == 1).then_some(word.wrapping_shr(8).wrapping_add(9))
}

#[inline(always)]
fn is_tls(word: u32, low: u8) -> bool {
    let length = (word & 0xff).wrapping_shl(8) | u32::from(low);
    let kind = word.wrapping_shr(24);
    let version = word.wrapping_shr(8) & 0xffff;
    kind.wrapping_sub(20) <= 3 && version.wrapping_sub(0x300) <= 4 && (1..=RECORD_LIMIT).contains(&length)
}

/// The lengths and streams that RFC 9113, section 6, allows; frames that only go on with others begin nothing.
#[inline(always)]
fn is_http2(word: u32, stream: u32) -> bool {
    let length = word.wrapping_shr(8);
    let (is_stream, is_asked) = (stream != 0 && stream >> 31 == 0, stream & 1 == 1);
    match word & 0xff {
        0 => is_stream && length <= FRAME_LIMIT,
        1 => is_stream && is_asked && (1..=FRAME_LIMIT).contains(&length),
        3 => is_stream && length == 4,
        4 => stream == 0 && length.is_multiple_of(6) && length <= 240,
        6 => stream == 0 && length == 8,
        7 => stream == 0 && (8..=FRAME_LIMIT).contains(&length),
        8 => stream >> 31 == 0 && length == 4,
        _ => false,
    }
}
