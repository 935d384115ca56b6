//! Protocol buffers, written field by field: what a runtime sends must not come from the definitions that the tracer
//! reads it with.

/// A message.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message(Vec<u8>);

impl Message {
    /// With a text, bytes or a message.
    pub(crate) fn bytes(mut self, field: u8, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref();
        self.0.push(field << 3 | 2);
        self.varint(value.len() as u64);
        self.0.extend(value);
        self
    }

    /// With a number or an enumeration.
    pub(crate) fn number(mut self, field: u8, value: u64) -> Self {
        self.0.push(field << 3);
        self.varint(value);
        self
    }

    /// With an entry of a map of texts.
    pub(crate) fn entry(self, field: u8, key: &str, value: &str) -> Self {
        self.bytes(field, Self::default().bytes(1, key).bytes(2, value))
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.0.push(value.to_le_bytes()[0]);
    }
}

impl AsRef<[u8]> for Message {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Message> for tonic::codegen::Bytes {
    fn from(message: Message) -> Self {
        message.0.into()
    }
}
