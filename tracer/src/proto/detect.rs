//! Which protocol a flow speaks, from the first bytes of one side.

use super::{
    dns,
    http1::known_method,
    http1_stream::{METHOD_LIMIT, is_certain_request, is_certain_status},
    http2::PREFACE,
    stream::Side,
};

/// First bytes of a side after which [`opening`] needs no more.
pub const OPENING_LIMIT: usize = 2048;
/// Largest fragment of a TLS record with what old ciphers add (RFC 5246, section 6.2.3).
const TLS_RECORD: u16 = (1 << 14) + 2048;

/// What a flow speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoken {
    /// HTTP/1.x in clear text.
    Http1,
    /// HTTP/2 in clear text, with prior knowledge.
    Http2,
    /// TLS.
    Tls,
    /// DNS over TCP.
    Dns,
    /// Something else.
    Unknown,
}

/// What bytes can become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guess {
    Yes,
    No,
    /// More bytes are needed.
    Open,
}

/// What a flow speaks on which `from` sends these bytes first of all; `port` is the server's. None when more
/// bytes are needed: never for [`OPENING_LIMIT`] bytes.
#[must_use]
pub fn opening(from: Side, port: u16, bytes: &[u8]) -> Option<Spoken> {
    if port == dns::PORT {
        return Some(Spoken::Dns);
    }
    let (http1, http2) = match from {
        Side::Client => (request(bytes), prefix(bytes, PREFACE)),
        Side::Server => (status(bytes), settings(bytes)),
    };
    let guesses = [(http1, Spoken::Http1), (http2, Spoken::Http2), (hello(from, bytes), Spoken::Tls)];
    if let Some((_, spoken)) = guesses.iter().find(|(guess, _)| *guess == Guess::Yes) {
        return Some(*spoken);
    }
    guesses.iter().all(|(guess, _)| *guess == Guess::No).then_some(Spoken::Unknown)
}

/// What a flow speaks on which a segment of `from` begins with these bytes, somewhere in the middle. None when
/// they are the middle of something: a later segment may tell.
#[must_use]
pub fn joined(from: Side, port: u16, bytes: &[u8]) -> Option<Spoken> {
    let start = match from {
        Side::Client => is_certain_request(bytes),
        Side::Server => is_certain_status(bytes),
    };
    if port == dns::PORT {
        Some(Spoken::Dns)
    } else if start {
        Some(Spoken::Http1)
    } else {
        (record(bytes, 0x14..=0x17) == Guess::Yes).then_some(Spoken::Tls)
    }
}

/// A method that is known and the beginning of a target, or a whole request line.
fn request(bytes: &[u8]) -> Guess {
    let Some(space) =
        bytes.iter().take(METHOD_LIMIT + 1).position(|b| !matches!(b, b'A'..=b'Z' | b'-' | b'_'))
    else {
        return if bytes.len() > METHOD_LIMIT { Guess::No } else { Guess::Open };
    };
    let (method, rest) = bytes.split_at_checked(space).unwrap_or_default();
    let Some((b' ', target)) = rest.split_first() else { return Guess::No };
    if bytes.iter().take(OPENING_LIMIT).any(|b| *b == b'\n') {
        return if is_certain_request(bytes) { Guess::Yes } else { Guess::No };
    }
    let path = target.first() == Some(&b'/')
        || [b"http://".as_slice(), b"https://"].iter().any(|scheme| target.starts_with(scheme));
    if path && known_method(method).is_some() {
        return Guess::Yes;
    }
    let other = bytes.len() >= OPENING_LIMIT || PREFACE.starts_with(method);
    if other { Guess::No } else { Guess::Open }
}

fn status(bytes: &[u8]) -> Guess {
    prefix(bytes, b"HTTP/1.")
}

/// The first frame of an HTTP/2 server, which does not wait for the client's (RFC 9113, section 3.4): SETTINGS that are
/// no acknowledgment, on stream 0, of whole settings.
fn settings(bytes: &[u8]) -> Guess {
    const TYPE: u8 = 4;
    const ACK: u8 = 1;
    const SETTING: u16 = 6;
    /// Longer frames have to be allowed first.
    const LIMIT: u16 = 1 << 14;
    let is_plausible = |(at, byte): (usize, &u8)| match at {
        3 => *byte == TYPE,
        4 => byte & ACK == 0,
        // The first bit of a stream id says nothing.
        5 => matches!(byte, 0 | 0x80),
        0 | 6..=8 => *byte == 0,
        _ => true,
    };
    let length =
        bytes.get(1..3).and_then(|length| length.first_chunk()).map(|length| u16::from_be_bytes(*length));
    let is_whole = length.is_none_or(|length| length <= LIMIT && length.is_multiple_of(SETTING));
    match bytes.iter().enumerate().take(9).all(is_plausible) && is_whole {
        false => Guess::No,
        true if bytes.len() < 9 => Guess::Open,
        true => Guess::Yes,
    }
}

fn prefix(bytes: &[u8], whole: &[u8]) -> Guess {
    if bytes.starts_with(whole) {
        Guess::Yes
    } else if whole.starts_with(bytes) {
        Guess::Open
    } else {
        Guess::No
    }
}

/// The record that a side begins with: the client's hello; the server's, or its refusal (an alert).
fn hello(from: Side, bytes: &[u8]) -> Guess {
    let (kinds, message) = match from {
        Side::Client => (0x16..=0x16, 1),
        Side::Server => (0x15..=0x16, 2),
    };
    match (record(bytes, kinds), bytes.first(), bytes.get(5)) {
        (Guess::Yes, Some(0x16), None) => Guess::Open,
        (Guess::Yes, Some(0x16), Some(kind)) if *kind != message => Guess::No,
        (guess, ..) => guess,
    }
}

