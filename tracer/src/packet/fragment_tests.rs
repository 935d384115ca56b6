use super::super::{
    Decoder,
    examples::{
        Answer, ETHERNET, RAW, decode, ethernet, hello, hello_answer, hello6_answer, ipv4, ipv4_fragment,
        ipv6, read, tcp, vxlan,
    },
};
use super::*;

/// A fragment for [`Fragments::add`].
fn place(offset: usize, more: bool) -> Place {
    Place { identification: 1, offset, more, protocol: 17 }
}

fn addresses() -> (IpAddr, IpAddr) {
    (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]))
}

/// Adds fragments of one datagram at time 0; its bytes.
fn join(parts: &[(usize, bool, &[u8])]) -> Result<Option<Vec<u8>>, Skipped> {
    let mut fragments = Fragments::default();
    for (offset, more, bytes) in parts {
        fragments.add(0, addresses(), place(*offset, *more), bytes)?;
    }
    Ok(fragments.take_whole().map(|whole| whole.bytes))
}

const A: (usize, bool, &[u8]) = (0, true, b"aaaaaaaa");
const B: (usize, bool, &[u8]) = (8, true, b"bbbbbbbb");
const C: (usize, bool, &[u8]) = (16, false, b"cc");

#[test]
fn fragments_join_in_any_order() {
    let all = Ok(Some(b"aaaaaaaabbbbbbbbcc".to_vec()));
    for order in [[A, B, C], [A, C, B], [B, A, C], [B, C, A], [C, A, B], [C, B, A]] {
        assert_eq!(join(&order), all);
    }
    assert_eq!(join(&[A, C]), Ok(None));
    assert_eq!(join(&[A, B]), Ok(None));
}

#[test]
fn copies_are_ignored() {
    assert_eq!(join(&[A, A, B, B, C]), Ok(Some(b"aaaaaaaabbbbbbbbcc".to_vec())));
    let twice = [(0, true, &b"aaaaaaaabbbbbbbb"[..]), (8, true, b"????????"), C];
    assert_eq!(join(&twice), Ok(Some(b"aaaaaaaabbbbbbbbcc".to_vec())));
}

#[test]
fn overlaps_drop_the_datagram() {
    let overlap = Err(Skipped::FragmentOverlap);
    assert_eq!(join(&[A, (0, true, b"aaaaaaaabbbbbbbb")]), overlap);
    assert_eq!(join(&[(0, true, b"aaaaaaaabbbbbbbb"), (8, true, b"bbbbbbbbcccccccc")]), overlap);
    assert_eq!(join(&[B, (0, true, b"aaaaaaaabbbbbbbbcccccccc")]), overlap);
    // Two ends, and bytes behind the end.
    assert_eq!(join(&[C, (24, false, b"d")]), overlap);
    assert_eq!(join(&[C, (24, true, b"dddddddd")]), overlap);
    assert_eq!(join(&[(24, true, b"dddddddd"), C]), overlap);
    let mut fragments = Fragments::default();
    for (offset, bytes) in [(0, A.2), (0, b"aaaaaaaabbbbbbbb")] {
        let _overlap = fragments.add(0, addresses(), place(offset, true), bytes);
    }
    assert_eq!((fragments.incomplete(), fragments.cost), (0, 0));
}

#[test]
fn fragments_that_cannot_be() {
    assert_eq!(join(&[(0, true, b"seven..")]), Err(Skipped::Length));
    assert_eq!(join(&[(8, false, b"")]), Err(Skipped::Length));
    assert_eq!(join(&[(65_528, false, b"12345678")]), Err(Skipped::Length));
    assert_eq!(join(&[(65_528, false, b"1234567")]), Ok(None));
}

