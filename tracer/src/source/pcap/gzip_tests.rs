use std::io::Write;

use flate2::{Compression, GzBuilder};

use super::super::{
    order::Order::Little,
    sample::{Packet, read},
};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut member = GzBuilder::new().write(Vec::new(), Compression::default());
    member.write_all(bytes).unwrap();
    member.finish().unwrap()
}

/// A pcap of many packets that do not compress well.
fn capture() -> Vec<u8> {
    let mut bytes = Little.file_header(0xa1b2_c3d4, 4);
    let mut state = 1_u32;
    for second in 0..3_000 {
        let mut packet = Vec::new();
        for _ in 0..100 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            packet.push((state >> 24) as u8 & 0x1f);
        }
        bytes.extend(Little.record(second, 0, &packet));
    }
    bytes
}

fn packets(bytes: &[u8]) -> Vec<Packet> {
    let (packets, error) = read(bytes);
    assert_eq!(error, None);
    packets
}

#[test]
fn reads_what_was_compressed() {
    let capture = capture();
    assert_eq!(packets(&gzip(&capture)), packets(&capture));
}

#[test]
fn members_may_end_in_the_middle_of_a_packet_or_be_empty() {
    let capture = capture();
    let (first, second) = capture.split_at(123_457);
    let members = [gzip(first), gzip(&[]), gzip(second), vec![0; 100]].concat();
    assert_eq!(packets(&members), packets(&capture));
}

#[test]
fn skips_the_fields_of_the_header() {
    let capture = capture();
    let fields = GzBuilder::new().extra(vec![7; 300]).filename("a.pcap").comment("of a test");
    let mut member = fields.write(Vec::new(), Compression::fast());
    member.write_all(&capture).unwrap();
    let mut member = member.finish().unwrap();
    assert_eq!(packets(&member), packets(&capture));

    // With a checksum of the header, which nothing checks.
    member[3] |= 2;
    let end = 10 + 2 + 300 + "a.pcap\0of a test\0".len();
    member.splice(end..end, [1, 2]);
    assert_eq!(packets(&member), packets(&capture));
}

#[test]
fn a_cut_file_gives_what_is_there() {
    let (capture, whole) = (capture(), gzip(&capture()));
    let all = packets(&capture);
    let (some, error) = read(&whole[..whole.len() / 2]);
    assert!(some.len() > all.len() / 3 && some.len() < all.len());
    assert_eq!(some, all[..some.len()]);
    let end = format!("the compressed file ends at byte {}", whole.len() / 2);
    assert!(error.unwrap().ends_with(&end));

    let (some, error) = read(&whole[..whole.len() - 3]);
    assert_eq!(some.len(), all.len());
    assert!(error.unwrap().contains("cut short"));
    assert!(read(&whole[..5]).1.unwrap().contains("cut short"));
}

#[test]
fn corrupt_data_give_what_was_before() {
    let (capture, mut whole) = (capture(), gzip(&capture()));
    let all = packets(&capture);
    // A stored block whose length and its complement do not match.
    let half = gzip(&capture[..160_000]);
    let mut corrupt = half[..half.len() - 8].to_vec();
    let mut ended = flate2::write::DeflateEncoder::new(Vec::new(), Compression::default());
    ended.write_all(&capture[..160_000]).unwrap();
    ended.flush().unwrap();
    corrupt.truncate(10);
    corrupt.extend(ended.get_ref());
    corrupt.extend([0, 1, 2, 3, 4]);
    let (some, error) = read(&corrupt);
    assert_eq!(some, all[..(160_000 - 24) / 116]);
    assert!(error.unwrap().contains("is damaged at byte"));

    let at = whole.len() - 6;
    whole[at] ^= 1;
    let (some, error) = read(&whole);
    assert_eq!(some, all);
    assert!(error.unwrap().contains("its checksum or length does not match the bytes before"));
}

#[test]
fn what_follows_must_be_gzip() {
    let (some, error) = read(&[gzip(&capture()), b"more".to_vec()].concat());
    assert_eq!(some.len(), 3_000);
    assert!(error.unwrap().contains("bytes that are not gzip follow it"));
    let mut unknown = gzip(&capture());
    unknown[2] = 7;
    assert!(read(&unknown).1.unwrap().contains("an unknown method or flag"));
}