/// A TLS record's header (RFC 8446, section 5.1), of SSL 3.0 and later.
fn record(bytes: &[u8], kinds: std::ops::RangeInclusive<u8>) -> Guess {
    let header = [kinds, 0x03..=0x03, 0x00..=0x04];
    if !bytes.iter().zip(&header).all(|(byte, allowed)| allowed.contains(byte)) {
        return Guess::No;
    }
    match bytes {
        [_, _, _, high, low, ..] if (1..=TLS_RECORD).contains(&u16::from_be_bytes([*high, *low])) => {
            Guess::Yes
        }
        [_, _, _, _, _, ..] => Guess::No,
        _ => Guess::Open,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use Side::{Client, Server};

    const HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

    fn client(bytes: &[u8]) -> Option<Spoken> {
        opening(Client, 8080, bytes)
    }

    #[test]
    fn tells_by_the_first_bytes() {
        for (bytes, spoken) in [
            (b"GET /".as_slice(), Spoken::Http1),
            (b"POST http://host/ HTTP/1.1\r\n", Spoken::Http1),
            (b"CONNECT host:443 HTTP/1.1\r\n", Spoken::Http1),
            (b"M-SEARCH * HTTP/1.1\r\n", Spoken::Http1),
            (PREFACE, Spoken::Http2),
            (HELLO, Spoken::Tls),
            (b"OPTIONS * RTSP/1.0\r\n", Spoken::Unknown),
            (b"GET key\r\n", Spoken::Unknown),
            (b"get key\r\n", Spoken::Unknown),
            (b"USER guest\r\n", Spoken::Unknown),
            (b"PRI * HTTP/2.0\r\n\r\nXX", Spoken::Unknown),
            (b"\x16\x03\x05", Spoken::Unknown),
            (b"\x16\x03\x01\xff\xff", Spoken::Unknown),
            (b"\x16\x03\x01\x00\x00", Spoken::Unknown),
            (b"\x80\x2e\x01\x03\x01", Spoken::Unknown),
            (b"\0", Spoken::Unknown),
        ] {
            assert_eq!(client(bytes), Some(spoken), "{bytes:?}");
        }
    }

    #[test]
    fn waits_while_several_are_possible() {
        for whole in
            [PREFACE, HELLO.get(..6).unwrap(), b"GET /", b"PROPFIND /a HTTP/1.1\n", b"PRINT /a HTTP/1.1\n"]
        {
            for length in 0..whole.len() {
                assert_eq!(client(&whole[..length]), None, "{:?}", &whole[..length]);
            }
            assert!(client(whole).is_some());
        }
    }

    #[test]
    fn never_waits_for_too_much() {
        for start in [b"GET ".as_slice(), b"PROPFIND /", b"", b"GET x"] {
            let mut bytes = start.to_vec();
            bytes.resize(OPENING_LIMIT, b'A');
            assert_eq!(client(&bytes), Some(Spoken::Unknown));
        }
    }

    #[test]
    fn the_servers_bytes_tell_too() {
        assert_eq!(opening(Server, 80, b"HTTP/1.0 400"), Some(Spoken::Http1));
        assert_eq!(opening(Server, 80, b"HTTP/"), None);
        assert_eq!(opening(Server, 443, b"\x16\x03\x03\x00\x7a\x02"), Some(Spoken::Tls));
        assert_eq!(opening(Server, 443, b"\x15\x03\x01\x00\x02"), Some(Spoken::Tls));
        assert_eq!(opening(Server, 25, b"220 mail"), Some(Spoken::Unknown));
    }

    #[test]
    fn an_http2_server_may_speak_first() {
        let settings = b"\0\0\x06\x04\0\0\0\0\0\0\x05\0\0\x40\0";
        for length in 0..9 {
            assert_eq!(opening(Server, 50051, &settings[..length]), None, "{length}");
        }
        let empty = b"\0\0\0\x04\0\0\0\0\0".as_slice();
        let reserved = b"\0\0\x0c\x04\0\x80\0\0\0".as_slice();
        for bytes in [&settings[..9], settings, empty, reserved] {
            assert_eq!(opening(Server, 50051, bytes), Some(Spoken::Http2), "{bytes:?}");
        }
        for bytes in [
            b"\x01".as_slice(),
            b"\0\0\x05",
            b"\0\x60\0",
            b"\0\0\x06\x00",
            b"\0\0\0\x04\x01",
            b"\0\0\0\x04\0\0\0\0\x01",
        ] {
            assert_eq!(opening(Server, 50051, bytes), Some(Spoken::Unknown), "{bytes:?}");
        }
        assert_eq!(opening(Client, 50051, empty), Some(Spoken::Unknown), "a client has a preface");
    }

    #[test]
    fn dns_is_told_by_its_port() {
        assert_eq!(opening(Client, 53, b""), Some(Spoken::Dns));
        assert_eq!(joined(Server, 53, b"\0"), Some(Spoken::Dns));
    }

    #[test]
    fn a_segment_in_the_middle_tells_when_it_begins_a_message() {
        assert_eq!(joined(Client, 80, b"GET /a HTTP/1.1\r\nHost"), Some(Spoken::Http1));
        assert_eq!(joined(Server, 80, b"HTTP/1.1 200 OK\r\n"), Some(Spoken::Http1));
        assert_eq!(joined(Server, 443, b"\x17\x03\x03\x40\x00abc"), Some(Spoken::Tls));
        for bytes in [b"GET /a HTT".as_slice(), b"HTTP/1.1 ", b"", b"\x17\x03\x03", b"text"] {
            assert_eq!((joined(Client, 80, bytes), joined(Server, 80, bytes)), (None, None), "{bytes:?}");
        }
    }
}
