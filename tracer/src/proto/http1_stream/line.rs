//! Start lines (RFC 9112, sections 3 and 4), read from whole lines, and guesses from the beginning of one.

use memchr::memchr;

use crate::proto::{
    http1::{known_method, plain_path},
    stream::PATH_LIMIT,
};

/// Longest method (`UPDATEREDIRECTREF` of RFC 4437 has 17 bytes).
pub(in crate::proto) const METHOD_LIMIT: usize = 32;
/// Longest request line that is searched for its end where there is no certainty that it is one. RFC 9112,
/// section 3, wants 8000 bytes to be taken.
const CERTAIN_LIMIT: usize = 8192;
const VERSION: &[u8] = b"HTTP/1.";

/// What a request line says, as far as it may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestLine<'a> {
    /// When it is a known one.
    pub(super) method: Option<&'static str>,
    /// Without query and parameters, cut to [`PATH_LIMIT`].
    pub(super) path: Option<&'a str>,
}

/// Reads a line without its LF. After a known method anything goes, as careless clients send it: no target,
/// spaces in it, no version. Another method needs a target and a version.
pub(super) fn request(line: &[u8]) -> Option<RequestLine<'_>> {
    let (method, rest) = split_method(line)?;
    let (target, version) = split_version(rest);
    let method = known_method(method);
    if method.is_none() && (!version || target.is_empty()) {
        return None;
    }
    let end = target.iter().position(|b| matches!(b, b'?' | b';' | b' ' | b'#')).unwrap_or(target.len());
    let path = plain_path(target.get(..end)?).and_then(|path| path.get(..path.len().min(PATH_LIMIT)));
    Some(RequestLine { method, path })
}

/// The method of a line and what follows its space.
fn split_method(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = line.iter().take(METHOD_LIMIT + 1).position(|b| *b == b' ')?;
    let (method, rest) = line.split_at_checked(space)?;
    let token = space > 0 && method.iter().all(|b| is_token(*b));
    token.then_some((method, rest.trim_ascii()))
}

