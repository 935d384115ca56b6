//! A message's head, line by line as it comes: only a line that two deliveries share is copied.

use memchr::memchr;

use super::{field::Fields, line, paths::Paths};
use crate::proto::stream::Head;

/// Bytes of a head: servers take 8 to 32 KiB, a few are set to 64.
pub(super) const HEAD_LIMIT: usize = 64 * 1024;
/// Room for a line that is kept between messages.
const KEPT: usize = 1024;

/// Which start line a head has.
#[derive(Debug)]
pub(super) enum Kind {
    /// A request line, and the paths that came before.
    Request(Paths),
    /// A status line.
    Response,
}

/// What bytes meant for a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// All were taken; the head goes on.
    All,
    /// It ended after as many.
    End(usize),
    /// It is none.
    Bad,
}

/// A head that is being read, or was the last one.
#[derive(Debug)]
pub(super) struct HeadReader {
    kind: Kind,
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    /// Bytes so far.
    length: usize,
    started: bool,
    /// What the start line said.
    pub(super) head: Head,
    /// What the other lines said.
    pub(super) fields: Fields,
}

impl HeadReader {
    pub(super) fn new(kind: Kind) -> Self {
        Self {
            kind,
            line: Vec::new(),
            length: 0,
            started: false,
            head: Head::default(),
            fields: Fields::default(),
        }
    }

    /// Another message begins.
    pub(super) fn reset(&mut self) {
        self.line.clear();
        self.line.shrink_to(KEPT);
        self.length = 0;
        self.started = false;
        self.head = Head::default();
        self.fields = Fields::default();
    }

    /// Bytes of memory it holds.
    pub(super) fn held(&self) -> usize {
        let paths = match &self.kind {
            Kind::Request(paths) => paths.held(),
            Kind::Response => 0,
        };
        self.line.capacity() + paths
    }

    /// Gives them back; the head that is being read is lost.
    pub(super) fn shed(&mut self) {
        self.line = Vec::new();
        if let Kind::Request(paths) = &mut self.kind {
            *paths = Paths::default();
        }
    }

    /// Takes bytes up to the empty line.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Read {
        let mut rest = bytes;
        while let Some(end) = memchr(b'\n', rest) {
            let Some((line, after)) = rest.split_at_checked(end) else { return Read::Bad };
            rest = after.get(1..).unwrap_or_default();
            self.length = self.length.saturating_add(end).saturating_add(1);
            if self.length > HEAD_LIMIT {
                return Read::Bad;
            }
            match self.whole_line(line) {
                Some(true) => return Read::End(bytes.len().saturating_sub(rest.len())),
                Some(false) => {}
                None => return Read::Bad,
            }
        }
        self.keep(rest)
    }

    /// Whether the line ended the head; none when it is not one.
    fn whole_line(&mut self, line: &[u8]) -> Option<bool> {
        if self.line.is_empty() {
            return self.read(line);
        }
        let mut whole = std::mem::take(&mut self.line);
        whole.extend_from_slice(line);
        let ended = self.read(&whole);
        whole.clear();
        self.line = whole;
        ended
    }

    fn read(&mut self, line: &[u8]) -> Option<bool> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if self.started {
            self.fields.line(line);
            return Some(line.is_empty());
        }
        match &mut self.kind {
            Kind::Request(paths) => {
                let start = line::request(line)?;
                self.head.method = start.method;
                self.head.path = start.path.map(|path| paths.intern(path));
            }
            Kind::Response => self.head.status = Some(line::status(line)?),
        }
        self.started = true;
        Some(false)
    }

    /// Keeps the beginning of a line.
    fn keep(&mut self, rest: &[u8]) -> Read {
        self.length = self.length.saturating_add(rest.len());
        if self.length > HEAD_LIMIT {
            return Read::Bad;
        }
        self.line.extend_from_slice(rest);
        let plausible = self.started
            || match self.kind {
                Kind::Request(_) => line::may_be_request(&self.line),
                Kind::Response => line::may_be_status(&self.line),
            };
        if plausible { Read::All } else { Read::Bad }
    }
}
