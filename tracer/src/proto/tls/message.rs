//! Handshake messages in the plain records of one side (RFC 8446, section 4): a message may span records, a
//! record may hold several.

/// Bytes of a message that are kept; no hello of today is longer.
pub(super) const MESSAGE_LIMIT: usize = 16 * 1024;
/// Bytes of a message's header: its type and three bytes of length.
const HEADER: usize = 4;

pub(super) const CLIENT_HELLO: u8 = 1;
pub(super) const SERVER_HELLO: u8 = 2;
pub(super) const CERTIFICATE: u8 = 11;
pub(super) const SERVER_HELLO_DONE: u8 = 14;

/// Cuts the bodies of one side's handshake records into messages.
#[derive(Debug, Default)]
pub(super) struct Messages {
    header: [u8; HEADER],
    filled: usize,
    /// Bytes of the body that are still to come.
    left: usize,
    /// The body so far, of the messages that are read.
    body: Vec<u8>,
}

impl Messages {
    /// Takes bytes and tells of each message that ends in them: its type, and its body when `keeps` its type.
    pub(super) fn bytes(
        &mut self,
        mut rest: &[u8],
        keeps: impl Fn(u8) -> bool,
        mut tell: impl FnMut(u8, &[u8]),
    ) {
        while let Some((byte, after)) = rest.split_first() {
            if self.filled < HEADER {
                if let Some(place) = self.header.get_mut(self.filled) {
                    *place = *byte;
                }
                self.filled += 1;
                rest = after;
                let [_, high, middle, low] = self.header.map(usize::from);
                self.left = high << 16 | middle << 8 | low;
            } else {
                let (bytes, after) = rest.split_at_checked(self.left).unwrap_or((rest, &[]));
                rest = after;
                self.left -= bytes.len();
                if keeps(self.header[0]) {
                    let room = MESSAGE_LIMIT.saturating_sub(self.body.len()).min(bytes.len());
                    self.body.extend_from_slice(bytes.get(..room).unwrap_or_default());
                }
            }
            if self.filled == HEADER && self.left == 0 {
                tell(self.header[0], &self.body);
                *self = Self::default();
            }
        }
    }

    /// Bytes of memory it holds.
    pub(super) fn held(&self) -> usize {
        self.body.capacity()
    }

    /// Bytes are missing: what is begun is forgotten.
    pub(super) fn gap(&mut self) {
        *self = Self::default();
    }
}
