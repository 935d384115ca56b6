//! HPACK (RFC 7541), as much as an observer needs.
//!
//! Its own, because it has to do what no decoder of an endpoint does: go on with a table of which only the newest
//! entries are known, and forget a value as soon as it is read. It takes time and memory in proportion to the
//! bytes of a block, not to the header list they stand for, so there is nothing to inflate.

mod field;
mod huffman;
mod table;

use std::sync::Arc;

use crate::proto::stream::PATH_LIMIT;
use field::{Field, Name, Paths, Text};
use table::{DEFAULT_SIZE, Found, STATIC_ENTRIES, Table, static_name, static_value};

/// The bytes are not a header block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the header block is malformed")]
pub(super) struct Malformed;

/// What a header block says. The first of repeated fields counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields {
    /// `:method`, when a known one.
    pub(super) method: Option<&'static str>,
    /// `:path` without its query.
    pub(super) path: Option<Arc<str>>,
    /// `:status`.
    pub(super) status: Option<u16>,
    /// `content-type` is gRPC's.
    pub(super) grpc: bool,
    /// `grpc-status`.
    pub(super) grpc_status: Option<u16>,
    /// `grpc-timeout`, nanoseconds.
    pub(super) timeout: Option<u64>,
    /// There is a field that only requests have.
    pub(super) of_request: bool,
}

impl Fields {
    fn add(&mut self, field: &Field) {
        match field {
            Field::Method(method) => self.method = self.method.or(*method),
            Field::Path(path) if self.path.is_none() => self.path.clone_from(path),
            Field::Status(status) => self.status = self.status.or(*status),
            Field::ContentType(grpc) => self.grpc |= grpc,
            Field::GrpcStatus(status) => self.grpc_status = self.grpc_status.or(*status),
            Field::GrpcTimeout(timeout) => self.timeout = self.timeout.or(*timeout),
            Field::Path(_) | Field::Target | Field::Other | Field::Unknown => {}
        }
        self.of_request |= matches!(field, Field::Method(_) | Field::Path(_) | Field::Target);
    }
}

/// Decodes the header blocks of one direction.
#[derive(Debug)]
pub(super) struct Decoder {
    table: Table,
    paths: Paths,
    /// Largest table size that the encoder may choose.
    limit: u32,
    /// The newest announcement of that limit by the other side, and its SETTINGS that are not acknowledged.
    announced: u32,
    outstanding: u32,
}

impl Decoder {
    /// As on a new connection.
    pub(super) fn new() -> Self {
        let table = Table::new();
        Self { table, paths: Paths::default(), limit: DEFAULT_SIZE, announced: DEFAULT_SIZE, outstanding: 0 }
    }

    /// Bytes are missing: what the table holds is unknown from here on.
    pub(super) fn forget(&mut self) {
        self.table.forget();
    }

    /// Bytes of memory it holds.
    pub(super) fn held(&self) -> usize {
        self.table.held() + self.paths.held()
    }

    /// Gives them back: what the table holds is unknown from here on.
    pub(super) fn shed(&mut self) {
        self.forget();
        self.paths = Paths::default();
    }

    /// The other side's SETTINGS may have gone unseen.
    pub(super) fn allow_any_size(&mut self) {
        (self.limit, self.announced) = (u32::MAX, u32::MAX);
    }

    /// The other side announces a limit. It may be used before its acknowledgment is seen, never a lower one.
    pub(super) fn announce(&mut self, size: u32) {
        self.announced = size;
        self.limit = self.limit.max(size);
    }

    /// The other side sent SETTINGS.
    pub(super) fn settings(&mut self) {
        self.outstanding = self.outstanding.saturating_add(1);
    }

    /// The encoder's side acknowledged one.
    pub(super) fn acknowledged(&mut self) {
        self.outstanding = self.outstanding.saturating_sub(1);
        if self.outstanding == 0 {
            self.limit = self.announced;
        }
    }

    /// Reads a whole header block.
    ///
    /// # Errors
    /// When it is malformed; the table is unknown from then on.
    pub(super) fn decode(&mut self, block: &[u8]) -> Result<Fields, Malformed> {
        let fields = self.read(Input(block));
        if fields.is_err() {
            self.forget();
        }
        fields
    }