/// The target, and whether a version follows.
fn split_version(rest: &[u8]) -> (&[u8], bool) {
    match rest.split_last_chunk::<8>() {
        Some((target, [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0'..=b'9'])) => {
            (target.trim_ascii_end(), true)
        }
        _ => (rest, false),
    }
}

/// The status that a line begins with; its LF may be missing.
pub(super) fn status(line: &[u8]) -> Option<u16> {
    let [b'0'..=b'9', b' ', a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', rest @ ..] =
        line.strip_prefix(VERSION)?
    else {
        return None;
    };
    let digit = |byte: &u8| u16::from(byte.wrapping_sub(b'0'));
    let status = digit(a) * 100 + digit(b) * 10 + digit(c);
    matches!(rest.first(), None | Some(b' ' | b'\r' | b'\n' | b'\t')).then_some(status)
}

/// Whether bytes can be the beginning of a request line.
pub(super) fn may_be_request(bytes: &[u8]) -> bool {
    let method = bytes.iter().take(METHOD_LIMIT + 1).position(|b| !is_token(*b));
    match method {
        Some(end) => end > 0 && bytes.get(end) == Some(&b' '),
        None => bytes.len() <= METHOD_LIMIT,
    }
}

/// Whether bytes can be the beginning of a status line.
pub(super) fn may_be_status(bytes: &[u8]) -> bool {
    bytes.iter().zip(VERSION).all(|(a, b)| a == b)
}

/// Whether bytes begin with a whole request line that can hardly be anything else.
pub(in crate::proto) fn is_certain_request(bytes: &[u8]) -> bool {
    if !bytes.first().is_some_and(u8::is_ascii_uppercase) {
        return false;
    }
    let start = bytes.get(..CERTAIN_LIMIT).unwrap_or(bytes);
    let Some(end) = memchr(b'\n', start) else { return false };
    let Some((method, rest)) = bytes.get(..end).and_then(split_method) else { return false };
    let (target, version) = split_version(rest);
    let plain =
        method.len() >= 3 && method.iter().all(|b| b.is_ascii_uppercase() || matches!(b, b'-' | b'_'));
    plain && version && !target.is_empty()
}

/// Whether bytes begin with a status line that can hardly be anything else.
pub(in crate::proto) fn is_certain_status(bytes: &[u8]) -> bool {
    bytes.len() > VERSION.len() + 5 && status(bytes).is_some()
}

/// RFC 9110, section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(line: &[u8]) -> Option<&str> {
        request(line)?.path
    }

    #[test]
    fn reads_request_lines() {
        let line = request(b"GET /v1/items;page=2?token=secret HTTP/1.1\r").unwrap();
        assert_eq!((line.method, line.path), (Some("GET"), Some("/v1/items")));
        assert_eq!(request(b"PROPFIND /dav HTTP/1.0").unwrap().method, None);
        assert_eq!(path(b"OPTIONS * HTTP/1.1"), Some("*"));
    }

    #[test]
    fn a_known_method_excuses_the_rest() {
        for (line, expected) in [
            (b"GET /two words HTTP/1.1\r".as_slice(), Some("/two")),
            (b"PUT /HTTP/1.1", Some("/")),
            (b"GET /old", Some("/old")),
            (b"GET / HTTP/2.0", Some("/")),
            (b"OPTIONS HTTP/1.1", None),
            (b"GET ", None),
        ] {
            assert!(request(line).unwrap().method.is_some());
            assert_eq!(path(line), expected, "{line:?}");
        }
    }

    #[test]
    fn shows_no_target_that_may_hold_a_password() {
        for line in
            [b"GET http://user:secret@host/a HTTP/1.1".as_slice(), b"CONNECT user:secret@host:1 HTTP/1.1"]
        {
            assert_eq!(request(line).unwrap().path, None);
        }
        assert_eq!(path(b"GET /a\0b HTTP/1.1"), None);
    }

    #[test]
    fn cuts_long_paths() {
        let line = [b"GET /".as_slice(), &[b'x'; 9000], b" HTTP/1.1"].concat();
        assert_eq!(path(&line).unwrap().len(), PATH_LIMIT);
    }

    #[test]
    fn rejects_other_lines() {
        for line in [
            b"".as_slice(),
            b" ",
            b"GET",
            b"EAT /",
            b"EAT / HTTP/2.0",
            b" / HTTP/1.1",
            b"EAT  HTTP/1.1",
            b"G\0T / HTTP/1.1",
        ] {
            assert_eq!(request(line), None, "{line:?}");
        }
        for line in
            [b"HTTP/1.1 99".as_slice(), b"HTTP/2 200", b"HTTP/1.1200", b"HTTP/1.1 2000", b"HTTP/1.x 200"]
        {
            assert_eq!(status(line), None, "{line:?}");
        }
        assert_eq!((status(b"HTTP/1.1 200\r"), status(b"HTTP/1.0 404 Not Found")), (Some(200), Some(404)));
    }

    #[test]
    fn knows_what_a_beginning_can_become() {
        for beginning in ["", "G", "GET", "GET ", "M-SEARCH * HTTP/1.1\r\n"] {
            assert!(may_be_request(beginning.as_bytes()), "{beginning}");
        }
        for beginning in [" ", "\r", "{\"a\"", "GET\t/", &"x".repeat(METHOD_LIMIT + 1)] {
            assert!(!may_be_request(beginning.as_bytes()), "{beginning}");
        }
        assert!(may_be_status(b"") && may_be_status(b"HT") && may_be_status(b"HTTP/1.1 2"));
        assert!(!may_be_status(b"HTTP/2") && !may_be_status(b"x"));
    }

    #[test]
    fn is_certain_only_of_whole_start_lines() {
        assert!(is_certain_request(b"GET / HTTP/1.1\r\nHo") && is_certain_status(b"HTTP/1.1 200 "));
        for bytes in
            [b"GET / HTTP/1.1".as_slice(), b"get / HTTP/1.1\r\n", b"A / HTTP/1.1\r\n", b"GET  HTTP/1.1\r\n"]
        {
            assert!(!is_certain_request(bytes), "{bytes:?}");
        }
        assert!(!is_certain_status(b"HTTP/1.1 200") && !is_certain_status(b"HTTP/1.1 2000"));
    }
}
