//! The header fields that decide where a message ends (RFC 9112, section 6.3). Others are not looked at, and no
//! value is kept.

/// The length that `Content-Length` fields say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Length {
    #[default]
    None,
    Known(u64),
    /// No number, or several that differ.
    Bad,
}

/// The last of the codings in `Transfer-Encoding` fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Coding {
    #[default]
    None,
    Chunked,
    Other,
}

/// Which field a line belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Name {
    #[default]
    Other,
    ContentLength,
    TransferEncoding,
    Upgrade,
}

/// How a message's body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// After as many bytes.
    Length(u64),
    /// After the last chunk.
    Chunked,
    /// With the connection.
    Close,
    /// Nobody can say.
    Broken,
}

/// What the fields of one head say.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fields {
    length: Length,
    coding: Coding,
    /// `Upgrade: h2c`.
    pub(super) h2c: bool,
    last: Name,
}

impl Fields {
    /// Takes a line without its line end. A line that begins with a space goes on with the field before it
    /// (obsolete folding: RFC 9112, section 5.2).
    pub(super) fn line(&mut self, line: &[u8]) {
        if matches!(line.first(), Some(b' ' | b'\t')) {
            return self.value(self.last, line);
        }
        self.last = Name::Other;
        // Most fields are others: their first letter says so.
        if !matches!(line.first(), Some(b'c' | b'C' | b't' | b'T' | b'u' | b'U')) {
            return;
        }
        let Some(colon) = line.iter().position(|b| *b == b':') else { return };
        let Some((name, value)) = line.split_at_checked(colon) else { return };
        self.last = Name::of(name.trim_ascii_end());
        self.value(self.last, value.get(1..).unwrap_or_default());
    }

    /// How a request's body ends (RFC 9112, section 6.3, rules 3 to 7).
    pub(super) fn request_framing(&self) -> Framing {
        match (self.coding, self.length) {
            (Coding::Chunked, _) => Framing::Chunked,
            (Coding::None, Length::None) => Framing::Length(0),
            (Coding::None, Length::Known(length)) => Framing::Length(length),
            (Coding::Other, _) | (_, Length::Bad) => Framing::Broken,
        }
    }

    /// How the body of a response ends that may have one.
    pub(super) fn response_framing(&self) -> Framing {
        match (self.coding, self.length) {
            (Coding::Chunked, _) => Framing::Chunked,
            (Coding::Other, _) | (_, Length::None) => Framing::Close,
            (_, Length::Known(length)) => Framing::Length(length),
            (_, Length::Bad) => Framing::Broken,
        }
    }

    fn value(&mut self, name: Name, value: &[u8]) {
        if name == Name::Other {
            return;
        }
        for member in value.split(|b| *b == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
        {
            match name {
                Name::ContentLength => self.length = self.length.and(member),
                Name::TransferEncoding => self.coding = self.coding.then(member),
                Name::Upgrade => self.h2c |= member.eq_ignore_ascii_case(b"h2c"),
                Name::Other => {}
            }
        }
    }
}

impl Name {
    fn of(name: &[u8]) -> Self {
        match name.len() {
            14 if name.eq_ignore_ascii_case(b"content-length") => Self::ContentLength,
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => Self::TransferEncoding,
            7 if name.eq_ignore_ascii_case(b"upgrade") => Self::Upgrade,
            _ => Self::Other,
        }
    }
}

impl Length {
    /// One more value: only the same one again is no contradiction.
    fn and(self, member: &[u8]) -> Self {
        match (self, decimal(member)) {
            (Self::None, Some(value)) => Self::Known(value),
            (Self::Known(known), Some(value)) if known == value => self,
            _ => Self::Bad,
        }
    }
}

impl Coding {
    /// One more coding; `identity` (RFC 2616) is none.
    fn then(self, member: &[u8]) -> Self {
        if member.eq_ignore_ascii_case(b"chunked") {
            Self::Chunked
        } else if self == Self::None && member.eq_ignore_ascii_case(b"identity") {
            Self::None
        } else {
            Self::Other
        }
    }
}

/// Digits only: no sign, no space, no overflow.
fn decimal(bytes: &[u8]) -> Option<u64> {
    bytes.iter().try_fold(0u64, |value, byte| {
        let digit = byte.is_ascii_digit().then(|| byte.wrapping_sub(b'0'))?;
        value.checked_mul(10)?.checked_add(digit.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(lines: &[&str]) -> Fields {
        let mut fields = Fields::default();
        for line in lines {
            fields.line(line.as_bytes());
        }
        fields
    }

    #[test]
    fn a_length_may_be_repeated_but_not_contradicted() {
        for lines in [
            &["Content-Length: 5"][..],
            &["content-length:5, 5"],
            &["CONTENT-LENGTH : 5", "Content-Length: 05"],
        ] {
            assert_eq!(fields(lines).request_framing(), Framing::Length(5), "{lines:?}");
        }
        for value in ["5, 6", "-1", "+5", "5 5", "0x5", "99999999999999999999", "5\0"] {
            let fields = fields(&[&format!("Content-Length: {value}")]);
            assert_eq!(fields.request_framing(), Framing::Broken, "{value}");
            assert_eq!(fields.response_framing(), Framing::Broken, "{value}");
        }
    }

    #[test]
    fn chunked_counts_when_it_is_the_last_coding() {
        for lines in [
            &["Transfer-Encoding: gzip, Chunked"][..],
            &["transfer-encoding: gzip", "te: x", "transfer-encoding: chunked", "Content-Length: 5"],
        ] {
            assert_eq!(fields(lines).request_framing(), Framing::Chunked, "{lines:?}");
        }
        let other = fields(&["Transfer-Encoding: chunked, gzip"]);
        assert_eq!((other.request_framing(), other.response_framing()), (Framing::Broken, Framing::Close));
        assert_eq!(
            fields(&["Transfer-Encoding: identity", "Content-Length: 2"]).request_framing(),
            Framing::Length(2)
        );
    }

    #[test]
    fn without_a_length_only_a_response_has_a_body() {
        assert_eq!(fields(&[]).request_framing(), Framing::Length(0));
        assert_eq!(fields(&["Content-Length:"]).response_framing(), Framing::Close);
    }

    #[test]
    fn folded_lines_belong_to_the_field_before() {
        assert_eq!(fields(&["Transfer-Encoding:", "\tchunked"]).request_framing(), Framing::Chunked);
        assert_eq!(
            fields(&["X: y", " chunked", "Upgrade: websocket,", " h2c"]).request_framing(),
            Framing::Length(0)
        );
        assert!(
            fields(&["Upgrade: websocket,", " h2c"]).h2c && !fields(&["Upgrades: h2c", "Upgrade h2c"]).h2c
        );
    }
}
