//! What header fields mean, as far as anybody looks at them.

use std::hash::Hasher as _;
use std::sync::Arc;

use rustc_hash::FxHasher;

use crate::proto::http1::{known_method, plain_path};
use crate::proto::stream::PATH_LIMIT;

/// Paths that a connection remembers.
const PATHS: usize = 32;

/// A field's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Method,
    Path,
    Status,
    ContentType,
    GrpcStatus,
    GrpcTimeout,
    /// `:scheme` or `:authority`.
    Target,
    /// One that nobody looks at.
    Other,
    /// It was said before the table was observed.
    Unknown,
}

impl Name {
    pub(super) fn of(name: &[u8]) -> Self {
        match name {
            b":method" => Self::Method,
            b":path" => Self::Path,
            b":status" => Self::Status,
            b"content-type" => Self::ContentType,
            b"grpc-status" => Self::GrpcStatus,
            b"grpc-timeout" => Self::GrpcTimeout,
            b":scheme" | b":authority" => Self::Target,
            _ => Self::Other,
        }
    }

    /// Whether a field's value says anything.
    pub(super) fn has_value(self) -> bool {
        !matches!(self, Self::Target | Self::Other | Self::Unknown)
    }
}

/// A field: its name and what its value means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Method(Option<&'static str>),
    Path(Option<Arc<str>>),
    Status(Option<u16>),
    /// Whether it is gRPC's.
    ContentType(bool),
    GrpcStatus(Option<u16>),
    /// Nanoseconds.
    GrpcTimeout(Option<u64>),
    Target,
    Other,
    Unknown,
}

impl Field {
    /// Of a value's first [`PATH_LIMIT`] bytes.
    pub(super) fn read(name: Name, value: &[u8], paths: &mut Paths) -> Self {
        match name {
            Name::Method => Self::Method(known_method(value)),
            Name::Path => Self::Path(path(value).map(|path| paths.intern(path))),
            Name::Status => Self::Status(number(value).filter(|status| value.len() == 3 && *status >= 100)),
            Name::ContentType => Self::ContentType(is_grpc(value)),
            Name::GrpcStatus => Self::GrpcStatus(number(value)),
            Name::GrpcTimeout => Self::GrpcTimeout(timeout(value)),
            Name::Target => Self::Target,
            Name::Other => Self::Other,
            Name::Unknown => Self::Unknown,
        }
    }

    /// Bytes of memory besides its own.
    pub(super) fn text(&self) -> usize {
        match self {
            Self::Path(Some(path)) => allocated(path),
            _ => 0,
        }
    }

    pub(super) fn name(&self) -> Name {
        match self {
            Self::Method(_) => Name::Method,
            Self::Path(_) => Name::Path,
            Self::Status(_) => Name::Status,
            Self::ContentType(_) => Name::ContentType,
            Self::GrpcStatus(_) => Name::GrpcStatus,
            Self::GrpcTimeout(_) => Name::GrpcTimeout,
            Self::Target => Name::Target,
            Self::Other => Name::Other,
            Self::Unknown => Name::Unknown,
        }
    }
}

/// The path of a target, up to its query, parameters or fragment.
fn path(target: &[u8]) -> Option<&str> {
    let end = target.iter().position(|byte| matches!(byte, b'?' | b';' | b'#')).unwrap_or(target.len());
    plain_path(target.get(..end)?)
}

fn number(digits: &[u8]) -> Option<u16> {
    // Not `parse` alone: it takes a sign.
    digits.iter().all(u8::is_ascii_digit).then(|| str::from_utf8(digits).ok()?.parse().ok()).flatten()
}

/// At most eight digits and a unit (gRPC over HTTP/2, Requests), as nanoseconds.
fn timeout(value: &[u8]) -> Option<u64> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let unit: u64 = match unit {
        b'H' => 3_600_000_000_000,
        b'M' => 60_000_000_000,
        b'S' => 1_000_000_000,
        b'm' => 1_000_000,
        b'u' => 1000,
        b'n' => 1,
        _ => return None,
    };
    str::from_utf8(digits).ok()?.parse::<u64>().ok().map(|count| count.saturating_mul(unit))
}

