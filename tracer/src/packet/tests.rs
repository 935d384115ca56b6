use super::*;
use examples::{
    ETHERNET, RAW, ethernet, hello, hello_answer, hello6, hello6_answer, ipv4, ipv4_fragment, ipv6, read,
    tcp, udp,
};

/// The TCP segment of raw IP that was `original` bytes long.
fn segment(bytes: &[u8], original: usize) -> (u32, Vec<u8>, Option<u8>) {
    let mut decoder = Decoder::default();
    match decoder.decode(RAW, 0, bytes, u32::try_from(original).unwrap()) {
        Ok(Some(Packet { transport: Transport::Tcp(tcp), .. })) => {
            (tcp.length, tcp.payload.to_vec(), tcp.window_scale)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn tcp_in_ipv4() {
    let bytes = ethernet(0x0800, &hello());
    let mut decoder = Decoder::default();
    let packet = decoder.decode(ETHERNET, 0, &bytes, 59).unwrap().unwrap();
    assert_eq!(packet.source, IpAddr::from([10, 0, 0, 1]));
    assert_eq!(packet.destination, IpAddr::from([10, 0, 0, 2]));
    let tcp = Tcp {
        source_port: 1000,
        destination_port: 80,
        sequence: 1,
        acknowledgment: 2,
        flags: 0x12,
        window: 1024,
        window_scale: None,
        length: 5,
        payload: b"hello",
    };
    assert_eq!(packet.transport, Transport::Tcp(tcp));
}

#[test]
fn padding_is_not_payload() {
    let mut bytes = ethernet(0x0800, &hello());
    bytes.extend([0; 10]);
    assert_eq!(read(ETHERNET, &bytes), Ok(Some(hello_answer())));
}

#[test]
fn what_the_snap_length_cut_counts() {
    let bytes = hello();
    assert_eq!(segment(&bytes[..42], 45), (5, b"he".to_vec(), None));
    // Up to the window, all that is read is there.
    assert_eq!(segment(&bytes[..36], 45), (5, vec![], None));
    assert_eq!(Decoder::default().decode(RAW, 0, &bytes[..35], 45), Err(Skipped::Cut));
    // As long as the capture says: then the packet is at fault.
    assert_eq!(Decoder::default().decode(RAW, 0, &bytes[..35], 35), Err(Skipped::Short));
    assert_eq!(Decoder::default().decode(RAW, 0, &bytes[..39], 39), Err(Skipped::Length));
}

#[test]
fn a_segment_that_the_card_is_to_cut_has_no_length() {
    let mut bytes = hello();
    bytes[2..4].fill(0);
    assert_eq!(read(RAW, &bytes), Ok(Some(hello_answer())));
    let mut bytes = hello6();
    bytes[4..6].fill(0);
    assert_eq!(read(RAW, &bytes), Ok(Some(hello6_answer())));
}

#[test]
fn lengths_beyond_the_packet_are_cut_to_it() {
    let mut bytes = hello();
    bytes[2..4].copy_from_slice(&[255, 255]);
    assert_eq!(segment(&bytes, bytes.len()), (5, b"hello".to_vec(), None));
}

#[test]
fn a_datagram_is_as_long_as_it_says() {
    let mut bytes = ipv4(17, &udp(53, b"query"));
    for (field, length, payload) in [(12, 4, &b"quer"[..]), (13, 5, b"query"), (1000, 992, b"query")] {
        bytes[24..26].copy_from_slice(&u16::to_be_bytes(field));
        let mut decoder = Decoder::default();
        let packet = decoder.decode(RAW, 0, &bytes, 33).unwrap().unwrap();
        let Transport::Udp(udp) = packet.transport else { panic!("{packet:?}") };
        assert_eq!((udp.length, udp.payload), (length, payload));
    }
}

#[test]
fn lengths_shorter_than_their_header_are_wrong() {
    let wrong = |at: usize, value: u8, mut bytes: Vec<u8>| {
        bytes[at] = value;
        assert_eq!(read(RAW, &bytes), Err(Skipped::Length));
    };
    wrong(0, 0x44, hello());
    wrong(3, 19, hello());
    wrong(32, 0x40, hello());
    // The options would be longer than the segment.
    wrong(32, 0xf0, hello());
    wrong(25, 7, ipv4(17, &udp(53, b"query")));
}

#[test]
fn another_version_is_not_ip() {
    let mut bytes = hello();
    bytes[0] = 0x75;
    assert_eq!(read(RAW, &bytes), Err(Skipped::Version));
    assert_eq!(read(ETHERNET, &ethernet(0x86dd, &hello())), Err(Skipped::Version));
    // With the type of IPv4, as in Wireshark, the version decides.
    assert_eq!(read(ETHERNET, &ethernet(0x0800, &hello6())), Ok(Some(hello6_answer())));
}

#[test]
fn ipv4_options_are_passed() {
    let mut bytes = hello();
    bytes[0] = 0x46;
    bytes[3] += 4;
    bytes.splice(20..20, [1, 1, 1, 0]);
    assert_eq!(read(RAW, &bytes), Ok(Some(hello_answer())));
}

#[test]
fn extension_headers_are_passed() {
    let inside = tcp(&[], b"hello");
    for extension in [0, 43, 60, 135, 139, 140] {
        let first = [6, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let bytes = ipv6(extension, &[&first[..], &inside].concat());
        assert_eq!(read(RAW, &bytes), Ok(Some(hello6_answer())), "{extension}");
        // In IPv4 they are protocols like others.
        assert_eq!(read(RAW, &ipv4(extension, &inside)), Ok(None));
    }
    let authentication = [&[6, 4, 0, 0][..], &[0; 20], &inside].concat();
    assert_eq!(read(RAW, &ipv6(51, &authentication)), Ok(Some(hello6_answer())));
    assert_eq!(read(RAW, &ipv4(51, &authentication)), Ok(Some(hello_answer())));
}

#[test]
fn what_is_neither_tcp_nor_udp_is_nothing() {
    for protocol in [1, 2, 50, 58, 59, 89, 132] {
        assert_eq!(read(RAW, &ipv4(protocol, &[0; 8])), Ok(None));
        assert_eq!(read(RAW, &ipv6(protocol, &[0; 8])), Ok(None));
    }
}

#[test]
fn options() {
    let of = |options: &[u8]| {
        let bytes = ipv4(6, &tcp(options, b"!"));
        let (length, payload, scale) = segment(&bytes, bytes.len());
        assert_eq!((length, payload), (1, b"!".to_vec()));
        scale
    };
    let block = [1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2];
    assert_eq!(of(&[2, 4, 5, 180, 1, 3, 3, 7]), Some(7));
    assert_eq!(of(&[1, 3, 3, 200]), Some(14));
    assert_eq!(of(&block), None);
    let stamp = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2];
    assert_eq!(of(&stamp), None);
    assert_eq!(of(&[stamp, block].concat()), None);
    // The end, lengths that cannot be, lengths that run over.
    assert_eq!(of(&[0, 3, 3, 7]), None);
    assert_eq!(of(&[3, 0, 3, 7]), None);
    assert_eq!(of(&[3, 1, 3, 7]), None);
    assert_eq!(of(&[1, 1, 3, 3]), None);
    assert_eq!(of(&[3, 4, 7, 7]), None);
    assert_eq!(of(&[5, 2, 1, 1]), None);
    // Without SYN, the scale says nothing.
    let mut bytes = ipv4(6, &tcp(&[1, 3, 3, 7], b""));
    bytes[33] = 0x10;
    assert_eq!(segment(&bytes, 44).2, None);
}

#[test]
fn skipped_packets_are_counted_by_reason() {
    let mut decoder = Decoder::default();
    let mut skip = |link: u16, bytes: &[u8]| decoder.decode(link, 0, bytes, 0).is_err();
    assert!(skip(147, &hello()) && skip(147, &hello()) && skip(RAW, &hello()[..10]));
    let counted: Vec<_> = decoder.skipped().filter(|(_, count)| *count > 0).collect();
    assert_eq!(counted, [("unknown_link_type", 2), ("packet_too_short", 1)]);
}

#[test]
fn every_reason_has_a_counter_of_its_own() {
    for (at, reason) in Skipped::ALL.into_iter().enumerate() {
        assert_eq!(reason as usize, at);
    }
}

/// One packet of each shape, by link type.
fn shapes() -> Vec<(u16, Vec<u8>)> {
    let tagged = [&[0, 5, 0x08, 0][..], &hello()].concat();
    let labels = [&[0, 1, 0x40, 64, 0, 2, 0x41, 64][..], &hello6()].concat();
    let session = [&[0x11, 0, 0, 1, 0, 46, 0xff, 0x03, 0, 0x21][..], &hello()].concat();
    let gre = [&[0xb0, 0, 0x08, 0][..], &[0; 12], &hello()].concat();
    let pptp = [&[0x30, 0x81, 0x88, 0x0b][..], &[0; 12], &[0x21], &hello()].concat();
    let bridge = ethernet(0x88a8, &tagged);
    let geneve = [&[1, 0, 0x65, 0x58, 0, 0, 1, 0][..], &[0; 4], &bridge].concat();
    let gtp = [&[0x36, 255, 0, 57][..], &[0; 7], &[0x85, 1, 0, 0, 0], &hello()].concat();
    let teredo = [&[0, 1, 1, 2][..], &[0; 12], &[0; 8], &hello6()].concat();
    let log = [&[2, 0, 0, 0, 6, 0, 10, 0, b'e', 0, 0, 0, 49, 0, 9, 0][..], &hello()].concat();
    let cooked = [&[0; 14][..], &[0x86, 0xdd], &hello6()].concat();
    let cooked2 = [&[0x08, 0][..], &[0; 18], &hello()].concat();
    let extended = [&[60, 0][..], &[0; 6], &[6, 0], &[0; 6], &tcp(&[1, 3, 3, 9], b"x")].concat();
    let part = [&[6, 0, 0, 1, 0, 0, 0, 9][..], &tcp(&[], b"....")].concat();
    vec![
        (ETHERNET, ethernet(0x8100, &tagged)),
        (ETHERNET, ethernet(0x8847, &labels)),
        (ETHERNET, ethernet(0x8864, &session)),
        (RAW, ipv4(47, &gre)),
        (RAW, ipv4(47, &pptp)),
        (RAW, ipv4(17, &udp(6081, &geneve))),
        (RAW, ipv6(17, &udp(2152, &gtp))),
        (RAW, ipv4(17, &udp(3544, &teredo))),
        (239, log),
        (113, cooked),
        (276, cooked2),
        (RAW, ipv6(0, &extended)),
        (RAW, ipv6(44, &part)),
        (RAW, ipv4_fragment(6, 0x2000, &part)),
    ]
}

#[test]
fn no_prefix_of_a_packet_is_a_panic() {
    for (link, bytes) in shapes() {
        for end in 0..=bytes.len() {
            for original in [0, end, bytes.len(), usize::MAX] {
                let mut decoder = Decoder::default();
                let original = u32::try_from(original).unwrap_or(u32::MAX);
                let _read = decoder.decode(link, 0, &bytes[..end], original);
            }
        }
    }
}

#[test]
fn no_changed_byte_is_a_panic() {
    for (link, bytes) in shapes() {
        for at in 0..bytes.len() {
            for value in [0, 1, 4, 6, 15, 17, 41, 47, 64, 127, 128, 255] {
                let mut bytes = bytes.clone();
                bytes[at] = value;
                let mut decoder = Decoder::default();
                let original = u32::try_from(bytes.len()).unwrap();
                if let Ok(Some(packet)) = decoder.decode(link, 0, &bytes, original) {
                    let (length, payload) = match packet.transport {
                        Transport::Tcp(tcp) => (tcp.length, tcp.payload),
                        Transport::Udp(udp) => (udp.length, udp.payload),
                    };
                    assert!(payload.len() <= usize::try_from(length).unwrap());
                }
            }
        }
    }
}
