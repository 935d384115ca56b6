use super::super::examples::{ETHERNET, ethernet, hello, hello_answer, hello6, hello6_answer, read};
use super::*;

/// `head`, then an IPv4 packet, is read.
fn reads(link: u16, head: &[u8]) {
    assert_eq!(read(link, &[head, &hello()].concat()), Ok(Some(hello_answer())), "{link} {head:?}");
}

/// `head`, then an IPv6 packet, is read.
fn reads6(link: u16, head: &[u8]) {
    assert_eq!(read(link, &[head, &hello6()].concat()), Ok(Some(hello6_answer())), "{link} {head:?}");
}

/// An Ethernet frame of this type that goes on with `head`, then an IPv4 packet, is read.
fn reads_type(ether_type: u16, head: &[u8]) {
    reads(ETHERNET, &ethernet(ether_type, head));
}

#[test]
fn raw_ip() {
    for link in [12, 14, 101] {
        reads(link, &[]);
        reads6(link, &[]);
    }
    reads(228, &[]);
    reads6(229, &[]);
    assert_eq!(read(229, &hello6()[..39]), Err(Skipped::Short));
}

#[test]
fn loopback_in_both_byte_orders() {
    for link in [0, 108] {
        reads(link, &[2, 0, 0, 0]);
        reads(link, &[0, 0, 0, 2]);
        for family in [10, 24, 28, 30] {
            reads6(link, &[family, 0, 0, 0]);
            reads6(link, &[0, 0, 0, family]);
        }
        assert_eq!(read(link, &[7, 0, 0, 0, 0]), Ok(None));
    }
}

#[test]
fn cooked_captures() {
    reads(113, &[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 0x08, 0x00]);
    reads(276, &[0x08, 0x00, 0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0]);
    // 802.2 frames.
    reads(113, &[&[0; 14][..], &[0, 4, 0xaa, 0xaa, 3, 0, 0, 0, 8, 0]].concat());
    // Novell's.
    assert_eq!(read(113, &[&[0; 15][..], &[1, 0]].concat()), Ok(None));
}

#[test]
fn netfilter_log_in_both_byte_orders() {
    // A prefix of five bytes is padded to eight.
    reads(239, &[2, 0, 0, 0, 9, 0, 10, 0, 1, 2, 3, 4, 5, 0, 0, 0, 49, 0, 9, 0]);
    reads(239, &[2, 0, 0, 0, 0, 9, 0, 10, 1, 2, 3, 4, 5, 0, 0, 0, 0, 49, 0, 9]);
    reads6(239, &[10, 0, 0, 0, 69, 0, 9, 0]);
    assert_eq!(read(239, &[2, 0, 0, 0, 3, 0, 10, 0]), Err(Skipped::Length));
    assert_eq!(read(239, &[2, 0, 0, 0, 4, 0, 10, 0]), Err(Skipped::Short));
}

#[test]
fn tags_are_passed() {
    reads_type(0x8100, &[0, 5, 0x08, 0x00]);
    reads_type(0x88a8, &[0, 5, 0x81, 0x00, 0, 6, 0x08, 0x00]);
    reads_type(0x9100, &[0, 5, 0x91, 0x00, 0, 6, 0x81, 0x00, 0, 7, 0x08, 0x00]);
    reads_type(0x8926, &[0, 0, 0, 0, 0x08, 0x00]);
    reads_type(0x893f, &[0, 0, 0, 0, 0, 0, 0x08, 0x00]);
    reads_type(0x88e7, &[&[0; 4][..], &ethernet(0x0800, &[])].concat());
}

#[test]
fn endless_tags_are_cut() {
    let bytes = ethernet(0x8100, &[0x81, 0x00].repeat(700));
    assert_eq!(read(ETHERNET, &bytes), Err(Skipped::Nested));
}

#[test]
fn frames_with_a_length() {
    // SNAP, what IP over LLC was before it, and both behind a tag.
    reads_type(53, &[0xaa, 0xaa, 3, 0, 0, 0, 0x08, 0x00]);
    reads_type(48, &[6, 6, 3]);
    reads_type(0x8100, &[0, 5, 0, 53, 0xaa, 0xaa, 3, 0, 0, 0, 0x08, 0x00]);
    // The length leaves padding out, as IP's would.
    let bytes = ethernet(10, &[&[6, 6, 3][..], &hello()].concat());
    assert_eq!(read(ETHERNET, &bytes), Err(Skipped::Short));
    // Spanning tree.
    assert_eq!(read(ETHERNET, &ethernet(38, &[0x42, 0x42, 3, 0, 0])), Ok(None));
    reads(10, &[&[0x57; 13][..], &[0xaa, 0xaa, 3, 0, 0, 0, 0x08, 0x00]].concat());
}

#[test]
fn point_to_point() {
    reads(9, &[0xff, 3, 0, 0x21]);
    reads(9, &[0, 0x21]);
    reads(9, &[0x21]);
    reads6(9, &[0x57]);
    reads(50, &[0xff, 3, 0, 0x21]);
    reads(104, &[0x0f, 0, 0x08, 0x00]);
    reads_type(0x8864, &[0x11, 0, 0, 1, 0, 47, 0, 0x21]);
    reads(51, &[0x11, 0, 0, 1, 0, 47, 0, 0x21]);
    // Its discovery, and a control protocol.
    assert_eq!(read(51, &[0x11, 9, 0, 0, 0, 0]), Ok(None));
    assert_eq!(read(9, &[0xff, 3, 0xc0, 0x21, 1]), Ok(None));
}

#[test]
fn labels() {
    reads_type(0x8847, &[0, 1, 0x40, 64, 0, 2, 0x41, 64]);
    reads6(ETHERNET, &ethernet(0x8847, &[0, 0, 0x21, 64]));
    // A pseudowire with control word, and one without.
    let frame = ethernet(0x0800, &[]);
    reads_type(0x8847, &[&[0, 1, 1, 64, 0, 0, 0, 9][..], &frame].concat());
    reads_type(0x8847, &[&[0, 1, 1, 64][..], &frame].concat());
    // An associated channel.
    assert_eq!(read(ETHERNET, &ethernet(0x8847, &[0, 1, 1, 64, 0x10, 0, 0, 0x21])), Ok(None));
    assert_eq!(read(ETHERNET, &ethernet(0x8847, &[0; 1400])), Err(Skipped::Nested));
}
