use super::super::{
    INTERFACE_LIMIT,
    order::Order::{self, Big, Little},
    sample::{read, times},
};

/// A section with an Ethernet interface in microseconds, and blocks.
fn file(order: Order, blocks: &[Vec<u8>]) -> Vec<u8> {
    [order.section(), order.interface(1, 0, &[]), blocks.concat()].concat()
}

/// The error of such a file after one packet.
fn error_after_a_packet(block: &[u8]) -> String {
    let file = file(Little, &[Little.enhanced(0, 5, b"abcde"), block.to_vec(), Little.enhanced(0, 6, b"")]);
    let (packets, error) = read(&file);
    assert_eq!(times(&packets), [5_000]);
    error.unwrap()
}

#[test]
fn reads_enhanced_packets_of_both_byte_orders() {
    for order in [Little, Big] {
        let packets = [order.enhanced(0, 1_700_000_000_000_001, b"abcde"), order.enhanced(0, 6, b"")];
        let (packets, error) = read(&file(order, &packets));
        assert_eq!(error, None);
        assert_eq!(times(&packets), [1_700_000_000_000_001_000, 6_000]);
        assert_eq!((packets[0].bytes.as_slice(), packets[0].original_length), (b"abcde".as_slice(), 5));
    }
}

#[test]
fn each_section_has_its_order_and_its_interfaces() {
    let first = file(Little, &[Little.enhanced(0, 1, b"a")]);
    let nanoseconds = Big.interface(101, 0, &[(9, &[9])]);
    let second = [Big.section(), Big.interface(113, 0, &[]), nanoseconds, Big.enhanced(1, 2, b"b")].concat();
    let (packets, error) = read(&[first, second].concat());
    assert_eq!(error, None);
    assert_eq!(times(&packets), [1_000, 2]);
    assert_eq!((packets[0].link, packets[1].link, packets[1].number), (1, 101, 2));

    let (packets, error) = read(&[file(Little, &[]), Little.section(), Little.enhanced(0, 1, b"a")].concat());
    assert_eq!(packets, []);
    assert!(error.unwrap().ends_with("it names interface 0, and 0 are described"));
}

#[test]
fn a_simple_packet_has_the_time_before_it_and_the_snapshot_length() {
    let section = [Big.section(), Big.interface(1, 3, &[]), Big.enhanced(0, 9, b"abcdef")].concat();
    let simple = Big.block(3, &[Big.put(&[60]), b"abc".to_vec()].concat());
    let (packets, error) = read(&[section, simple].concat());
    assert_eq!(error, None);
    assert_eq!(times(&packets), [9_000, 9_000]);
    assert_eq!((packets[1].bytes.as_slice(), packets[1].original_length), (b"abc".as_slice(), 60));
}

#[test]
fn reads_obsolete_packets() {
    for order in [Little, Big] {
        let mut body = order.put_halves(&[0, 17]);
        body.extend(order.put(&[0, 7, 3, 60]));
        body.extend(b"abc");
        let (packets, error) = read(&file(order, &[order.block(2, &body)]));
        assert_eq!((error, times(&packets)), (None, vec![7_000]));
        assert_eq!((packets[0].bytes.as_slice(), packets[0].original_length), (b"abc".as_slice(), 60));
    }
}

#[test]
fn numbers_count_what_wireshark_shows() {
    let others = [9, 0xbad, 0x4000_0bad, 0x204, 4, 5, 10, 0x7777].map(|kind| Little.block(kind, b"abcdefgh"));
    let (packets, error) = read(&file(Little, &[others.concat(), Little.enhanced(0, 1, b"a")]));
    assert_eq!(error, None);
    assert_eq!(packets[0].number, 5);
}

#[test]
fn options_of_packets_are_skipped_even_when_malformed() {
    let mut body = Little.put(&[0, 0, 1, 3, 3]);
    body.extend(b"abc\0");
    body.extend(Little.put_halves(&[1, 400]));
    let (packets, error) = read(&file(Little, &[Little.block(6, &body), Little.enhanced(0, 2, b"a")]));
    assert_eq!(error, None);
    assert_eq!(times(&packets), [1_000, 2_000]);
    assert_eq!(packets[0].bytes, b"abc");
}

