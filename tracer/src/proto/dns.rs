//! DNS messages (RFC 1035, section 4): header and first question. Answers' records are not read.

use super::lookup;

pub use lookup::Lookup;

/// The server's port, over UDP and TCP (RFC 1035, section 4.2).
pub const PORT: u16 = 53;
/// Longest name in text form that is kept (RFC 1035, section 2.3.4).
pub const NAME_LIMIT: usize = 255;

/// A query or an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Transaction id.
    pub id: u16,
    /// Answer (QR = 1).
    pub answer: bool,
    /// Response code; 0 in queries.
    pub rcode: u8,
    /// The answer was cut to fit the datagram.
    pub truncated: bool,
    /// Lower case, labels joined by dots, no dot at the end; bytes outside printable ASCII as `\ddd`
    /// (RFC 4343, section 2.1). Empty for the root and for messages without a question.
    pub name: String,
    /// Type of the question (1 A, 28 AAAA …); 0 without a question.
    pub query_type: u16,
    /// Number of records in the answer section.
    pub answers: u16,
}

/// Why bytes are not a DNS message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Shorter than a header, or the question runs over the end.
    #[error("the DNS message ends at byte {0}, inside its header or question")]
    Short(usize),
    /// A label's length byte has a form that no question has (compression or an extended label).
    #[error("the DNS question has a label of form {0:#04x}")]
    Label(u8),
    /// The name is longer than [`NAME_LIMIT`].
    #[error("the DNS question's name is longer than {NAME_LIMIT} bytes")]
    Name,
}

impl Message {
    /// Reads the header and the first question.
    ///
    /// # Errors
    /// When the bytes end too soon or the question's name is malformed.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let word = |at: usize| -> Result<u16, ParseError> {
            let pair = bytes.get(at..at + 2).ok_or(ParseError::Short(bytes.len()))?;
            Ok(u16::from_be_bytes([pair[0], pair[1]]))
        };
        let flags = word(2)?;
        let (questions, answers) = (word(4)?, word(6)?);
        word(10)?;
        let mut message = Self {
            id: word(0)?,
            answer: flags & 0x8000 != 0,
            rcode: (flags & 0x000f) as u8,
            truncated: flags & 0x0200 != 0,
            name: String::new(),
            query_type: 0,
            answers,
        };
        if questions > 0 {
            let (name, end) = read_name(bytes, 12)?;
            message.name = name;
            message.query_type = word(end)?;
            word(end + 2)?;
        }
        Ok(message)
    }

    /// Whether it has one: servers leave it out of answers to what they cannot read.
    #[must_use]
    pub fn has_question(&self) -> bool {
        self.query_type != 0
    }
}

/// Reads an uncompressed name (questions are never compressed: there is nothing before them to point to).
fn read_name(bytes: &[u8], mut at: usize) -> Result<(String, usize), ParseError> {
    // As text it is as long as here, unless something is escaped.
    let mut name = String::with_capacity(encoded_length(bytes, at));
    let start = at;
    loop {
        let length = *bytes.get(at).ok_or(ParseError::Short(bytes.len()))?;
        at += 1;
        if length == 0 {
            return Ok((name, at));
        }
        if length & 0xc0 != 0 {
            return Err(ParseError::Label(length));
        }
        let end = at + usize::from(length);
        if end - start > NAME_LIMIT {
            return Err(ParseError::Name);
        }
        let label = bytes.get(at..end).ok_or(ParseError::Short(bytes.len()))?;
        if !name.is_empty() {
            name.push('.');
        }
        push_label(&mut name, label);
        at = end;
    }
}

/// Bytes of a name up to its end, at most [`NAME_LIMIT`].
fn encoded_length(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    rest.iter().take(NAME_LIMIT).take_while(|byte| **byte != 0).count()
}

fn push_label(name: &mut String, label: &[u8]) {
    let is_plain = label.iter().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'.' | b'\\'));
    if let (true, Ok(text)) = (is_plain, str::from_utf8(label)) {
        let before = name.len();
        name.push_str(text);
        if let Some(new) = name.get_mut(before..) {
            new.make_ascii_lowercase();
        }
        return;
    }
    for byte in label {
        match byte {
            b'!'..=b'~' if !matches!(byte, b'.' | b'\\') => name.push(byte.to_ascii_lowercase().into()),
            _ => {
                name.push('\\');
                for digit in [byte / 100, byte / 10 % 10, byte % 10] {
                    name.push((b'0' + digit).into());
                }
            }
        }
    }
}

/// Name of a response code as CoreDNS labels it; `other` for the rare ones.
#[must_use]
pub fn rcode_name(rcode: u8) -> &'static str {
    match rcode {
        0 => "NOERROR",
        1 => "FORMERR",
        2 => "SERVFAIL",
        3 => "NXDOMAIN",
        4 => "NOTIMP",
        5 => "REFUSED",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(name: &[&str], query_type: u16) -> Vec<u8> {
        let mut bytes = vec![0x12, 0x34, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name {
            bytes.push(u8::try_from(label.len()).unwrap());
            bytes.extend_from_slice(label.as_bytes());
        }
        bytes.push(0);
        bytes.extend_from_slice(&query_type.to_be_bytes());
        bytes.extend_from_slice(&[0, 1]);
        bytes
    }

    #[test]
    fn reads_a_query() {
        let message = Message::parse(&query(&["Elastic", "spain", "example", "com"], 28)).unwrap();
        assert_eq!(message.id, 0x1234);
        assert!(!message.answer);
        assert_eq!((message.name.as_str(), message.query_type), ("elastic.spain.example.com", 28));
    }

    #[test]
    fn reads_an_answers_code() {
        let mut bytes = query(&["nowhere"], 1);
        bytes[2] = 0x81;
        bytes[3] = 0x83;
        let message = Message::parse(&bytes).unwrap();
        assert!(message.answer);
        assert_eq!(rcode_name(message.rcode), "NXDOMAIN");
    }

    #[test]
    fn every_cut_is_an_error_and_never_a_panic() {
        let bytes = query(&["a", "bc"], 1);
        for length in 0..bytes.len() {
            assert!(Message::parse(&bytes[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn an_answer_may_leave_the_question_out() {
        let message = Message::parse(&[0x12, 0x34, 0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap();
        assert_eq!((message.answer, message.rcode, message.has_question()), (true, 1, false));
        assert!(
            Message::parse(&query(&[], 2)).unwrap().has_question(),
            "the root has a question, but no name"
        );
    }

    #[test]
    fn a_pointer_in_a_question_is_an_error() {
        let mut bytes = query(&[], 1);
        bytes[12] = 0xc0;
        assert_eq!(Message::parse(&bytes), Err(ParseError::Label(0xc0)));
    }

    #[test]
    fn escapes_what_is_not_printable() {
        let message = Message::parse(&query(&["a.b", "\u{1}"], 1)).unwrap();
        assert_eq!(message.name, "a\\046b.\\001");
    }
}
