//! The tables of header fields (RFC 7541, sections 2.3 and 4, appendix A).
//!
//! An entry keeps what its field means, not its text: values nobody shows are gone once they are read.

use std::collections::VecDeque;

use super::field::{Field, Name};

/// Largest dynamic table that is held, in bytes as RFC 7541, section 4.1 counts; of a larger one only the newest
/// entries are known.
pub(super) const TABLE_LIMIT: u32 = 64 * 1024;
/// Table size before anybody announced another (RFC 9113, section 6.5.2).
pub(super) const DEFAULT_SIZE: u32 = 4096;
/// What an entry counts besides its strings (RFC 7541, section 4.1).
const ENTRY_OVERHEAD: u32 = 32;

/// Names of the static table's entries, in its order, from index 1.
const STATIC: [&[u8]; 61] = [
    b":authority",
    b":method",
    b":method",
    b":path",
    b":path",
    b":scheme",
    b":scheme",
    b":status",
    b":status",
    b":status",
    b":status",
    b":status",
    b":status",
    b":status",
    b"accept-charset",
    b"accept-encoding",
    b"accept-language",
    b"accept-ranges",
    b"accept",
    b"access-control-allow-origin",
    b"age",
    b"allow",
    b"authorization",
    b"cache-control",
    b"content-disposition",
    b"content-encoding",
    b"content-language",
    b"content-length",
    b"content-location",
    b"content-range",
    b"content-type",
    b"cookie",
    b"date",
    b"etag",
    b"expect",
    b"expires",
    b"from",
    b"host",
    b"if-match",
    b"if-modified-since",
    b"if-none-match",
    b"if-range",
    b"if-unmodified-since",
    b"last-modified",
    b"link",
    b"location",
    b"max-forwards",
    b"proxy-authenticate",
    b"proxy-authorization",
    b"range",
    b"referer",
    b"refresh",
    b"retry-after",
    b"server",
    b"set-cookie",
    b"strict-transport-security",
    b"transfer-encoding",
    b"user-agent",
    b"vary",
    b"via",
    b"www-authenticate",
];

/// Entries of the static table.
pub(super) const STATIC_ENTRIES: u32 = 61;

/// Name of a static entry.
pub(super) fn static_name(index: u32) -> Option<&'static [u8]> {
    let at = usize::try_from(index.checked_sub(1)?).ok()?;
    STATIC.get(at).copied()
}

/// Value of a static entry that is looked at; empty for the others.
pub(super) fn static_value(index: u32) -> &'static [u8] {
    match index {
        2 => b"GET",
        3 => b"POST",
        4 => b"/",
        5 => b"/index.html",
        8 => b"200",
        9 => b"204",
        10 => b"206",
        11 => b"304",
        12 => b"400",
        13 => b"404",
        14 => b"500",
        _ => b"",
    }
}

/// A field in the dynamic table.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) field: Field,
    pub(super) name_length: u32,
    size: u32,
}

/// What an index refers to.
pub(super) enum Found<'a> {
    Entry(&'a Entry),
    /// An entry from before the table was observed.
    Unknown,
    /// Nothing: the index is an error.
    Nothing,
}

/// The dynamic table of one direction.
///
/// Indexes count from the newest entry, so those inserted under observation stay known even where older ones
/// are not: after joining in the middle or after a lost header block. Sizes are unknown then as well, and
/// eviction only bounds memory: a reference to what the peer evicted would be its error.
#[derive(Debug)]
pub(super) struct Table {
    /// The newest first.
    entries: VecDeque<Entry>,
    size: u32,
    max: u32,
    /// All entries are known.
    complete: bool,
    /// Bytes of their texts.
    texts: usize,
}

impl Table {
    /// As on a new connection.
    pub(super) fn new() -> Self {
        Self { entries: VecDeque::new(), size: 0, max: DEFAULT_SIZE, complete: true, texts: 0 }
    }

    /// From here on nothing is known of what it holds.
    pub(super) fn forget(&mut self) {
        self.clear();
        self.complete = false;
    }

    /// A dynamic table size update. To zero, it empties the peer's table too: all is known again.
    pub(super) fn resize(&mut self, max: u32) {
        self.max = max;
        if max == 0 {
            self.clear();
            self.complete = true;
        } else {
            self.evict(0);
        }
    }

    /// Adds an entry of a field with strings of these lengths.
    pub(super) fn insert(&mut self, field: Field, name_length: u32, value_length: u32) {
        let size = name_length.saturating_add(value_length).saturating_add(ENTRY_OVERHEAD);
        self.evict(size);
        if size <= self.bound() {
            self.size += size;
            self.texts = self.texts.saturating_add(field.text());
            self.entries.push_front(Entry { field, name_length, size });
        }
    }

    /// The entry of a dynamic index, 0 for the newest.
    pub(super) fn get(&self, index: u32) -> Found<'_> {
        match usize::try_from(index).ok().and_then(|at| self.entries.get(at)) {
            Some(entry) => Found::Entry(entry),
            None if self.complete => Found::Nothing,
            None => Found::Unknown,
        }
    }

    /// Bytes of memory it holds.
    pub(super) fn held(&self) -> usize {
        self.entries.capacity().saturating_mul(size_of::<Entry>()).saturating_add(self.texts)
    }

    /// Bytes it holds, as RFC 7541 counts.
    #[cfg(test)]
    pub(super) fn size(&self) -> u32 {
        self.size
    }

    fn bound(&self) -> u32 {
        if self.complete { self.max.min(TABLE_LIMIT) } else { TABLE_LIMIT }
    }

    /// Makes room. What goes although the peer keeps it makes the table incomplete.
    fn evict(&mut self, room: u32) {
        if self.complete && self.max > TABLE_LIMIT && self.size.saturating_add(room) > TABLE_LIMIT {
            self.complete = false;
        }
        let bound = self.bound();
        while self.size.saturating_add(room) > bound {
            let Some(entry) = self.entries.pop_back() else { break };
            self.size = self.size.saturating_sub(entry.size);
            self.texts = self.texts.saturating_sub(entry.field.text());
        }
    }

    fn clear(&mut self) {
        self.entries = VecDeque::new();
        (self.size, self.texts) = (0, 0);
    }
}

/// The name of an entry, for fields that only share it.
impl Entry {
    pub(super) fn name(&self) -> Name {
        self.field.name()
    }
}
