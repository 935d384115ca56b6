use std::io;

use super::{
    super::{order::Order::Little, sample},
    *,
};

/// A capture with packets at these nanoseconds.
fn capture(times: &[u32], tail: &[u8]) -> Reader {
    let records: Vec<_> = times.iter().map(|time| Little.record(0, *time, &time.to_le_bytes())).collect();
    let bytes = [Little.file_header(0xa1b2_3c4d, 4), records.concat(), tail.to_vec()].concat();
    Reader::from_read(io::Cursor::new(bytes), "test.pcap").unwrap()
}

/// File, number and time of all packets, and the errors between them.
fn all(readers: Vec<Reader>) -> (Vec<(usize, u64, u64)>, usize) {
    let (mut merged, mut packets, mut errors) = (Merged::new(readers), Vec::new(), 0);
    loop {
        match merged.next() {
            Ok(Some((file, packet))) => {
                assert_eq!(packet.bytes, u32::try_from(packet.time).unwrap().to_le_bytes());
                packets.push((file, packet.number, packet.time));
            }
            Ok(None) => break,
            Err(_) => errors += 1,
        }
    }
    assert_eq!(merged.next().unwrap(), None);
    (packets, errors)
}

#[test]
fn goes_by_time_and_then_by_file() {
    let (packets, errors) = all(vec![capture(&[2, 5, 5], &[]), capture(&[1, 5, 9], &[]), capture(&[], &[])]);
    assert_eq!(packets, [(1, 1, 1), (0, 1, 2), (0, 2, 5), (0, 3, 5), (1, 2, 5), (1, 3, 9)]);
    assert_eq!(errors, 0);
}

#[test]
fn a_file_keeps_its_order_where_its_time_goes_back() {
    let (packets, _) = all(vec![capture(&[4, 3, 8], &[]), capture(&[5, 6], &[])]);
    assert_eq!(packets, [(0, 1, 4), (0, 2, 3), (1, 1, 5), (1, 2, 6), (0, 3, 8)]);
}

#[test]
fn damage_ends_only_its_file() {
    let (packets, errors) =
        all(vec![capture(&[1, 2], &[7; 3]), capture(&[3, 4], &[]), capture(&[], &[7; 3])]);
    assert_eq!(packets, [(0, 1, 1), (0, 2, 2), (1, 1, 3), (1, 2, 4)]);
    assert_eq!(errors, 2);
}

#[test]
fn one_file_is_that_file() {
    let (packets, error) = sample::drain(capture(&[3, 1, 2], &[]));
    let alone: Vec<_> = packets.iter().map(|packet| (0, packet.number, packet.time)).collect();
    assert_eq!((all(vec![capture(&[3, 1, 2], &[])]).0, error), (alone, None));
    assert_eq!(Merged::new(vec![capture(&[], &[])]).readers().len(), 1);
    assert_eq!(all(Vec::new()), (Vec::new(), 0));
}