#[test]
fn datagrams_do_not_mix() {
    let mut fragments = Fragments::default();
    let (from, to) = addresses();
    fragments.add(0, (from, to), place(0, true), A.2).unwrap();
    fragments.add(0, (to, from), place(8, false), b"!").unwrap();
    fragments.add(0, (from, to), Place { identification: 2, ..place(8, false) }, b"!").unwrap();
    fragments.add(0, (from, to), Place { protocol: 6, ..place(8, false) }, b"!").unwrap();
    assert!(!fragments.has_whole());
    assert_eq!(fragments.incomplete(), 4);
    fragments.add(0, (from, to), place(8, false), b"!").unwrap();
    assert_eq!(fragments.take_whole().unwrap().bytes, b"aaaaaaaa!");
}

#[test]
fn an_old_datagram_is_dropped() {
    let mut fragments = Fragments::default();
    fragments.add(5, addresses(), place(0, true), A.2).unwrap();
    fragments.add(5 + AGE, addresses(), place(8, true), B.2).unwrap();
    // Time that goes back is no age.
    fragments.add(0, addresses(), place(24, false), b"d").unwrap();
    fragments.add(6 + AGE, addresses(), place(16, true), b"cccccccc").unwrap();
    assert!(!fragments.has_whole());
    assert_eq!((fragments.expired, fragments.incomplete()), (1, 2));
}

#[test]
fn a_flood_of_datagrams_drops_the_oldest() {
    let mut fragments = Fragments::default();
    for identification in 0..5000 {
        fragments.add(0, addresses(), Place { identification, ..place(0, true) }, A.2).unwrap();
    }
    assert_eq!(fragments.datagrams.len(), DATAGRAMS);
    assert_eq!(fragments.order.len(), DATAGRAMS);
    assert_eq!(fragments.evicted(), 5000 - DATAGRAMS as u64);
    fragments.add(0, addresses(), Place { identification: 4999, ..place(8, false) }, b"!").unwrap();
    assert_eq!(fragments.take_whole().unwrap().bytes, b"aaaaaaaa!");
}

#[test]
fn a_flood_of_bytes_drops_the_oldest() {
    let mut fragments = Fragments::default();
    let large = vec![0; 65_000];
    for identification in 0..200 {
        fragments.add(0, addresses(), Place { identification, ..place(0, true) }, &large).unwrap();
        assert!(fragments.cost <= HELD);
    }
    // Tiny parts cost more than their bytes.
    for offset in 0..8000 {
        fragments.add(0, addresses(), place(offset * 16 % 65_520, true), A.2).ok();
        assert!(fragments.cost <= HELD);
    }
    assert!(fragments.evicted() > 100);
    assert_eq!(fragments.cost, fragments.datagrams.values().map(Datagram::cost).sum::<usize>());
}

#[test]
fn a_segment_in_two_ipv4_fragments() {
    let mut decoder = Decoder::default();
    let segment = tcp(&[], b"hello");
    let second = ipv4_fragment(6, 2, &segment[16..]);
    let first = ipv4_fragment(6, 0x2000, &segment[..16]);
    assert_eq!(decode(&mut decoder, RAW, 0, &second), Ok(None));
    assert_eq!(decode(&mut decoder, RAW, 0, &first), Ok(Some(hello_answer())));
    assert_eq!(decode(&mut decoder, RAW, 0, &second), Ok(None));
    assert_eq!(decoder.skipped().last(), Some(("datagrams_incomplete", 1)));
}

#[test]
fn a_segment_in_two_ipv6_fragments() {
    let mut decoder = Decoder::default();
    // Destination options are part of what is cut.
    let whole = [&[6, 0, 1, 4, 0, 0, 0, 0][..], &tcp(&[], b"hello")].concat();
    // Only the first fragment's next header counts.
    let second = ipv6(44, &[&[17, 0, 0, 16, 0, 0, 0, 9][..], &whole[16..]].concat());
    let first = ipv6(44, &[&[60, 0, 0, 1, 0, 0, 0, 9][..], &whole[..16]].concat());
    assert_eq!(decode(&mut decoder, RAW, 0, &second), Ok(None));
    assert_eq!(decode(&mut decoder, RAW, 0, &first), Ok(Some(hello6_answer())));
    // All in one fragment needs no other (RFC 6946).
    let atomic = ipv6(44, &[&[60, 0, 0, 0, 0, 0, 0, 9][..], &whole].concat());
    assert_eq!(decode(&mut decoder, RAW, 0, &atomic), Ok(Some(hello6_answer())));
}

