//! Masks an HTTP/1 message (RFC 9112) so that Wireshark still dissects it.

use std::ops::Range;

use super::mask::{Body, MASK, hide};

const METHODS: [&[u8]; 9] =
    [b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH"];

/// Headers whose values stay: they describe the message and name no one.
const HARMLESS: [&[u8]; 15] = [
    b"accept",
    b"accept-encoding",
    b"accept-language",
    b"cache-control",
    b"connection",
    b"content-length",
    b"content-type",
    b"date",
    b"expect",
    b"host",
    b"keep-alive",
    b"server",
    b"te",
    b"transfer-encoding",
    b"user-agent",
];

const ECS: &[u8] = b"/v2/credentials/";

/// Longest chunk size that is kept, hexadecimal digits.
const CHUNK_DIGITS: usize = 6;

/// Masks the bytes that begin a message; all of them when they do not begin with a whole start line.
pub(super) fn mask(message: &mut [u8], content: Body) {
    let Some(start) = line(message, 0) else {
        message.fill(MASK);
        return;
    };
    if !mask_start_line(&mut message[start.clone()]) {
        message.fill(MASK);
        return;
    }
    let mut chunked = false;
    let mut at = after(message, &start);
    while let Some(header) = line(message, at) {
        at = after(message, &header);
        if header.is_empty() {
            mask_body(&mut message[at..], chunked, content);
            return;
        }
        chunked |= mask_header(&mut message[header]);
    }
    // A header that the packet cuts: its name may not be one.
    hide(message, at..message.len());
}

/// The line from `at` on, without its line feed and the carriage return before it; `None` when it is cut.
fn line(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let rest = bytes.get(at..)?;
    let length = rest.iter().position(|byte| *byte == b'\n')?;
    let text = &rest[..length];
    Some(at..at + text.strip_suffix(b"\r").unwrap_or(text).len())
}

/// Where the line after this one begins.
fn after(bytes: &[u8], line: &Range<usize>) -> usize {
    line.end + if bytes.get(line.end) == Some(&b'\r') { 2 } else { 1 }
}

/// Masks a start line; false when it is none.
fn mask_start_line(line: &mut [u8]) -> bool {
    mask_request_line(line) || mask_status_line(line)
}

fn mask_request_line(line: &mut [u8]) -> bool {
    let Some(method) = METHODS.iter().find(|method| line.starts_with(method)) else {
        return false;
    };
    let begin = method.len() + 1;
    let Some(end) = line.len().checked_sub(b" HTTP/1.1".len()).filter(|end| *end > begin) else {
        return false;
    };
    if line[begin - 1] != b' ' || !matches!(&line[end..], b" HTTP/1.1" | b" HTTP/1.0") {
        return false;
    }
    let target = &line[begin..end];
    let harmless = match target.first() {
        // The id at its end gets who knows it an ECS task's credentials.
        _ if target.starts_with(ECS) => ECS.len(),
        // A path, up to its query or parameters.
        Some(b'/') => {
            target.iter().take_while(|byte| byte.is_ascii_graphic() && !b"?#;".contains(byte)).count()
        }
        _ if target == b"*" => 1,
        // An authority or a whole URL may hold a password.
        _ => 0,
    };
    let question = usize::from(target.get(harmless) == Some(&b'?'));
    hide(line, begin + harmless + question..end);
    true
}

fn mask_status_line(line: &mut [u8]) -> bool {
    let version = line.starts_with(b"HTTP/1.1 ") || line.starts_with(b"HTTP/1.0 ");
    let status = line.get(9..12).is_some_and(|digits| digits.iter().all(u8::is_ascii_digit));
    if !version || !status || line.get(12).is_some_and(|byte| *byte != b' ') {
        return false;
    }
    let reason = line.get(13..).unwrap_or_default();
    let plain = reason.iter().all(|byte| byte.is_ascii_alphabetic() || b" -'".contains(byte));
    if !plain || reason.len() > 40 {
        hide(line, 13..line.len());
    }
    true
}

/// Masks a header line; true when it says that the body is chunked.
fn mask_header(line: &mut [u8]) -> bool {
    let colon = line.iter().position(|byte| *byte == b':');
    let name = colon.and_then(|colon| line.get(..colon)).unwrap_or_default();
    let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
    if name.is_empty() || !name.iter().all(token) {
        // No header, or the second line of one (RFC 9112, section 5.2).
        line.fill(MASK);
        return false;
    }
    let begin = name.len() + 1;
    let value = line.get(begin..).unwrap_or_default();
    let chunked = name.eq_ignore_ascii_case(b"transfer-encoding")
        && value.trim_ascii().to_ascii_lowercase().ends_with(b"chunked");
    let harmless = HARMLESS.iter().any(|header| name.eq_ignore_ascii_case(header));
    if !harmless || value.iter().any(|byte| byte.is_ascii_control() || !byte.is_ascii()) {
        let space = usize::from(value.first() == Some(&b' '));
        hide(line, begin + space..line.len());
    }
    chunked
}

fn mask_body(body: &mut [u8], chunked: bool, content: Body) {
    let mut at = 0;
    while chunked && let Some(chunk) = Chunk::at(body, at) {
        let size_end = at + chunk.digits;
        hide(body, size_end..chunk.data.start - 2);
        content.hide(body, chunk.data.clone());
        at = chunk.next;
        if chunk.data.is_empty() {
            break;
        }
    }
    let end = if chunked && at > 0 && body.get(at..) == Some(b"\r\n") { body.len() } else { at };
    content.hide(body, end..body.len());
}

/// A chunk whose framing holds as far as the packet goes.
struct Chunk {
    digits: usize,
    data: Range<usize>,
    next: usize,
}

impl Chunk {
    fn at(body: &[u8], at: usize) -> Option<Self> {
        let line = line(body, at)?;
        let text = body.get(line.clone())?;
        let digits = text.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let size = text.get(..digits).filter(|text| (1..=CHUNK_DIGITS).contains(&text.len()))?;
        let size = usize::from_str_radix(str::from_utf8(size).ok()?, 16).ok()?;
        let crlf = after(body, &line) == line.end + 2;
        let extension = text.get(digits).is_none_or(|byte| matches!(byte, b';' | b' '));
        let start = line.end + 2;
        let next = if size == 0 { start } else { start + size + 2 };
        let cut = body.len() < next;
        let closed = size == 0 || cut || &body[start + size..next] == b"\r\n";
        let data = if cut { start..body.len() } else { start..start + size };
        (crlf && extension && closed).then_some(Self { digits, data, next: next.min(body.len()) })
    }
}
