use super::super::examples::{
    Answer, ETHERNET, RAW, ethernet, hello, hello_answer, hello6, hello6_answer, ipv4, ipv6, read, udp, vxlan,
};
use super::*;

/// A datagram to `port` with `head`, then an IPv4 packet, is read.
fn reads(port: u16, head: &[u8]) {
    let bytes = ipv6(17, &udp(port, &[head, &hello()].concat()));
    assert_eq!(read(RAW, &bytes), Ok(Some(hello_answer())), "{port} {head:?}");
}

/// A datagram to `port` with `payload` stays one.
fn stays(port: u16, payload: &[u8]) {
    let answer = Answer::Udp("10.0.0.1:2000".into(), format!("10.0.0.2:{port}"), payload.to_vec());
    assert_eq!(read(RAW, &ipv4(17, &udp(port, payload))), Ok(Some(answer)));
}

/// GRE with `head`, then an IPv4 packet, is read.
fn reads_gre(head: &[u8]) {
    assert_eq!(read(RAW, &ipv4(47, &[head, &hello()].concat())), Ok(Some(hello_answer())), "{head:?}");
}

#[test]
fn ip_in_ip() {
    assert_eq!(read(RAW, &ipv4(41, &hello6())), Ok(Some(hello6_answer())));
    assert_eq!(read(RAW, &ipv6(4, &hello())), Ok(Some(hello_answer())));
    assert_eq!(read(RAW, &ipv4(4, &ipv4(4, &hello()))), Ok(Some(hello_answer())));
    let frame = ethernet(0x0800, &hello());
    assert_eq!(read(RAW, &ipv4(97, &[&[0x30, 0][..], &frame].concat())), Ok(Some(hello_answer())));
    assert_eq!(read(RAW, &ipv6(143, &frame)), Ok(Some(hello_answer())));
}

#[test]
fn vxlans() {
    for port in [4789, 8472] {
        reads(port, &[&[8, 0, 0, 0, 0, 0, 1, 0][..], &ethernet(0x0800, &[])].concat());
    }
    reads(4790, &[&[0x0c, 0, 0, 3, 0, 0, 1, 0][..], &ethernet(0x0800, &[])].concat());
    reads(4790, &[0x0c, 0, 0, 1, 0, 0, 1, 0]);
}

#[test]
fn geneves() {
    reads(6081, &[0, 0, 0x08, 0x00, 0, 0, 1, 0]);
    reads(6081, &[&[2, 0, 0x65, 0x58, 0, 0, 1, 0][..], &[0; 8], &ethernet(0x0800, &[])].concat());
}

#[test]
fn gtp_with_options_and_extensions() {
    reads(2152, &[0x30, 255, 0, 45, 0, 0, 0, 1]);
    reads(2152, &[0x32, 255, 0, 49, 0, 0, 0, 1, 0, 9, 0, 0]);
    reads(2152, &[0x34, 255, 0, 57, 0, 0, 0, 1, 0, 0, 0, 0x85, 1, 0, 0, 0xc0, 1, 0, 0, 0]);
    // An extension of no length, and an echo request.
    stays(2152, &[0x34, 255, 0, 57, 0, 0, 0, 1, 0, 0, 0, 0x85, 0, 0, 0, 0]);
    stays(2152, &[0x32, 1, 0, 4, 0, 0, 0, 0, 0, 1, 0, 0]);
}

#[test]
fn teredo_with_and_without_indications() {
    let reads = |head: &[u8]| {
        let bytes = ipv4(17, &udp(3544, &[head, &hello6()].concat()));
        assert_eq!(read(RAW, &bytes), Ok(Some(hello6_answer())), "{head:?}");
    };
    reads(&[]);
    reads(&[0, 0, 1, 2, 3, 4, 5, 6]);
    reads(&[0, 1, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0]);
    reads(&[0, 1, 1, 1, b'c', b'a', 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 1, 2, 3, 4, 5, 6]);
}

#[test]
fn gre_and_labels_in_udp() {
    reads(4754, &[0, 0, 0x08, 0x00]);
    reads(6635, &[0, 1, 1, 64]);
}

#[test]
fn gre_with_each_option() {
    reads_gre(&[0, 0, 0x08, 0x00]);
    reads_gre(&[0x80, 0, 0x08, 0x00, 0, 0, 0, 0]);
    reads_gre(&[&[0xb0, 0, 0x08, 0x00][..], &[0; 12]].concat());
    // Two routing entries and the last.
    reads_gre(&[0x40, 0, 8, 0, 0, 0, 0, 0, 8, 0, 0, 2, 1, 2, 8, 0, 0, 1, 1, 0, 0, 0, 0]);
    reads_gre(&[&[0, 0, 0x65, 0x58][..], &ethernet(0x0800, &[])].concat());
    // PPTP, with and without an acknowledgment.
    reads_gre(&[0x30, 0x81, 0x88, 0x0b, 0, 49, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0xff, 3, 0, 0x21]);
    reads_gre(&[0x30, 0x01, 0x88, 0x0b, 0, 46, 0, 1, 0, 0, 0, 1, 0x21]);
    assert_eq!(read(RAW, &ipv4(47, &[0x20, 0x81, 0x88, 0x0b, 0, 0, 0, 1, 0, 0, 0, 1])), Ok(None));
    // WCCP, with and without its header.
    reads_gre(&[0, 0, 0x88, 0x3e]);
    reads_gre(&[0, 0, 0x88, 0x3e, 0, 0, 0, 0]);
}

#[test]
fn mirrored_frames() {
    let frame = ethernet(0x0800, &[]);
    reads_gre(&[&[0, 0, 0x88, 0xbe][..], &frame].concat());
    reads_gre(&[&[0x10, 0, 0x88, 0xbe][..], &[0; 4], &[0; 8], &frame].concat());
    reads_gre(&[&[0x10, 0, 0x22, 0xeb][..], &[0; 4], &[0; 12], &frame].concat());
    reads_gre(&[&[0x10, 0, 0x22, 0xeb][..], &[0; 4], &[0; 11], &[1], &[0; 8], &frame].concat());
}

#[test]
fn what_does_not_parse_stays_a_datagram() {
    for port in [2152, 3544, 4754, 4789, 4790, 6081, 6635, 8472] {
        stays(port, b"");
        stays(port, b"?");
        stays(port, &[0; 64]);
        stays(port, &[255; 64]);
    }
    // ARP in a tunnel.
    stays(4789, &[&[8, 0, 0, 0, 0, 0, 1, 0][..], &ethernet(0x0806, &[0; 28])].concat());
}

#[test]
fn eight_tunnels_in_each_other_are_read_and_endless_ones_cut() {
    let nested = |levels: usize| {
        let mut frame = ethernet(0x0800, &hello());
        for _ in 0..levels {
            frame = ethernet(0x0800, &vxlan(&frame));
        }
        read(ETHERNET, &frame)
    };
    assert_eq!(nested(8), Ok(Some(hello_answer())));
    assert_eq!(nested(100), Err(Skipped::Nested));
    let mut bytes = hello();
    for _ in 0..1000 {
        bytes = ipv4(4, &bytes);
    }
    assert_eq!(read(RAW, &bytes), Err(Skipped::Nested));
}
