use super::super::{
    order::Order::{self, Big, Little},
    sample::{read, times},
};

const MICROSECONDS: u32 = 0xa1b2_c3d4;

fn file(order: Order, magic: u32, minor: u16, records: &[Vec<u8>]) -> Vec<u8> {
    [order.file_header(magic, minor), records.concat()].concat()
}

#[test]
fn reads_both_byte_orders_and_both_units() {
    for order in [Little, Big] {
        for (magic, unit) in [(MICROSECONDS, 1_000), (0xa1b2_3c4d, 1)] {
            let (packets, error) =
                read(&file(order, magic, 4, &[order.record(7, 5, b"abc"), order.record(8, 0, b"")]));
            assert_eq!(error, None);
            assert_eq!(times(&packets), [7_000_000_000 + 5 * unit, 8_000_000_000]);
            assert_eq!(packets[0].bytes, b"abc");
            assert_eq!((packets[0].number, packets[1].number), (1, 2));
            assert_eq!((packets[0].link, packets[0].original_length), (1, 3));
        }
    }
}

#[test]
fn a_fraction_above_a_second_carries_over() {
    let (packets, _) = read(&file(Little, MICROSECONDS, 4, &[Little.record(1, 2_000_001, b"")]));
    assert_eq!(times(&packets), [3_000_001_000]);
    let (packets, _) = read(&file(Little, MICROSECONDS, 4, &[Little.record(u32::MAX, u32::MAX, b"")]));
    assert_eq!(times(&packets), [4_294_967_295_000_000_000 + 4_294_967_295_000]);
}

#[test]
fn reads_patched_and_ixia_variants() {
    let patched = [Big.put(&[1, 2, 3, 3, 9, 9]), b"abc".to_vec()].concat();
    let (packets, error) = read(&file(Big, 0xa1b2_cd34, 4, &[patched.clone(), patched]));
    assert_eq!((error, times(&packets)), (None, vec![1_000_002_000; 2]));
    assert_eq!(packets[1].bytes, b"abc");

    let (packets, error) =
        read(&file(Little, 0x1c00_01ac, 4, &[Little.put(&[19]), Little.record(1, 2, b"abc")]));
    assert_eq!((error, times(&packets)), (None, vec![1_000_000_002]));
}

#[test]
fn old_versions_have_the_lengths_the_other_way_round() {
    let record = [Little.put(&[1, 0, 70, 3]), b"abc".to_vec()].concat();
    for minor in [2, 3] {
        let (packets, error) = read(&file(Little, MICROSECONDS, minor, &[record.clone(), record.clone()]));
        assert_eq!(error, None);
        assert_eq!((packets[1].original_length, packets[1].bytes.as_slice()), (70, b"abc".as_slice()));
    }
}

#[test]
fn more_captured_than_sent_is_given_as_it_stands() {
    let record = [Little.put(&[1, 0, 3, 2]), b"abc".to_vec()].concat();
    let (packets, error) = read(&file(Little, MICROSECONDS, 4, &[record]));
    assert_eq!(error, None);
    assert_eq!((packets[0].original_length, packets[0].bytes.len()), (2, 3));
}

#[test]
fn what_precedes_damage_is_delivered() {
    let (packets, error) = read(&file(
        Little,
        MICROSECONDS,
        4,
        &[Little.record(1, 0, b"abc"), Little.put(&[1, 0, 3 << 30, 60])],
    ));
    assert_eq!(packets.len(), 1);
    let message = "test.pcap is damaged at byte 43: reading a packet's header: \
                   a captured length of 3221225472 is above 262144";
    assert_eq!(error.as_deref(), Some(message));
}

#[test]
fn a_cut_is_told_from_damage() {
    let whole = file(Little, MICROSECONDS, 4, &[Little.record(1, 0, b"abc"), Little.record(1, 0, b"abcdef")]);
    let (packets, error) = read(&whole[..whole.len() - 2]);
    assert_eq!(packets.len(), 1);
    let message = "test.pcap is cut short in the middle of a packet of 6 bytes with its header, \
                   which begins at byte 43: 20 of its 22 bytes are there";
    assert_eq!(error.as_deref(), Some(message));

    for (end, packets) in [(8, 0), (23, 0), (25, 0), (43, 1), (58, 1)] {
        let (read, error) = read(&whole[..end]);
        assert_eq!(read.len(), packets);
        assert_eq!(error.is_some(), end != 43, "cut at {end}");
    }
}

#[test]
fn what_is_not_supported_is_named() {
    let mut header = Little.file_header(MICROSECONDS, 4);
    header[4] = 1;
    let (_, error) = read(&header);
    assert_eq!(error.as_deref(), Some("test.pcap at byte 0: pcap version 1.4 is not supported"));

    let mut header = Little.file_header(MICROSECONDS, 4);
    header[22] = 1;
    let (_, error) = read(&header);
    assert_eq!(
        error.as_deref(),
        Some("test.pcap at byte 0: link type 0x00010001 with reserved bits is not supported")
    );
}

#[test]
fn the_link_type_goes_without_the_length_of_the_check_sequence() {
    let mut file = file(Little, MICROSECONDS, 4, &[Little.record(1, 0, b"")]);
    (file[20], file[23]) = (113, 0x24);
    assert_eq!(read(&file).0[0].link, 113);
}