#[test]
fn a_length_without_the_padding_is_accepted() {
    let block = [Little.put(&[0x7777, 15]), b"abc\0".to_vec(), Little.put(&[15])].concat();
    let (packets, error) = read(&file(Little, &[block, Little.enhanced(0, 1, b"a")]));
    assert_eq!((packets.len(), error), (1, None));
}

#[test]
fn lengths_that_cannot_be_are_damage() {
    let prefix = "test.pcap is damaged at byte 88: reading ";
    let error = error_after_a_packet(&Little.put(&[6, 7, 0]));
    assert_eq!(error, format!("{prefix}an enhanced packet block: its length of 7 is below 12"));
    let error = error_after_a_packet(&Little.put(&[6, u32::MAX, 0]));
    assert_eq!(
        error,
        format!("{prefix}an enhanced packet block: its length of 4294967295 is above 16777216")
    );
    let error = error_after_a_packet(&Little.put(&[0x7777, 12, 16]));
    assert_eq!(error, format!("{prefix}a block of type 0x7777: its length is 12 in front and 16 behind"));
    let error = error_after_a_packet(&Little.block(6, &Little.put(&[0, 0, 0, 8, 8, 0])));
    let wrong = "a captured length of 8 is above the 4 bytes that it has room for";
    assert_eq!(error, format!("{prefix}an enhanced packet block: {wrong}"));
    let error = error_after_a_packet(&Little.block(6, &Little.put(&[0, 0, 0, 3 << 30, 8])));
    let wrong = "a captured length of 3221225472 is above 262144";
    assert_eq!(error, format!("{prefix}an enhanced packet block: {wrong}"));
}

#[test]
fn bodies_too_short_for_their_fixed_part_are_damage() {
    for (kind, words) in [(1, 1), (2, 4), (3, 0), (6, 4), (0x0a0d_0d0a, 0)] {
        let mut body = Little.put(&vec![0; words]);
        if kind == 0x0a0d_0d0a {
            body = Little.put(&[0x1a2b_3c4d]);
        }
        let error = error_after_a_packet(&Little.block(kind, &body));
        assert!(error.starts_with("test.pcap is damaged at byte 88"), "{error}");
    }
}

#[test]
fn an_interface_that_was_not_described_is_damage() {
    let error = error_after_a_packet(&Little.enhanced(3, 1, b"a"));
    assert!(error.ends_with("an enhanced packet block: it names interface 3, and 1 are described"));
    let (_, error) = read(&[Little.section(), Little.block(3, &Little.put(&[0]))].concat());
    assert!(error.unwrap().ends_with("a simple packet block: no interface was described before it"));
}

#[test]
fn a_section_of_an_unknown_order_or_version_ends_the_file() {
    let error = error_after_a_packet(&Little.block(0x0a0d_0d0a, &[7; 16]));
    assert!(error.ends_with("a section header block: [07, 07, 07, 07] announces no byte order"));
    let mut section = Little.section();
    section[12] = 2;
    assert_eq!(error_after_a_packet(&section), "test.pcap at byte 88: pcapng version 2.0 is not supported");
}

#[test]
fn interfaces_have_a_limit() {
    let interface = Little.interface(1, 0, &[]);
    let (_, error) = read(&file(Little, &vec![interface.clone(); INTERFACE_LIMIT - 1]));
    assert_eq!(error, None);
    let (_, error) = read(&file(Little, &vec![interface; INTERFACE_LIMIT]));
    assert!(error.unwrap().ends_with("a section with more than 65536 of them"));
}

#[test]
fn a_cut_anywhere_is_told_from_damage() {
    let whole = file(Little, &[Little.enhanced(0, 5, b"abcde"), Little.enhanced(0, 6, b"abcde")]);
    let packets_end = [48, 88, 128];
    for end in 8..whole.len() {
        let (packets, error) = read(&whole[..end]);
        assert_eq!(packets.len(), packets_end.iter().filter(|at| **at <= end).count().saturating_sub(1));
        let boundary = packets_end.contains(&end) || end == 28;
        assert_eq!(error.is_none(), boundary, "cut at {end}");
        assert!(error.is_none_or(|error| error.starts_with("test.pcap is cut short in the middle of ")));
    }
}
