//! Reading protocol buffers without their definitions: only what the node needs of a runtime's answers.

use anyhow::{Context, Result, bail};

/// The fields of a message, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Fields(Vec<(u64, Field)>);

#[derive(Debug)]
enum Field {
    Number(u64),
    Bytes(Vec<u8>),
}

impl Fields {
    /// Reads a message; fields of fixed size are skipped.
    pub(super) fn read(mut bytes: &[u8]) -> Result<Self> {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let tag = varint(&mut bytes)?;
            match tag & 7 {
                0 => fields.push((tag >> 3, Field::Number(varint(&mut bytes)?))),
                1 => drop(take(&mut bytes, 8)?),
                2 => {
                    let length = usize::try_from(varint(&mut bytes)?)?;
                    fields.push((tag >> 3, Field::Bytes(take(&mut bytes, length)?.to_vec())));
                }
                5 => drop(take(&mut bytes, 4)?),
                other => bail!("a field of wire type {other}"),
            }
        }
        Ok(Self(fields))
    }

    /// A text, empty when it is not there.
    pub(super) fn text(&self, number: u64) -> String {
        String::from_utf8_lossy(self.bytes(number)).into_owned()
    }

    /// A number or an enumeration, 0 when it is not there.
    pub(super) fn number(&self, number: u64) -> u64 {
        let found = self.0.iter().rev().find_map(|(is, field)| match field {
            Field::Number(value) if *is == number => Some(*value),
            _ => None,
        });
        found.unwrap_or(0)
    }

    /// A message, empty when it is not there.
    pub(super) fn message(&self, number: u64) -> Result<Self> {
        Self::read(self.bytes(number))
    }

    /// The value of a key in a map of texts.
    pub(super) fn entry(&self, number: u64, key: &str) -> Result<String> {
        for (is, field) in &self.0 {
            if let Field::Bytes(bytes) = field
                && *is == number
            {
                let entry = Self::read(bytes)?;
                if entry.text(1) == key {
                    return Ok(entry.text(2));
                }
            }
        }
        bail!("the answer has no {key}")
    }

    fn bytes(&self, number: u64) -> &[u8] {
        let found = self.0.iter().rev().find_map(|(is, field)| match field {
            Field::Bytes(bytes) if *is == number => Some(bytes.as_slice()),
            _ => None,
        });
        found.unwrap_or_default()
    }
}

fn varint(bytes: &mut &[u8]) -> Result<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    bail!("a number of more than 64 bits")
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Result<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(length).context("a message that ends within a field")?;
    *bytes = rest;
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::Fields;
    use crate::cluster::protobuf::Message;

    #[test]
    fn what_is_written_is_read() {
        let inner = Message::default().bytes(1, "10.88.0.2");
        let message = Message::default().number(3, 300).bytes(5, inner).entry(2, "info", "{}");
        let fields = Fields::read(message.as_ref()).unwrap();
        assert_eq!((fields.number(3), fields.number(4)), (300, 0));
        assert_eq!(fields.message(5).unwrap().text(1), "10.88.0.2");
        assert_eq!(fields.entry(2, "info").unwrap(), "{}");
        assert!(fields.entry(2, "other").is_err());
    }

    #[test]
    fn a_torn_message_is_an_error() {
        assert!(Fields::read(&[0x0a, 5, b'a']).is_err());
    }
}