#[test]
fn fragments_in_fragments() {
    let mut decoder = Decoder::default();
    let segment = tcp(&[], b"hello");
    let inner = [ipv4_fragment(6, 0x2000, &segment[..16]), ipv4_fragment(6, 2, &segment[16..])];
    let mut answers = Vec::new();
    for inner in inner {
        answers.push(decode(&mut decoder, RAW, 0, &ipv4_fragment(4, 0x2000, &inner[..24])));
        answers.push(decode(&mut decoder, RAW, 0, &ipv4_fragment(4, 3, &inner[24..])));
    }
    assert_eq!(answers, [Ok(None), Ok(None), Ok(None), Ok(Some(hello_answer()))]);
}

#[test]
fn fragments_in_a_tunnel() {
    let mut decoder = Decoder::default();
    let segment = tcp(&[], b"hello");
    let mut send = |fragment: Vec<u8>| {
        decode(&mut decoder, ETHERNET, 0, &ethernet(0x0800, &vxlan(&ethernet(0x0800, &fragment))))
    };
    // Until then, there is no more than the tunnel's datagram.
    assert!(matches!(send(ipv4_fragment(6, 0x2000, &segment[..16])), Ok(Some(Answer::Udp(..)))));
    assert_eq!(send(ipv4_fragment(6, 2, &segment[16..])), Ok(Some(hello_answer())));
    assert_eq!(send(hello()), Ok(Some(hello_answer())));
}

/// Fragments in `levels` datagrams in each other, the last of which completes all of them.
fn nest(levels: u8) -> Result<Option<Answer>, Skipped> {
    let mut decoder = Decoder::default();
    let (mut protocol, mut inside) = (6, tcp(&[], b"hello"));
    for level in 0..levels {
        let second = [&[protocol, 0, 0, 16, 0, 0, 0, level][..], &inside[16..]].concat();
        assert_eq!(decode(&mut decoder, RAW, 0, &ipv6(44, &second)), Ok(None));
        inside = [&[protocol, 0, 0, 1, 0, 0, 0, level][..], &inside[..16]].concat();
        protocol = 44;
    }
    decode(&mut decoder, RAW, 0, &ipv6(44, &inside))
}

#[test]
fn four_datagrams_in_each_other_are_read_and_more_are_cut() {
    assert_eq!(nest(4), Ok(Some(hello6_answer())));
    assert_eq!(nest(5), Err(Skipped::Nested));
    // Headers that make a fragment of all there is.
    let atomic = [44, 0, 0, 0, 0, 0, 0, 9].repeat(100);
    assert_eq!(read(RAW, &ipv6(44, &atomic)), Err(Skipped::Nested));
}

#[test]
fn fragments_that_the_snap_length_cut() {
    let mut decoder = Decoder::default();
    let segment = tcp(&[], b"hello");
    // Of the first one there is a header; the others are of no use.
    let first = ipv4_fragment(6, 0x2000, &[&segment[..], b"!!!!!!!"].concat());
    let read = decoder.decode(RAW, 0, &first[..42], 52).map(|packet| packet.map(Answer::from));
    let Ok(Some(Answer::Tcp(_, _, payload))) = read else { panic!("{read:?}") };
    assert_eq!(payload, b"he");
    let second = ipv4_fragment(6, 4, b"rest");
    assert_eq!(decoder.decode(RAW, 0, &second[..22], 24), Err(Skipped::FragmentCut));
    assert_eq!(decode(&mut decoder, RAW, 0, &ipv4(6, &segment)), Ok(Some(hello_answer())));
}