    /// The representations of section 6, told apart by their first bits.
    fn read(&mut self, mut input: Input<'_>) -> Result<Fields, Malformed> {
        let mut fields = Fields::default();
        let mut begun = false;
        while let Some(first) = input.0.first() {
            let update = first & 0xe0 == 0x20;
            match first {
                0x80.. => fields.add(&self.indexed(input.integer(7)?)?),
                0x40.. => fields.add(&self.literal(&mut input, 6, true)?),
                _ if update && !begun => self.resize(input.integer(5)?)?,
                _ if update => return Err(Malformed),
                _ => fields.add(&self.literal(&mut input, 4, false)?),
            }
            begun |= !update;
        }
        Ok(fields)
    }

    fn resize(&mut self, size: u32) -> Result<(), Malformed> {
        if size > self.limit {
            return Err(Malformed);
        }
        self.table.resize(size);
        Ok(())
    }

    fn indexed(&mut self, index: u32) -> Result<Field, Malformed> {
        if let Some(dynamic) = index.checked_sub(STATIC_ENTRIES + 1) {
            return match self.table.get(dynamic) {
                Found::Entry(entry) => Ok(entry.field.clone()),
                Found::Unknown => Ok(Field::Unknown),
                Found::Nothing => Err(Malformed),
            };
        }
        let name = Name::of(static_name(index).ok_or(Malformed)?);
        if !name.has_value() {
            return Ok(if name == Name::Target { Field::Target } else { Field::Other });
        }
        Ok(Field::read(name, static_value(index), &mut self.paths))
    }

    fn literal(&mut self, input: &mut Input<'_>, prefix: u32, insert: bool) -> Result<Field, Malformed> {
        let (name, name_length) = self.name(input, prefix)?;
        let value = input.string()?;
        if !insert && !name.has_value() {
            return Ok(if name == Name::Target { Field::Target } else { Field::Other });
        }
        let (field, length) = value.read(|text| Field::read(name, text, &mut self.paths))?;
        if insert {
            self.table.insert(field.clone(), name_length, length);
        }
        Ok(field)
    }

    /// The name of a literal and its length; length 0 when it is unknown.
    fn name(&self, input: &mut Input<'_>, prefix: u32) -> Result<(Name, u32), Malformed> {
        let index = input.integer(prefix)?;
        if index == 0 {
            return input.string()?.read(Name::of);
        }
        if let Some(name) = static_name(index) {
            return Ok((Name::of(name), u32::try_from(name.len()).unwrap_or(u32::MAX)));
        }
        match self.table.get(index - STATIC_ENTRIES - 1) {
            Found::Entry(entry) => Ok((entry.name(), entry.name_length)),
            Found::Unknown => Ok((Name::Unknown, 0)),
            Found::Nothing => Err(Malformed),
        }
    }
}

/// A string as it stands in the block.
struct Literal<'a> {
    huffman: bool,
    bytes: &'a [u8],
}

impl Literal<'_> {
    /// What `read` makes of its first [`PATH_LIMIT`] bytes, and its length.
    fn read<T>(&self, read: impl FnOnce(&[u8]) -> T) -> Result<(T, u32), Malformed> {
        if !self.huffman {
            let kept = self.bytes.get(..PATH_LIMIT).unwrap_or(self.bytes);
            return Ok((read(kept), u32::try_from(self.bytes.len()).unwrap_or(u32::MAX)));
        }
        let mut text = Text::new();
        huffman::decode(self.bytes, |byte| text.push(byte))?;
        Ok((read(text.kept()), text.length()))
    }
}

/// The bytes of a block that are not read yet.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> Result<u8, Malformed> {
        let (byte, rest) = self.0.split_first().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*byte)
    }

    /// An integer whose first bits share a byte with what precedes it (section 5.1).
    fn integer(&mut self, prefix: u32) -> Result<u32, Malformed> {
        let mask = (1u32 << prefix) - 1;
        let first = u32::from(self.byte()?) & mask;
        if first < mask {
            return Ok(first);
        }
        let mut value = u64::from(mask);
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.byte()?;
            value += u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(value).map_err(|_| Malformed);
            }
        }
        Err(Malformed)
    }

    /// A string (section 5.2).
    fn string(&mut self) -> Result<Literal<'a>, Malformed> {
        let huffman = self.0.first().is_some_and(|byte| byte & 0x80 != 0);
        let length = usize::try_from(self.integer(7)?).map_err(|_| Malformed)?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(Literal { huffman, bytes })
    }
}

#[cfg(test)]
#[path = "hpack_tests.rs"]
mod tests;
