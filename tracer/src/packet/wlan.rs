//! IEEE 802.11 frames, as wireless controllers tunnel them.

use super::{
    bytes::Bytes,
    walk::{Layer, Next},
};

/// In the first byte of the frame control field: type 2, data; and the subtype's bits.
const TYPE: u8 = 0x0c;
const DATA: u8 = 0x08;
const NO_DATA: u8 = 0x40;
const QOS: u8 = 0x80;
/// In its second byte.
const BOTH_WAYS: u8 = 0x03;
const PROTECTED: u8 = 0x40;
const ORDER: u8 = 0x80;
/// In the QoS control field: several packets in the frame.
const AGGREGATE: u8 = 0x80;

/// Goes past the header of a data frame (IEEE 802.11-2020, section 9.3.2.1) in clear text.
pub(super) fn data(rest: &mut Bytes<'_>) -> Next {
    let [kind, flags, ..] = *rest.take::<24>()?;
    if kind & TYPE != DATA || kind & NO_DATA != 0 || flags & PROTECTED != 0 {
        return Ok(None);
    }
    if flags & BOTH_WAYS == BOTH_WAYS {
        rest.skip(6)?;
    }
    if kind & QOS != 0 {
        let [control, _] = *rest.take()?;
        if control & AGGREGATE != 0 {
            return Ok(None);
        }
        rest.skip(usize::from(flags & ORDER != 0) * 4)?;
    }
    Ok(Some(Layer::Llc))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Next {
        data(&mut Bytes::new(bytes, bytes.len()))
    }

    fn frame(kind: u8, flags: u8, more: &[u8]) -> Vec<u8> {
        [&[kind, flags], [0; 22].as_slice(), more].concat()
    }

    #[test]
    fn a_data_frame_holds_llc() {
        assert_eq!(read(&frame(0x08, 0x01, &[])), Ok(Some(Layer::Llc)));
        assert_eq!(read(&frame(0x88, 0x03, &[0; 8])), Ok(Some(Layer::Llc)));
    }

    #[test]
    fn what_cannot_be_read_is_nothing() {
        for (kind, flags) in [(0x80, 0), (0x48, 0), (0x08, PROTECTED)] {
            assert_eq!(read(&frame(kind, flags, &[])), Ok(None), "{kind:#04x} {flags:#04x}");
        }
        assert_eq!(read(&frame(0x88, 0, &[AGGREGATE, 0])), Ok(None));
        assert!(read(&frame(0x88, 0, &[])).is_err());
    }
}
