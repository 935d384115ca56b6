//! HTTP/1 start lines (RFC 9112, sections 3 and 4), from the few bytes of a message that cross the ring.

use std::fmt;

use tracer_ebpf::record::{REQUEST_PREFIX, RESPONSE_PREFIX};

/// The methods that are shown: any other word may be anything.
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// The first bytes of an HTTP/1 exchange, read when somebody asks: most requests never are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Exchange {
    request: [u8; REQUEST_PREFIX],
    request_length: u8,
    response: [u8; RESPONSE_PREFIX],
    response_length: u8,
}

impl Exchange {
    /// From a record's prefixes; the lengths are cut to the arrays'.
    #[must_use]
    pub fn new(
        request: [u8; REQUEST_PREFIX],
        request_length: u8,
        response: [u8; RESPONSE_PREFIX],
        response_length: u8,
    ) -> Self {
        Self { request, request_length, response, response_length }
    }

    /// The method, when the request begins with a known one.
    #[must_use]
    pub fn method(&self) -> Option<&str> {
        let (method, _) = split_at_byte(self.request_bytes(), b' ')?;
        known_method(method)
    }

    /// The path without its query string and parameters (`;jsessionid=…`), as far as it crossed; `cut` is true when it may go on.
    /// None of a target in another form: an authority or a whole URL may hold a password.
    #[must_use]
    pub fn path(&self) -> Option<Path<'_>> {
        self.method()?;
        let (_, rest) = split_at_byte(self.request_bytes(), b' ')?;
        let end = rest.iter().position(|b| matches!(b, b'?' | b';' | b' ' | b'#' | b'\r' | b'\n'));
        let path = rest.get(..end.unwrap_or(rest.len()))?;
        Some(Path { text: plain_path(path)?, cut: end.is_none() })
    }

    /// The status code, 100 to 999.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        let response = self.response.get(..usize::from(self.response_length).min(RESPONSE_PREFIX))?;
        let rest = response.strip_prefix(b"HTTP/1.")?;
        let digits = rest.get(2..5)?;
        let status = str::from_utf8(digits).ok()?.parse().ok()?;
        (rest.get(1) == Some(&b' ') && status >= 100).then_some(status)
    }

    fn request_bytes(&self) -> &[u8] {
        self.request.get(..usize::from(self.request_length).min(REQUEST_PREFIX)).unwrap_or_default()
    }
}

impl fmt::Debug for Exchange {
    /// Shows what is read of the bytes, never the bytes: they may hold a query string.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("method", &self.method())
            .field("path", &self.path())
            .field("status", &self.status())
            .finish()
    }
}

/// A request path without its query string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path<'a> {
    /// What crossed.
    pub text: &'a str,
    /// It may go on.
    pub cut: bool,
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)?;
        if self.cut { f.write_str("…") } else { Ok(()) }
    }
}

/// The method that the bytes are.
pub(super) fn known_method(bytes: &[u8]) -> Option<&'static str> {
    METHODS.into_iter().find(|method| method.as_bytes() == bytes)
}

/// The path that a target without its query is: it begins with `/`, or is `*` (RFC 9112, section 3.2).
pub(super) fn plain_path(target: &[u8]) -> Option<&str> {
    let plain = (target.first() == Some(&b'/') || target == b"*") && target.iter().all(u8::is_ascii_graphic);
    plain.then(|| str::from_utf8(target).ok()).flatten()
}

fn split_at_byte(bytes: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|b| *b == byte)?;
    Some((bytes.get(..at)?, bytes.get(at + 1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(request: &[u8], response: &[u8]) -> Exchange {
        let mut bytes = [0; REQUEST_PREFIX];
        let length = request.len().min(REQUEST_PREFIX);
        bytes[..length].copy_from_slice(&request[..length]);
        let mut answer = [0; RESPONSE_PREFIX];
        let answer_length = response.len().min(RESPONSE_PREFIX);
        answer[..answer_length].copy_from_slice(&response[..answer_length]);
        Exchange::new(bytes, u8::try_from(length).unwrap(), answer, u8::try_from(answer_length).unwrap())
    }

    #[test]
    fn reads_method_path_and_status() {
        let http = exchange(b"GET /v1/items/17?token=secret HTTP/1.1\r\n", b"HTTP/1.1 200 OK\r\n");
        assert_eq!(http.method(), Some("GET"));
        assert_eq!(http.path(), Some(Path { text: "/v1/items/17", cut: false }));
        assert_eq!(http.status(), Some(200));
    }

    #[test]
    fn never_shows_the_query_string() {
        let http = exchange(b"GET /a?token=secret HTTP/1.1\r\n", b"");
        assert!(!format!("{http:?}").contains("secret"));
    }

    #[test]
    fn says_that_a_long_path_is_cut() {
        let long = [b"GET /".as_slice(), &[b'x'; 80]].concat();
        let http = exchange(&long, b"");
        assert!(http.path().unwrap().cut);
        assert!(http.path().unwrap().to_string().ends_with('…'));
    }

    #[test]
    fn shows_no_target_that_may_hold_a_password() {
        for request in
            ["GET http://user:secret@host/a HTTP/1.1\r\n", "CONNECT user:secret@host:443 HTTP/1.1\r\n"]
        {
            let http = exchange(request.as_bytes(), b"");
            assert_eq!(http.path(), None, "{request}");
            assert!(!format!("{http:?}").contains("secret"), "{http:?}");
        }
        let http = exchange(b"OPTIONS * HTTP/1.1\r\n", b"");
        assert_eq!((http.method(), http.path().map(|path| path.text)), (Some("OPTIONS"), Some("*")));
    }

    #[test]
    fn rejects_what_is_not_http() {
        for request in [b"\x16\x03\x01 ".as_slice(), b"get / ", b"SECRET / ", b" / ", b"GET", b""] {
            assert_eq!(exchange(request, b"").path(), None, "{request:?}");
        }
        for response in [b"HTTP/1.1 99 ".as_slice(), b"HTTP/2 200", b"HTTP/1.1200 ", b"HTTP/1.1 2"] {
            assert_eq!(exchange(b"", response).status(), None, "{response:?}");
        }
    }
}
