//! The chunked coding (RFC 9112, section 7.1), with extensions and trailers.

use super::body::Taken;

/// Bytes of one chunk's size line, and of all trailers.
pub(super) const LINE_LIMIT: u32 = 16 * 1024;

/// Where in a chunked body the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In the digits of a size; none yet?
    Size(Option<u64>),
    /// Behind them: spaces, extensions, the line end.
    Extension(u64),
    /// In data, of which as much is missing.
    Data(u64),
    /// Behind data, and behind its CR.
    DataEnd { cr: bool },
    /// At the start of a trailer's line, and behind its CR.
    Trailer { cr: bool },
    /// Inside a trailer's line.
    TrailerLine,
}

/// A chunked body that is being read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunks {
    state: State,
    /// Bytes of the size line, or of the trailers, so far.
    line: u32,
}

impl Default for Chunks {
    fn default() -> Self {
        Self { state: State::Size(None), line: 0 }
    }
}

impl Chunks {
    /// Takes bytes up to the end of the last chunk's trailers.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Taken {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            if let State::Data(missing) = self.state {
                let rest = bytes.len().saturating_sub(at);
                match usize::try_from(missing) {
                    Ok(end) if end <= rest => {
                        self.state = State::DataEnd { cr: false };
                        at = at.saturating_add(end);
                    }
                    _ => {
                        self.state = State::Data(missing.saturating_sub(rest as u64));
                        return Taken::All;
                    }
                }
                continue;
            }
            let last = matches!((self.state, byte), (State::Trailer { .. }, b'\n'));
            at = at.saturating_add(1);
            match self.next(*byte) {
                _ if last => return Taken::End(at),
                Some(state) => self.state = state,
                None => return Taken::Broken(at),
            }
        }
        Taken::All
    }

    /// Whether the bytes of a gap were data of the chunk.
    pub(super) fn gap(&mut self, length: u64) -> bool {
        match self.state {
            State::Data(missing) if length <= missing => {
                self.state = match missing.saturating_sub(length) {
                    0 => State::DataEnd { cr: false },
                    rest => State::Data(rest),
                };
                true
            }
            _ => false,
        }
    }

    /// The state behind a byte of framing; none when it is not allowed there.
    fn next(&mut self, byte: u8) -> Option<State> {
        self.line = self.line.saturating_add(1);
        if self.line > LINE_LIMIT {
            return None;
        }
        match (self.state, byte) {
            (State::Size(value), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = char::from(byte).to_digit(16)?;
                Some(State::Size(Some(value.unwrap_or(0).checked_mul(16)?.checked_add(digit.into())?)))
            }
            (State::Size(Some(size)) | State::Extension(size), b'\n') => Some(self.data(size)),
            (State::Size(Some(size)), b' ' | b'\t' | b';' | b'\r') | (State::Extension(size), _) => {
                Some(State::Extension(size))
            }
            (State::DataEnd { cr: false }, b'\r') => Some(State::DataEnd { cr: true }),
            (State::DataEnd { .. }, b'\n') => {
                self.line = 0;
                Some(State::Size(None))
            }
            (State::Trailer { cr: false }, b'\r') => Some(State::Trailer { cr: true }),
            (State::TrailerLine, b'\n') => Some(State::Trailer { cr: false }),
            (State::TrailerLine | State::Trailer { .. }, _) => Some(State::TrailerLine),
            (State::Size(_) | State::Data(_) | State::DataEnd { .. }, _) => None,
        }
    }

    /// Behind a size line.
    fn data(&mut self, size: u64) -> State {
        self.line = 0;
        if size == 0 { State::Trailer { cr: false } } else { State::Data(size) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Byte by byte and at once must agree.
    fn take(bytes: &[u8]) -> Taken {
        let whole = Chunks::default().take(bytes);
        let mut chunks = Chunks::default();
        let mut single = Taken::All;
        for (at, byte) in bytes.chunks(1).enumerate() {
            single = match chunks.take(byte) {
                Taken::All => continue,
                Taken::End(used) => Taken::End(at + used),
                Taken::Broken(used) => Taken::Broken(at + used),
            };
            break;
        }
        assert_eq!(whole, single);
        whole
    }

    #[test]
    fn ends_behind_the_trailers() {
        for body in [
            "0\r\n\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
            "5\nhello\n0\n\n",
            "5;a=\"b\";c\r\nhello\r\n0\r\nA: b\r\nC: d\r\n\r\n",
            "0005  \r\nhello\r\n000\r\n\r\n",
        ] {
            assert_eq!(take(&[body.as_bytes(), b"HTTP"].concat()), Taken::End(body.len()), "{body}");
            assert_eq!(take(&body.as_bytes()[..body.len() - 1]), Taken::All, "{body}");
        }
    }

    #[test]
    fn rejects_what_is_no_chunk() {
        for body in [
            "\r\n",
            "x\r\n",
            "-1\r\n",
            "ffffffffffffffff1\r\n",
            "2\r\nabc\r\n",
            "1\r\na\rx",
            ";\r\n",
            "0x5\r\n",
        ] {
            assert!(matches!(take(body.as_bytes()), Taken::Broken(_)), "{body}");
        }
    }

    #[test]
    fn no_line_is_endless() {
        for start in ["", "1;", "0\r\nA"] {
            let endless = [start.as_bytes(), &vec![b'0'; LINE_LIMIT as usize + 1]].concat();
            assert!(matches!(take(&endless), Taken::Broken(_)), "{start}");
        }
    }

    #[test]
    fn a_gap_inside_a_chunk_is_data() {
        let mut chunks = Chunks::default();
        assert_eq!(chunks.take(b"a\r\n01"), Taken::All);
        assert!(chunks.gap(5) && !chunks.gap(4) && chunks.gap(3));
        assert_eq!(chunks.take(b"\r\n0\r\n\r\n"), Taken::End(7));
        assert!(!Chunks::default().gap(1));
    }
}