/// `application/grpc`, also with a format (`+proto`) or parameters; `application/grpc-web` is another protocol.
fn is_grpc(content_type: &[u8]) -> bool {
    let rest = content_type.strip_prefix(b"application/grpc");
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// The first bytes of a string that is being decoded, and how long it is.
#[derive(Debug)]
pub(super) struct Text {
    bytes: [u8; PATH_LIMIT],
    length: u32,
}

impl Text {
    pub(super) fn new() -> Self {
        Self { bytes: [0; PATH_LIMIT], length: 0 }
    }

    pub(super) fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length as usize) {
            *place = byte;
        }
        self.length = self.length.saturating_add(1);
    }

    pub(super) fn kept(&self) -> &[u8] {
        self.bytes.get(..self.length as usize).unwrap_or(&self.bytes)
    }

    pub(super) fn length(&self) -> u32 {
        self.length
    }
}

/// The paths of late: a busy connection asks for the same few, and allocates each once.
#[derive(Debug, Default)]
pub(super) struct Paths {
    slots: Vec<Option<Arc<str>>>,
    /// Bytes of the paths.
    texts: usize,
}

impl Paths {
    fn intern(&mut self, path: &str) -> Arc<str> {
        if self.slots.is_empty() {
            self.slots.resize(PATHS, None);
        }
        let mut hasher = FxHasher::default();
        hasher.write(path.as_bytes());
        let slot = hasher.finish() % PATHS as u64;
        let place = usize::try_from(slot).ok().and_then(|slot| self.slots.get_mut(slot));
        let Some(place) = place else { return path.into() };
        match place {
            Some(known) if **known == *path => Arc::clone(known),
            _ => {
                let before = place.as_ref().map_or(0, allocated);
                let new = Arc::clone(place.insert(path.into()));
                self.texts = self.texts.saturating_sub(before).saturating_add(allocated(&new));
                new
            }
        }
    }

    /// Bytes of memory it holds.
    pub(super) fn held(&self) -> usize {
        self.slots.capacity() * size_of::<Option<Arc<str>>>() + self.texts
    }
}

/// Bytes of a shared text, with the two counts before it.
fn allocated(text: &Arc<str>) -> usize {
    text.len() + 2 * size_of::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &[u8], value: &[u8]) -> Field {
        Field::read(Name::of(name), &value[..value.len().min(PATH_LIMIT)], &mut Paths::default())
    }

    #[test]
    fn a_path_has_no_query_no_parameters_and_an_end() {
        assert_eq!(read(b":path", b"/a/b?token=secret"), Field::Path(Some("/a/b".into())));
        assert_eq!(read(b":path", b"/a;jsessionid=secret"), Field::Path(Some("/a".into())));
        assert_eq!(read(b":path", b"*"), Field::Path(Some("*".into())));
        let long = [b"/".as_slice(), &[b'x'; 2 * PATH_LIMIT]].concat();
        let Field::Path(Some(path)) = read(b":path", &long) else { panic!("a path") };
        assert_eq!(path.len(), PATH_LIMIT);
    }

    #[test]
    fn what_is_no_plain_value_is_not_shown() {
        assert_eq!(read(b":path", b"http://user:secret@host/"), Field::Path(None));
        assert_eq!(read(b":path", "/ä".as_bytes()), Field::Path(None));
        assert_eq!(read(b":method", b"SECRET"), Field::Method(None));
        for status in [b"99".as_slice(), b"+20", b"2000", b"", b"abc"] {
            assert_eq!(read(b":status", status), Field::Status(None), "{status:?}");
        }
        assert_eq!(read(b"grpc-status", b"99999"), Field::GrpcStatus(None));
        assert_eq!(read(b"grpc-timeout", b"5999m"), Field::GrpcTimeout(Some(5_999_000_000)));
        for odd in [b"m".as_slice(), b"", b"123456789n", b"1x", b"-1S"] {
            assert_eq!(read(b"grpc-timeout", odd), Field::GrpcTimeout(None));
        }
    }

    #[test]
    fn knows_grpc_from_grpc_web() {
        assert_eq!(read(b"content-type", b"application/grpc"), Field::ContentType(true));
        assert_eq!(read(b"content-type", b"application/grpc+proto"), Field::ContentType(true));
        assert_eq!(read(b"content-type", b"application/grpc-web"), Field::ContentType(false));
        assert_eq!(read(b"content-type", b"text/html"), Field::ContentType(false));
    }

    #[test]
    fn a_repeated_path_is_allocated_once() {
        let mut paths = Paths::default();
        let (first, second) = (paths.intern("/a"), paths.intern("/a"));
        assert!(Arc::ptr_eq(&first, &second));
        for number in 0..1000 {
            let path = format!("/{number}");
            assert_eq!(&*paths.intern(&path), path);
        }
        assert_eq!(paths.slots.len(), PATHS);
    }
}
