//! The two messages that open a handshake (RFC 8446, section 4.1), as far as they tell who talks what to whom.

use std::sync::Arc;

use super::Version;

/// Bytes of a server name (RFC 1035, section 2.3.4) or of a list of protocols that are kept; longer ones are not.
const TEXT_LIMIT: usize = 255;
/// SHA-256 of `HelloRetryRequest`, the random of a `ServerHello` that is one (RFC 8446, section 4.1.3).
pub(super) const RETRY: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2,
    0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

mod extension {
    pub(super) const SERVER_NAME: u16 = 0;
    pub(super) const ALPN: u16 = 16;
    pub(super) const PRE_SHARED_KEY: u16 = 41;
    pub(super) const SUPPORTED_VERSIONS: u16 = 43;
    pub(super) const PSK_KEY_EXCHANGE_MODES: u16 = 45;
}

/// What a client asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ClientHello {
    /// The host it wants (RFC 6066, section 3).
    pub(super) server_name: Option<Arc<str>>,
    /// The protocols it speaks (RFC 7301), joined by commas.
    pub(super) protocols: Option<Arc<str>>,
    /// It can use session tickets of TLS 1.3; else none are sent (RFC 8446, section 4.2.9).
    pub(super) takes_tickets: bool,
}

impl ClientHello {
    /// Reads a message without its header, as far as it is there.
    pub(super) fn parse(mut bytes: &[u8]) -> Self {
        let mut hello = Self::default();
        let Some(extensions) = client_extensions(&mut bytes) else { return hello };
        for (kind, body) in Extensions(extensions) {
            match kind {
                extension::SERVER_NAME => hello.server_name = server_name(body),
                extension::ALPN => hello.protocols = protocols(body),
                extension::PSK_KEY_EXCHANGE_MODES => hello.takes_tickets = true,
                _ => {}
            }
        }
        hello
    }
}

/// What a server chose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ServerHello {
    /// The negotiated version.
    pub(super) version: Version,
    /// The cipher suite.
    pub(super) cipher: u16,
    /// It wants another `ClientHello` instead.
    pub(super) retry: bool,
    /// TLS 1.3 goes on with a key of an earlier session.
    pub(super) pre_shared: bool,
    /// The chosen protocol; TLS 1.3 hides it.
    pub(super) protocol: Option<Arc<str>>,
}

impl ServerHello {
    /// Reads a message without its header; none when it is cut before its cipher suite.
    pub(super) fn parse(mut bytes: &[u8]) -> Option<Self> {
        let rest = &mut bytes;
        let version = Version(word(rest)?);
        let random = take(rest, RETRY.len())?;
        // Drafts before 22 had neither session nor compression here.
        let old_draft = version.is_draft();
        if !old_draft {
            short_vector(rest)?;
        }
        let mut hello =
            Self { version, cipher: word(rest)?, retry: random == RETRY.as_slice(), ..Self::default() };
        if !old_draft {
            take(rest, 1);
        }
        for (kind, body) in Extensions(long_vector(rest).unwrap_or_default()) {
            match kind {
                extension::SUPPORTED_VERSIONS => {
                    hello.version = word(&mut { body }).map_or(version, Version);
                }
                extension::PRE_SHARED_KEY => hello.pre_shared = true,
                extension::ALPN => hello.protocol = protocols(body),
                _ => {}
            }
        }
        Some(hello)
    }
}

/// Type and body of each extension, the last one's as far as it is there.
struct Extensions<'a>(&'a [u8]);

impl<'a> Iterator for Extensions<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        Some((word(&mut self.0)?, long_vector(&mut self.0)?))
    }
}

fn client_extensions<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    take(rest, 2 + 32)?;
    short_vector(rest)?;
    long_vector(rest)?;
    short_vector(rest)?;
    long_vector(rest)
}

fn server_name(mut body: &[u8]) -> Option<Arc<str>> {
    let mut names = long_vector(&mut body)?;
    loop {
        let host = take(&mut names, 1)? == [0];
        let name = long_vector(&mut names)?;
        if host {
            return plain(name).map(Arc::from);
        }
    }
}

/// The names that are text: clients put in others to keep servers tolerant (RFC 8701).
fn protocols(mut body: &[u8]) -> Option<Arc<str>> {
    let mut list = long_vector(&mut body)?;
    let mut text = String::new();
    while let Some(name) = short_vector(&mut list) {
        let Some(name) = plain(name).filter(|name| text.len() + 1 + name.len() <= TEXT_LIMIT) else {
            continue;
        };
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(name);
    }
    (!text.is_empty()).then(|| Arc::from(text))
}

fn plain(bytes: &[u8]) -> Option<&str> {
    let plain = (1..=TEXT_LIMIT).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic);
    plain.then(|| str::from_utf8(bytes).ok()).flatten()
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(taken)
}

fn word(rest: &mut &[u8]) -> Option<u16> {
    take(rest, 2)?.try_into().ok().map(u16::from_be_bytes)
}

/// A vector with one length byte.
fn short_vector<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = take(rest, 1)?.first().copied()?;
    take(rest, length.into())
}

/// A vector with two length bytes, as far as it is there.
fn long_vector<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::from(word(rest)?);
    take(rest, length.min(rest.len()))
}
