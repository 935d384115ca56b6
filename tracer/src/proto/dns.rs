//! DNS messages (RFC 1035, section 4): header, first question, and the addresses in the answer section.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::lookup;

pub use lookup::Lookup;

/// The server's port, over UDP and TCP (RFC 1035, section 4.2).
pub const PORT: u16 = 53;
/// Longest name in text form that is kept (RFC 1035, section 2.3.4).
pub const NAME_LIMIT: usize = 255;
/// Addresses that are read of one answer.
pub const ADDRESS_LIMIT: usize = 16;
/// Records of an answer section that are looked at.
const RECORD_LIMIT: u16 = 64;

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
    /// What A and AAAA records of the answer section say.
    pub addresses: Addresses,
}

/// The addresses that a name has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// In the order of the records, at most [`ADDRESS_LIMIT`], each once.
    pub known: Vec<IpAddr>,
    /// There may be more: the message was cut, on its way or when it was read.
    pub incomplete: bool,
}

impl Addresses {
    /// Adds those of another answer about the same name.
    pub fn merge(&mut self, other: &Self) {
        other.known.iter().for_each(|address| self.add(*address));
        self.incomplete |= other.incomplete;
    }

    fn add(&mut self, address: IpAddr) {
        if self.known.contains(&address) {
            return;
        }
        if self.known.len() < ADDRESS_LIMIT {
            self.known.push(address);
        } else {
            self.incomplete = true;
        }
    }

    /// Reads the answer section, which begins at `at`. A record belongs to the question by its place: names are not
    /// compared, so that those at the end of a chain of CNAMEs count.
    fn read(bytes: &[u8], at: usize, records: u16, truncated: bool) -> Self {
        let mut addresses = Self { known: Vec::new(), incomplete: truncated || records > RECORD_LIMIT };
        let mut rest = bytes.get(at..).unwrap_or_default();
        for _ in 0..records.min(RECORD_LIMIT) {
            let Some((record, after)) = Record::read(rest) else {
                addresses.incomplete = true;
                break;
            };
            record.address().into_iter().for_each(|address| addresses.add(address));
            rest = after;
        }
        addresses
    }
}

/// A resource record (RFC 1035, section 4.1.3).
struct Record<'a> {
    kind: u16,
    class: u16,
    data: &'a [u8],
}

impl<'a> Record<'a> {
    /// The first record, and what follows it.
    fn read(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (head, rest) = skip_name(bytes)?.split_first_chunk::<10>()?;
        let [kind, kind_low, class, class_low, _, _, _, _, length, length_low] = *head;
        let length = u16::from_be_bytes([length, length_low]);
        let (data, after) = rest.split_at_checked(length.into())?;
        let word = |high, low| u16::from_be_bytes([high, low]);
        Some((Self { kind: word(kind, kind_low), class: word(class, class_low), data }, after))
    }

    /// Of an A record (RFC 1035, section 3.4.1) or an AAAA record (RFC 3596, section 2.2).
    fn address(&self) -> Option<IpAddr> {
        match (self.class, self.kind) {
            (1, 1) => <[u8; 4]>::try_from(self.data).ok().map(|bytes| Ipv4Addr::from(bytes).into()),
            (1, 28) => <[u8; 16]>::try_from(self.data).ok().map(|bytes| Ipv6Addr::from(bytes).into()),
            _ => None,
        }
    }
}

/// What follows a name, which may end in a pointer (RFC 1035, section 4.1.4).
fn skip_name(mut bytes: &[u8]) -> Option<&[u8]> {
    loop {
        let (length, rest) = bytes.split_first()?;
        match length & 0xc0 {
            0xc0 => return rest.get(1..),
            0 if *length == 0 => return Some(rest),
            0 => bytes = rest.get(usize::from(*length)..)?,
            _ => return None,
        }
    }
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
    /// Reads the header, the first question, and the addresses of an answer.
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
            addresses: Addresses::default(),
        };
        let mut end = 12;
        if questions > 0 {
            (message.name, end) = read_name(bytes, end)?;
            message.query_type = word(end)?;
            word(end + 2)?;
            end += 4;
        }
        if message.answer && answers > 0 && questions <= 1 {
            message.addresses = Addresses::read(bytes, end, answers, message.truncated);
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

    /// An answer with a chain of two names and these A records.
    fn answer(addresses: u8) -> Vec<u8> {
        let mut bytes = query(&["db"], 1);
        (bytes[2], bytes[3], bytes[7]) = (0x81, 0x80, addresses + 1);
        bytes.extend_from_slice(&[0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 5, 0, 4, 1, b'x', 0xc0, 12]);
        for last in 1..=addresses {
            bytes.extend_from_slice(&[0xc0, 26, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 10, 0, 0, last]);
        }
        bytes
    }

    #[test]
    fn reads_the_addresses_at_the_end_of_a_chain() {
        let addresses = Message::parse(&answer(2)).unwrap().addresses;
        let expected = [[10, 0, 0, 1], [10, 0, 0, 2]].map(IpAddr::from).to_vec();
        assert_eq!(addresses, Addresses { known: expected, incomplete: false });
    }

    #[test]
    fn addresses_that_are_cut_off_or_too_many_are_told() {
        let bytes = answer(3);
        let cut = Message::parse(&bytes[..bytes.len() - 1]).unwrap().addresses;
        assert_eq!((cut.known.len(), cut.incomplete), (2, true));
        let many = Message::parse(&answer(20)).unwrap().addresses;
        assert_eq!((many.known.len(), many.incomplete), (ADDRESS_LIMIT, true));
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
